"""What is known of this machine's setups in words and tables: calibrations, what each predicts, how it did. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from advisor.advice.pareto import pareto_front
from advisor.measure.job_state import JobState
from advisor.measure.machine import Machine
from advisor.predict.calibration import PREFIX, Asked, Calibration
from advisor.predict.known import Known
from advisor.views_measure import percent

if TYPE_CHECKING:
    from advisor.predict.foretold import Foretold, Step

_STATES = {"complete": "✓ calibrated", "stopped": "◐ stopped early", "too few": "◐ too few", "running": "… running"}
_AS_FACTOR = 1.5  # of the middle: "± 60 %" would be -60 % on one side only
_INTERVAL_SHARE = 0.9  # of what is measured later that the intervals are made to hold


@dataclass(frozen=True, slots=True)
class Outdated:
    """A setup of which no calibration holds: the newest one there was, and why it does not."""

    calibration: Calibration
    reasons: tuple[str, ...]


def is_calibration(job: JobState) -> bool:
    """Whether a job is one of calibrating."""
    return job.sweep_id.startswith(PREFIX)


def headline(here: Machine, threads: int) -> str:
    """The machine in a few words."""
    return f"**{here.name}** · {threads} usable thread{'' if threads == 1 else 's'}"


# -- which setups are calibrated -----------------------------------------------------------------------


def setup_label(one: Known) -> str:
    """A setup in words, with the precision really used where that is not what was asked for."""
    used = one.setup.precision
    return one.asked.label if used == one.asked.precision else f"{one.asked.label} (computed in {used})"


def calibration_table(found: Sequence[Known]) -> pd.DataFrame:
    """One row a calibrated setup, as text."""
    return pd.DataFrame(
        [
            {
                "Setup": setup_label(one),
                "State": _STATES[one.calibration.status],
                "Measured": f"{one.n_probes}",
                "Predicted": f"{one.n_predicted:,}",
                "Typical 90 % interval": spread_words(one.interval_ratio),
                "Calibrated (UTC)": one.calibration.started_at[:16].replace("T", " "),
                "How quiet it was": quietness(one),
            }
            for one in found
        ]
    )


def spread_words(ratio: float) -> str:
    """How wide an interval is, from its upper over its lower end: as percent either way, or as a factor."""
    factor = float(np.sqrt(ratio))
    return f"± {percent(factor - 1)}" if factor < _AS_FACTOR else f"÷ and × {factor:.1f}"


def runs_of(one: Known) -> tuple[str, ...]:
    """What is known of a setup depends on these runs and their verdicts: a key for caches."""
    return tuple(sorted(here.run_id + here.verdict for here in one.measured.values()))


def quietness(one: Known) -> str:
    """Whether the calibration can be trusted: drift, noisy probes and skipped ones in a few words."""
    made, said = one.calibration, list[str]()
    if made.drifted:
        said.append(f"the sentinel drifted by {percent(made.drift or 0.0)}: calibrate again when it is quiet")
    elif made.drift is not None:
        said.append(f"drift {percent(made.drift)}")
    if one.n_noisy:
        said.append(f"{one.n_noisy} noisy")
    if made.skipped:
        said.append(f"{len(made.skipped)} skipped")
    return ", ".join(said) or "no sentinel after it"


def skipped_sentences(found: Sequence[Known]) -> list[str]:
    """The probes that failed, one sentence each."""
    return [f"{one.asked.label} left out {name}: {reason}" for one in found for name, reason in one.calibration.skipped]


def outdated(
    stale: Sequence[tuple[Calibration, tuple[str, ...]]], found: Sequence[Known], target: str
) -> list[Outdated]:
    """The setups of a target of which no calibration holds, by name; of each the newest.

    Args:
        stale: Newest first.
        found: What holds.
    """
    held = {one.asked for one in found}
    newest: dict[str, Outdated] = {}
    for one, reasons in stale:
        if one.asked.target == target and one.asked not in held:
            newest.setdefault(one.asked.label, Outdated(one, reasons))
    return [newest[label] for label in sorted(newest)]


def outdated_words(one: Outdated) -> str:
    """Why a setup has to be calibrated again."""
    reasons = " ".join(one.reasons)
    return f"**{one.calibration.asked.label}** of {one.calibration.started_at[:10]} is out of date. {reasons}"


def not_calibrated(
    offers: Sequence[tuple[str, str]], found: Sequence[Known], old: Sequence[Outdated]
) -> list[tuple[str, str]]:
    """The (runtime, precision) pairs that are usually measured here and never were calibrated, in their order."""
    asked = [one.asked for one in found] + [one.calibration.asked for one in old]
    known = {(one.runtime, one.precision) for one in asked if one.batch_size == 1}
    return [offer for offer in offers if offer not in known]


def too_few(made: Sequence[Calibration], found: Sequence[Known], target: str) -> list[Calibration]:
    """Calibrations of a target that ended before they told anything, where nothing else of the setup does."""
    held = {one.asked for one in found}
    newest: dict[Asked, Calibration] = {}
    for one in made:
        newest.setdefault(one.asked, one)
    return [one for one in newest.values() if one.status == "too few" and one.asked.target == target
            and one.asked not in held]  # fmt: skip


def too_few_words(one: Calibration) -> str:
    """What a calibration lacks that told nothing."""
    n = len(one.run_ids)
    return (
        f"The last calibration of {one.asked.label} measured {n} network{'' if n == 1 else 's'}, too few to predict "
        "others: calibrate it again, when the machine is quiet or with more seconds for the probes."
    )


# -- every network -------------------------------------------------------------------------------------


def networks(one: Known, scored: pd.DataFrame, families: Collection[str] = (), accuracy: str = "top1") -> pd.DataFrame:
    """Every network of a setup with the accuracy of its best weights at that size, most accurate first.

    Args:
        scored: Weights x image size with accuracies, as the query `scored` gives them.
        families: Only these; none takes all.

    Returns:
        Columns of `Known.frame` and `weights`, `family`, `accuracy` (missing where none is published), `verdict`,
        `on_front` (no other is faster and as accurate).
    """
    known = scored[scored[accuracy].notna()].sort_values([accuracy, "weights"], ascending=[False, True])
    best = known.drop_duplicates(["architecture", "img_size"])
    frame = one.frame()
    frame = frame[~frame["architecture"].str.startswith("test_")].merge(
        best[["architecture", "img_size", "weights", accuracy]].rename(columns={accuracy: "accuracy"}),
        on=["architecture", "img_size"], how="left",
    )  # fmt: skip
    named = scored.drop_duplicates("architecture").set_index("architecture")["family"]
    verdicts = {here.run_id: here.verdict for here in one.measured.values()}
    frame = frame.assign(
        family=frame["architecture"].map(named).fillna("other"), verdict=frame["run_id"].map(verdicts).fillna(""),
    )  # fmt: skip
    if families:
        frame = frame[frame["family"].isin(list(families))]
    frame = frame.assign(on_front=False)
    with_accuracy = frame["accuracy"].notna()
    if with_accuracy.any():
        losses = np.column_stack([frame.loc[with_accuracy, "p50_ms"], -frame.loc[with_accuracy, "accuracy"]])
        frame.loc[with_accuracy, "on_front"] = pareto_front(losses.astype(float))
    ordered = frame.sort_values(["accuracy", "architecture", "img_size"], ascending=[False, True, True])
    return ordered.reset_index(drop=True)


def network_table(frame: pd.DataFrame, setup: str, text: str = "") -> pd.DataFrame:
    """The networks whose name or family holds a text, as shown: figures with their interval, evidence and setup."""
    words = text.lower().split()
    named = (frame["architecture"] + " " + frame["weights"].fillna("") + " " + frame["family"]).str.lower()
    kept = frame[[all(word in name for word in words) for name in named]]
    noisy = np.where(kept["verdict"] == "noisy", ", noisy", "")
    return pd.DataFrame({
        "architecture": kept["architecture"], "img_size": kept["img_size"], "p50_ms": kept["p50_ms"],
        "lo90_ms": kept["lo90_ms"], "hi90_ms": kept["hi90_ms"], "evidence": kept["evidence"].to_numpy(object) + noisy,
        "accuracy": kept["accuracy"], "weights": kept["weights"], "family": kept["family"], "setup": setup,
    }).reset_index(drop=True)  # fmt: skip


def networks_sentence(one: Known, n_accuracy: int) -> str:
    """How many networks stand behind a chart and what their intervals mean."""
    return (
        f"{one.n_predicted:,} networks and image sizes are predicted from {one.n_probes} measured ones; "
        f"{n_accuracy:,} of all have a published accuracy and stand in the chart. Nine in ten measurements are "
        "expected within their interval."
    )


# -- how it did ----------------------------------------------------------------------------------------


def tightening_words(steps: Sequence[Step], n_measured: int) -> str:
    """How far the predictions of a calibration have come."""
    if not steps:
        return f"{n_measured} probe{'' if n_measured == 1 else 's'} measured."
    told = [step.then for step in steps if step.then is not None]
    last = steps[-1]
    said = f"After {last.n_probes} probes the typical 90 % interval is {spread_words(last.ratio[1])}."
    if not told:
        return said
    inside = sum(one.inside for one in told)
    return f"{said} Of {len(told)} probes that were predicted before they were measured, {inside} fell within."


def foretold_words(found: Sequence[Foretold]) -> str:
    """How predictions of this machine did, in one sentence."""
    inside, n = sum(one.inside for one in found), len(found)
    error = float(np.median([one.error for one in found]))
    said = "1 network was" if n == 1 else f"{n} networks were"
    return (
        f"{said} measured here after being predicted: {inside} of {n} fell within the 90 % interval, where about "
        f"{_INTERVAL_SHARE * n:.1f} are expected, with a median error of {percent(error)}."
    )


def foretold_table(found: Sequence[tuple[str, Foretold]]) -> pd.DataFrame:
    """Each network that was measured after being predicted, as text.

    Args:
        found: The setup and the network.
    """
    return pd.DataFrame(
        [
            {
                "Network": f"{one.architecture} · {one.img_size} px",
                "Setup": setup,
                "Predicted (ms)": f"{one.p50_ms:,.4g} ({one.lo90_ms:,.4g}–{one.hi90_ms:,.4g})",
                "Measured (ms)": f"{one.measured_ms:,.4g}",
                "Within": "✓" if one.inside else "✗",
            }
            for setup, one in found
        ]
    )
