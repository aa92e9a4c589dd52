"""The verbs of calibrating this machine, and of asking what is known of it, which are at home in `workflows_known`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from advisor import workflows_measure, workflows_predict
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure import machine, models
from advisor.measure.job_state import JobState
from advisor.measure.request import Request
from advisor.measure.run import Run
from advisor.measure.sweep import SENTINEL
from advisor.predict import calibration as calibrating
from advisor.predict.calibration import Asked, Calibration, drift_words
from advisor.predict.columns import Setup
from advisor.predict.known import Known, MeasuredHere, Prediction
from advisor.predict.profile import Profiles
from advisor.workflows_known import calibration_of, calibrations, known, least_pulses_ms, predict, stale_calibrations

__all__ = [
    "BUDGET_S", "N_PROBES", "Asked", "Calibrated", "Calibration", "Known", "MeasuredHere", "Prediction", "asked",
    "calibrate", "calibration_of", "calibrations", "finished", "known", "predict", "probe_order", "stale_calibrations",
    "submit_calibration",
]  # fmt: skip

N_PROBES = 12
BUDGET_S = 60.0
MAX_BUDGET_S = 86400.0
_SENTINELS_S = 8.0  # about what both runs of the sentinel take on two cores
_SPARE = 6  # networks beyond them that take the places of those that fail
# Above this many MACs a pass takes some 0.2 s on two cores, and a probe ten; another one tells more in that time. The
# cheapest tenth of all networks is always there to choose from, whatever the batch size.
_CPU_GMACS = 10.0
_ALWAYS = 0.1
# Compiling takes time for every kernel, and equal operators share one: with so many distinct ones it takes as long as
# all else that is done to measure a compiled network.
_DISTINCT = 60


def asked(
    target: str = "cpu", *, runtime: str = "pytorch-eager", precision: str | None = None, layout: str = "nchw",
    batch_size: int = 1, threads: int | None = None,
) -> Asked:  # fmt: skip
    """A setup of this machine, with what was left open filled in: fp32, and all threads that may be used.

    Raises:
        BadQuestion: A target that is not here, or a setup that no runtime offers.
    """
    machine.machine(target)
    threads = machine.usable_threads() if threads is None else threads
    return Asked(target, runtime, precision or "fp32", layout, batch_size, threads)


# -- calibrating ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration that has ended, with what is known by it.

    Attributes:
        probes: Runs of its probes that worked, in the order in which they were measured, as the query `own_runs` has
            them; a network may have several.
        seconds: Wall time from its turn to its end.
        problem: What went wrong beside single probes, in one sentence, or empty.
    """

    calibration: Calibration
    known: Known
    probes: pd.DataFrame
    seconds: float
    problem: str

    @property
    def noisy(self) -> pd.DataFrame:
        """Of every network without a steady run the last one."""
        steady = self.probes.loc[self.probes["verdict"] == "steady", "architecture"]
        return self.probes[~self.probes["architecture"].isin(steady)].drop_duplicates("architecture", keep="last")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known before the predictions are trusted, one sentence each."""
        found, made, noisy, n = [], self.calibration, self.noisy, self.probes["architecture"].nunique()
        if made.drifted:
            found.append(
                f"The sentinel drifted by {drift_words(made.drift or 0.0)} over the calibration: the machine was not "
                "the same throughout and all probes count as noisy. Calibrate again when it is quiet."
            )
        elif len(noisy):
            first = noisy.iloc[0]
            found.append(
                f"{len(noisy)} of {n} probes were noisy, as {first['architecture']}: "
                f"{first['verdict_reasons']} Calibrate again when the machine is quiet."
            )
        if made.drift is None:
            found.append("Whether the machine drifted is not known: a run of the sentinel is missing.")
        if len(slowed := self.known.slowed):
            found.append(
                f"{len(slowed)} of {self.known.n_probes} networks ran while the machine was up to "
                f"{100 * (slowed.max() - 1):.0f} % slower than at its full pace: their latencies were corrected for "
                f"that, and what is predicted is of {_moment(self.known)}."
            )
        found += [f"{name} was skipped: {reason}" for name, reason in made.skipped]
        if n < N_PROBES:
            more = "" if made.status == "stopped" else "; --budget-s gives them more time"
            found.append(f"{n} of {N_PROBES} probes were measured: more would narrow the intervals{more}.")
        return tuple(found)


def _moment(known: Known) -> str:
    if not known.slower.told:
        return "about the full pace"
    return f"a machine {known.slower.words} slower than that on average, as it was in its last measurements"


def calibrate(
    store: Store, asked: Asked, *, budget_s: float = BUDGET_S,
    on_change: Callable[[JobState], None] = lambda _state: None,
) -> Calibrated:  # fmt: skip
    """Measure probes of a setup and predict every other network there. An interrupt cancels it; probes so far stay.

    Args:
        budget_s: Of the probes; starting PyTorch and the two runs of the sentinel come on top.

    Raises:
        BadQuestion: Too few probes worked to predict anything; says why the last one did not.
    """
    return finished(store, submit_calibration(store, asked, budget_s=budget_s), on_change)


def submit_calibration(
    store: Store, asked: Asked, *, n_probes: int | None = None, budget_s: float = BUDGET_S,
    looks: int = calibrating.LOOKS,
) -> str:  # fmt: skip
    """Queue a calibration of `N_PROBES` probes or another number; the id of its job.

    Args:
        looks: How often each probe is measured while there is time.

    Raises:
        BadQuestion: A budget that makes no sense.
    """
    if not 0 < budget_s <= MAX_BUDGET_S:  # NaN fails too
        raise BadQuestion(f"--budget-s must be more than 0 and at most {MAX_BUDGET_S:g} s, not {budget_s:g}.")
    n, order, earlier_ms = N_PROBES if n_probes is None else n_probes, list[str](), list[float]()

    def follow(runs: tuple[Run, ...]) -> Request | None:
        from advisor.predict.predictor import MIN_PROBES

        if not order:  # here, because choosing takes a second and a click must not
            order.extend(probe_order(store, asked))
            earlier_ms.extend(least_pulses_ms(store, asked.target))
        return calibrating.next_probe(
            asked, order, runs, n=n, least=MIN_PROBES, budget_s=budget_s, looks=looks, earlier_ms=earlier_ms
        )

    unique = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    return workflows_measure.submit(
        store, [], title=asked.title, sweep_id=calibrating.new_id(asked, unique), sentinel=asked.sentinel,
        follow=follow, n_expected=n * looks, expected_s=expected_s(budget_s),
    )  # fmt: skip


def expected_s(budget_s: float) -> float:
    """How long a calibration takes, at most where the fewest probes end within its budget."""
    return calibrating.EXTENSION * budget_s + _SENTINELS_S


def probe_order(store: Store, asked: Asked) -> list[str]:
    """The networks to measure in a setup, most telling first; with the same data the same on every machine."""
    from advisor.predict.belief import belief  # loads scipy, which no other command needs
    from advisor.predict.probes import chosen

    past, prior = workflows_predict.published(store)
    kind = machine.machine(asked.target).kind
    setup = Setup(kind, "", "infer", asked.runtime, "", "", "", asked.precision, asked.layout, asked.batch_size)
    macs = past.profiles.models["macs"].to_numpy(np.float64)
    among = _candidates(past.profiles, macs, asked.batch_size if kind == "cpu" else None)
    distinct = np.diff(past.profiles.counts.indptr)
    effort = _DISTINCT + distinct if asked.runtime == "pytorch-compile" else None
    found = chosen(belief(past, setup), prior.scales, macs, n=N_PROBES + _SPARE, among=among, effort=effort)
    return [str(past.profiles.models["architecture"].iloc[row]) for row in found]


def _candidates(profiles: Profiles, macs: np.ndarray, cpu_batch_size: int | None) -> np.ndarray:
    """Rows of networks at their native size that may be probes: counted in full, and not too slow for a CPU."""
    native = {(one.architecture, one.img_size) for one in models.load().values()}
    counted = (profiles.models["uncounted"] == "").to_numpy()
    usable = np.array([
        row for key, row in sorted(profiles.positions.items(), key=lambda item: item[1])
        if key in native and counted[row] and key[0] != SENTINEL and not key[0].startswith("test_")
    ], dtype=np.intp)  # fmt: skip
    if cpu_batch_size is None:
        return usable
    most = max(_CPU_GMACS * 1e9 / cpu_batch_size, float(np.quantile(macs[usable], _ALWAYS)))
    return usable[macs[usable] <= most]


def finished(store: Store, job_id: str, on_change: Callable[[JobState], None] = lambda _state: None) -> Calibrated:
    """Wait for the job of a calibration; what it came to. An interrupt cancels it; probes so far stay.

    Raises:
        BadQuestion: Too few probes worked to predict anything; says why the last one did not.
    """
    ended = workflows_measure.finished(store, job_id, on_change)
    state = workflows_measure.jobs(store).state(job_id)
    made = calibration_of(store, job_id)
    if made is not None:
        for one in known(store, made.asked.target, batch_size=None):
            if one.setup == made.setup:
                listed = workflows_measure.runs(store).set_index("run_id", drop=False)
                return Calibrated(
                    made, one, listed.loc[list(made.run_ids)].reset_index(drop=True), state.seconds, ended.problem
                )
    raise BadQuestion(_too_few(ended.runs, ended.problem))


def _too_few(runs: Sequence[Run], problem: str) -> str:
    from advisor.predict.predictor import MIN_PROBES

    probes = [run for run in runs if run.request.architecture != SENTINEL]
    n_good = sum(run.status == "ok" for run in probes)
    reasons = [f"{run.request.architecture}: {run.reason}" for run in probes if run.status == "failed"]
    said = f"{n_good} of {len(probes)} probes worked, and predictions need {MIN_PROBES}: "
    return said + (problem or (reasons[-1] if reasons else "calibrate again with a larger --budget-s."))
