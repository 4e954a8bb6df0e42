"""The gate: may a newly trained ranker go live?

A comparison is the paired gain in NDCG@60 over another order of the same lists, with its 95%
interval, against a bound: -margin for live models, 0 for `sf_pos` and popularity.

    passed     low > bound
    refused    not passed, and high <= bound or high - low <= margin: more data would not help
    undecided  not passed, and the interval is wider than the margin

Days that are held out together are compared with an older model than the live one, which has seen
all of them but the newest. Of that day alone the gain over the live one must then be at least
-margin, as an estimate: below it the model is undecided.

Too few customers are undecided, whatever else. Of the others refused beats undecided beats too good
beats pass; a base order without a value in these lists is refused: data that came apart looks like
that. Too good: the gain over `sf_pos` lies above the
median of the last gains by more than `mads` median absolute deviations, or a single feature holds
`share` of the summed |SHAP|: a leak looks like that more often than a better model does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from tasks.ranker.evaluation import LIVE
from tasks.ranker.measure import Interval

Verdict = Literal["pass", "refused", "undecided", "too good"]

# Below these a spread is noise of few days, not a law: no verdict rests on it.
LEAST_GAINS = 7
LEAST_MAD = 0.002
NAMED = 3
"""Lost models that the reason names."""


@dataclass(frozen=True)
class Limits:
    """What the gate tolerates; see `settings.ranker` for each."""

    margin: float
    min_customers: int
    mads: float
    share: float
    diversity_low: float
    price_low: float
    price_high: float
    refit_correlation: float


@dataclass(frozen=True)
class Comparison:
    """The paired gain over `against`; to pass, its lower end lies above `bound`.

    One `by_value` has an interval too wide to decide, and only must not lie below the bound.
    """

    against: str
    gain: Interval
    bound: float
    by_value: bool = False

    def verdict(self, margin: float) -> Literal["pass", "refused", "undecided"]:
        """Judge this comparison alone."""
        if self.by_value:
            return "pass" if self.gain.value >= self.bound else "undecided"
        if self.gain.low > self.bound:
            return "pass"
        settled = self.gain.high <= self.bound or self.gain.high - self.gain.low <= margin
        return "refused" if settled else "undecided"

    def __str__(self) -> str:
        gain, needs = self.gain, "itself >=" if self.by_value else ">"
        return (
            f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] against {self.against}"
            f" (needs {needs} {self.bound:+.4f})"
        )


@dataclass(frozen=True)
class Evidence:
    """What the gate looks at.

    `customers` have a held-out list with a cart, `lists` in all; `gain` is over the base order,
    `past_gains` are the earlier decisions' gains over it, newest last; ratios are the model's top
    against the base order's (None: not known from this source). `lost` are models that should have
    been compared and that the registry does not have, `absent` base orders without any value.
    """

    customers: int
    comparisons: tuple[Comparison, ...]
    gain: float
    past_gains: tuple[float, ...] = ()
    top_feature: str = ""
    top_share: float = 0.0
    diversity_ratio: float | None = None
    price_ratio: float | None = None
    lists: int = 0
    lost: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """The verdict and the sentence for the person on call.

    `accept_reason` is why a person let a model pass that is too good; empty where nobody had to.
    """

    verdict: Verdict
    reason: str
    accept_reason: str = ""


def decide(evidence: Evidence, limits: Limits, accept_reason: str = "") -> Decision:
    """Return the verdict on a model; `accept_reason` lets one that is too good pass."""
    decision = _decided(evidence, limits, accept_reason)
    if not evidence.lost:
        return decision
    named = ", ".join(evidence.lost[:NAMED]) + (", ..." if len(evidence.lost) > NAMED else "")
    told = f"{decision.reason} Not compared, for the registry does not have them: {named}."
    return replace(decision, reason=told)


def _decided(evidence: Evidence, limits: Limits, accept_reason: str) -> Decision:
    if evidence.customers < limits.min_customers:
        return Decision("undecided", _tiny(evidence.customers, limits.min_customers))
    faults = [*_uncompared(evidence), *_lost(evidence, limits, "refused")]
    if faults := [*faults, *_out_of_band(evidence, limits)]:
        return Decision("refused", f"{'; '.join(faults)}. The live model stays; look at the data.")
    if unsure := _lost(evidence, limits, "undecided"):
        advice = "The live model stays; a further day usually decides."
        return Decision("undecided", f"{'; '.join(unsure)}: interval too wide. {advice}")
    wins = _wins(evidence)
    if suspicions := _suspicions(evidence, limits):
        return _too_good("; ".join(suspicions), wins, accept_reason)
    return Decision("pass", f"{wins}.")


def _wins(evidence: Evidence) -> str:
    alone = not any(one.against in LIVE for one in evidence.comparisons)
    why = "The registry has no accepted model older than the held-out lists, so these decide: "
    return (why if alone else "") + "; ".join(map(str, evidence.comparisons))


def _too_good(suspicion: str, wins: str, accept_reason: str) -> Decision:
    if accept_reason:
        told = f"{wins}. Accepted although {suspicion}: {accept_reason}."
        return Decision("pass", told, accept_reason)
    advice = "Look for a leak; if there is none, run again with a reason."
    return Decision("too good", f"{suspicion}. {advice}")


def confirm_refit(decision: Decision, correlation: float, limits: Limits) -> Decision:
    """Return the decision, refused when the refitted model is not the one that was judged."""
    if decision.verdict not in {"pass", "too good"} or correlation >= limits.refit_correlation:
        return decision
    reason = (
        f"the refit on all days orders the held-out lists unlike the judged model: correlation "
        f"{correlation:.3f}, needs {limits.refit_correlation}. The live model stays."
    )
    return Decision("refused", reason)


def _tiny(customers: int, least: int) -> str:
    if not customers:
        return "no carts in the held-out lists: nothing to compare. The live model stays."
    return f"only {customers} customers with a cart, at least {least} needed. The live model stays."


def _uncompared(evidence: Evidence) -> list[str]:
    faults = [f"no held-out row has a value of {name}" for name in evidence.absent]
    return faults if evidence.comparisons else [*faults, "there is nothing to compare with"]


def _lost(evidence: Evidence, limits: Limits, verdict: str) -> list[str]:
    return [str(one) for one in evidence.comparisons if one.verdict(limits.margin) == verdict]


def _out_of_band(evidence: Evidence, limits: Limits) -> list[str]:
    faults = []
    diversity, price = evidence.diversity_ratio, evidence.price_ratio
    if diversity is not None and diversity < limits.diversity_low:
        faults.append(f"diversity of the top fell to {diversity:.2f} of the base order's")
    if price is not None and not limits.price_low <= price <= limits.price_high:
        faults.append(f"price of the top is {price:.2f} of the base order's")
    return faults


def _suspicions(evidence: Evidence, limits: Limits) -> list[str]:
    found = []
    ceiling = highest_expected_gain(evidence.past_gains, limits.mads)
    if ceiling is not None and evidence.gain > ceiling:
        found.append(f"gain {evidence.gain:+.4f} is above {ceiling:+.4f}, what past days allow")
    if evidence.top_share >= limits.share:
        found.append(f"feature {evidence.top_feature} alone gives {evidence.top_share:.0%}")
    return found


def highest_expected_gain(gains: Sequence[float], mads: float) -> float | None:
    """Return median + `mads` median absolute deviations; None with too few gains to tell."""
    if len(gains) < LEAST_GAINS:
        return None
    middle = median(gains)
    return middle + mads * max(median(abs(gain - middle) for gain in gains), LEAST_MAD)
