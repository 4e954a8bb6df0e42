"""The errors a task may end with on purpose; anything else is a bug, shown as itself."""

from __future__ import annotations


class VitrinaError(Exception):
    """A failure whose message tells a person what broke; shown without a traceback."""


class InputNotReady(VitrinaError):
    """An input is absent so far: waiting, or the backfill that the message names, may help."""


class ContractViolation(VitrinaError):
    """Data break a declared rule: nothing was written, and trying again cannot help."""


class DataCheckFailed(ContractViolation):
    """A day is unlike any usual one: a data check is outside its hard band."""


class QualityGateFailed(VitrinaError):
    """A model is too weak, too good to be true or degenerate: the live one stays."""


class PartsMissing(VitrinaError):
    """Some of a day's parts were not written: what the others hold is published without them."""


class DiskFull(VitrinaError):
    """Too little room is left for a write: nothing was written, and somebody has to make room."""


class WrongAnswer(VitrinaError):
    """A person's answer breaks a rule: nothing was written, and the question is asked again."""


class WrongCall(VitrinaError):
    """A command that names nothing there is, or days in the wrong order."""
