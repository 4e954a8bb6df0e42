"""The most memory that the process holds between two moments, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

_FORGET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_PEAK = "VmHWM:"


def forget_peak() -> None:
    """Let the peak begin anew with what is held now."""
    # 5 is the kernel's word for it (proc_pid_clear_refs(5)).
    _FORGET.write_text("5")


def peak_gb() -> float:
    """Return the peak since `forget_peak`, what was held then included."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(_PEAK))
    return int(line.split()[1]) / (1 << 20)
