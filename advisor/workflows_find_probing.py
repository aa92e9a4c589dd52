"""Before a search: a few probes of each installed runtime of which nothing is known, so that it can take part.

Setups of one device share the structure of the operators, so a few networks tell of a second runtime what a dozen tell
of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from advisor import workflows_calibrate, workflows_known, workflows_measure
from advisor.evidence.store import Store
from advisor.measure import machine
from advisor.predict import calibration as calibrating
from advisor.predict.calibration import Asked
from advisor.predict.known import Known

LAYOUT = "nchw"  # which every runtime takes
N_PROBES = 5
BUDGET_S = 25.0  # of one runtime; converting a network takes longer than timing it
# Compiling takes longer still: where a network takes so long that fewer than `MIN_PROBES` end in this time, those alone
# are measured, in up to twice of it.
_BUDGETS_S = {"pytorch-compile": 50.0}


def unprobed(
    store: Store, target: str, knowns: Iterable[Known], *, batch_size: int, threads: int, precision: str | None = None
) -> list[Asked]:
    """The setups worth a few probes: one of each installed runtime, in the precision that it takes by itself.

    One that was asked for before, and gave nothing or has not ended, is left alone, unless what it gave does not hold
    any more; all are where nothing is known of any, for then no search can begin. Those that take longest come last.

    Args:
        knowns: What is known of the target, in all setups.
        precision: Only setups that are asked for in this one.
    """
    there = {
        one.setup.runtime for one in knowns
        if one.setup.batch_size == batch_size and precision in (None, one.setup.precision, one.asked.precision)
    }  # fmt: skip
    if not there:
        return []
    # of several precisions the last one: the plainest comes first
    offered = {runtime: word for runtime, word in machine.offers(target) if precision in (None, word)}
    asked = [
        Asked(target, runtime, word, LAYOUT, batch_size, threads)
        for runtime, word in offered.items() if runtime not in there
    ]  # fmt: skip
    return sorted((one for one in asked if not _tried(store, one)), key=_budget_s)


def submit_probes(store: Store, asked: Iterable[Asked]) -> list[str]:
    """Queue a small calibration of each; the ids of the jobs."""
    return [
        workflows_calibrate.submit_calibration(store, one, n_probes=N_PROBES, budget_s=_budget_s(one), looks=1)
        for one in asked
    ]  # fmt: skip


def expected_s(asked: Sequence[Asked]) -> float:
    """About how long the probes of all of them take."""
    return sum(workflows_calibrate.expected_s(_budget_s(one)) for one in asked)


def failure(store: Store, asked: Asked) -> str:
    """Why the last measurement for a calibration of a setup failed; empty where none did."""
    runs = workflows_measure.runs(store)
    failed = runs[runs["status"] == "failed"]
    reasons = zip(failed["sweep_id"], failed["reason"], strict=True)  # newest first
    return next((str(reason) for sweep_id, reason in reasons if calibrating.is_of(sweep_id, asked)), "")


def _budget_s(asked: Asked) -> float:
    return _BUDGETS_S.get(asked.runtime, BUDGET_S)


def _tried(store: Store, asked: Asked) -> bool:
    """Whether a calibration of it waits, runs or was made, unless what was made last does not hold any more."""
    if any(calibrating.is_of(job.sweep_id, asked) for job in workflows_measure.jobs(store).states() if not job.ended):
        return True
    sweep_ids = workflows_measure.runs(store, deleted=True)["sweep_id"].unique()
    last = max((one for one in sweep_ids if calibrating.is_of(one, asked)), default=None)  # a time follows the setup
    stale = {one.calibration_id for one, _ in workflows_known.stale_calibrations(store)}
    return last is not None and last not in stale
