"""What is known of this machine's setups in words and tables: calibrations, what each predicts, how it did. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from advisor.advice.pareto import pareto_front
from advisor.measure.job_state import JobState
from advisor.measure.machine import Machine
from advisor.metrics import percent
from advisor.predict.calibration import PREFIX, Calibration, drift_words
from advisor.predict.known import Known

if TYPE_CHECKING:
    from advisor.predict.foretold import Foretold, Step

_STATES = {"complete": "✓ calibrated", "stopped": "◐ stopped early", "too few": "◐ too few", "running": "… running"}
_MANY_NOISY = 0.25  # of the networks measured; fewer noisy ones barely widen what the others tell
_ENOUGH = 2 / 3  # of the probes that are planned
_AS_FACTOR = 1.5  # of the middle: "± 60 %" would be -60 % on one side only
_INTERVAL_SHARE = 0.9  # of what is measured later that the intervals are made to hold


@dataclass(frozen=True, slots=True)
class Outdated:
    """A setup of which no calibration holds: the newest one there was, and why it does not.

    Attributes:
        elsewhere: Whether it was made on another machine.
    """

    calibration: Calibration
    reasons: tuple[str, ...]
    elsewhere: bool = False


def is_calibration(job: JobState) -> bool:
    """Whether a job is one of calibrating."""
    return job.sweep_id.startswith(PREFIX)


def headline(here: Machine, threads: int) -> str:
    """The machine in a few words."""
    return f"**{here.name}** · {threads} usable thread{'' if threads == 1 else 's'}"


# -- which setups are calibrated -----------------------------------------------------------------------


def setup_label(one: Known) -> str:
    """A setup in words, with the precision really used and the threads where they are not those to be expected."""
    used, n = one.setup.precision, one.asked.threads
    fewer = one.calibration.fingerprint.get("threads") not in (None, str(n))
    label = one.asked.label + (f", {n} thread{'' if n == 1 else 's'}" if fewer else "")
    return label if used == one.asked.precision else f"{label} (computed in {used})"


def under_way(found: Sequence[Known], jobs: Sequence[JobState]) -> list[Known]:
    """What is known, with each calibration that a job is still at marked as running."""
    active = {job.sweep_id for job in jobs if not job.ended}
    return [
        replace(one, calibration=replace(one.calibration, status="running"))
        if one.calibration.calibration_id in active else one
        for one in found
    ]  # fmt: skip


def calibration_table(found: Sequence[Known], planned: int) -> pd.DataFrame:
    """One row a calibrated setup, as text.

    Args:
        planned: The probes of a calibration.
    """
    return pd.DataFrame(
        [
            {
                "Setup": setup_label(one),
                "State": state_words(one, planned),
                "Measured": f"{one.n_probes}",
                "Predicted": f"{_n_predicted(one):,}",
                "Typical 90 % interval": spread_words(one.interval_ratio),
                "Calibrated (UTC)": one.calibration.started_at[:16].replace("T", " "),
                "How quiet it was": quietness(one),
            }
            for one in found
        ]
    )


def state_words(one: Known, planned: int) -> str:
    """How a calibration stands: a sign, and what it lacks."""
    noisy, few = _is_noisy(one), _is_few(one, planned)
    if one.calibration.status != "complete" or not (noisy or few):
        return _STATES[one.calibration.status]
    return "◐ " + ", ".join(["noisy"] * noisy + ["few probes"] * few)


def to_repeat(one: Known, planned: int) -> str:
    """Why a calibration should be made once more though it holds, in a few sentences; empty where it should not."""
    if one.calibration.status == "running":
        return ""
    said, n = list[str](), one.n_probes
    if one.calibration.drifted:
        said.append(
            f"The time of the reference network changed by {drift_words(one.calibration.drift or 0.0)} from before the "
            "probes to after them, so none of them is certain: calibrate again when the machine is quiet."
        )
    elif _is_noisy(one):
        said.append(f"{one.n_noisy} of {n} measured networks are noisy: calibrate again when the machine is quiet.")
    if _is_few(one, planned):
        said.append(
            f"{n} networks were measured, where a calibration measures {planned}, so the intervals are wide: calibrate "
            "again, with more seconds for the probes (under Advanced) if time was short."
        )
    elif one.calibration.status == "stopped" and n < planned:
        said.append("It was stopped early: the probes that it lacks would narrow the intervals.")
    return " ".join(said)


def _is_noisy(one: Known) -> bool:
    return one.calibration.drifted or one.n_noisy > _MANY_NOISY * one.n_probes


def _is_few(one: Known, planned: int) -> bool:
    return one.n_probes < _ENOUGH * planned


def _n_predicted(one: Known) -> int:
    """Networks and sizes that were not measured, without timm's own `test_` ones, as the table of all has them."""
    names = one.profiles.models["architecture"].str.startswith("test_").to_numpy(bool)
    return int((~names).sum()) - sum(not names[row] for row in one.measured)


def spread_words(ratio: float) -> str:
    """How wide an interval is, from its upper over its lower end: as percent either way, or as a factor."""
    factor = float(np.sqrt(ratio))
    return f"± {percent(factor - 1)}" if factor < _AS_FACTOR else f"÷ and × {factor:.1f}"


def quietness(one: Known) -> str:
    """Whether the calibration can be trusted: drift, noisy, slowed and skipped probes in a few words."""
    made, said = one.calibration, list[str]()
    if made.drifted:
        said.append(f"drifted by {drift_words(made.drift or 0.0)}")
    elif made.drift is not None:
        said.append(f"drift {drift_words(made.drift)}")
    if one.n_noisy:
        said.append(f"{one.n_noisy} noisy")
    if n_slowed := len(one.slowed):
        said.append(f"{n_slowed} slowed, allowed for")
    if made.skipped:
        said.append(f"{len(made.skipped)} skipped")
    return ", ".join(said) or "drift not known"


def skipped_sentences(found: Sequence[Known]) -> list[str]:
    """The probes that failed, one sentence each."""
    return [f"{one.asked.label} left out {name}: {reason}" for one in found for name, reason in one.calibration.skipped]


def outdated(
    stale: Sequence[tuple[Calibration, tuple[str, ...]]], found: Sequence[Known], target: str, device_id: str
) -> list[Outdated]:
    """The setups of a target of which no calibration holds, by name; of each the newest that told anything.

    Setups that differ in their threads alone are one: with how many threads is no reason to ask for both.

    Args:
        stale: Newest first.
        found: What holds.
        device_id: Of the target on this machine.
    """
    held = {one.asked.label for one in found}
    newest: dict[str, Outdated] = {}
    for one, reasons in sorted(stale, key=lambda pair: pair[0].fingerprint["device_id"] != device_id):  # our own first
        if one.asked.target == target and one.asked.label not in held and one.status != "too few":
            elsewhere = one.fingerprint["device_id"] != device_id
            newest.setdefault(one.asked.label, Outdated(one, reasons, elsewhere))
    return [newest[label] for label in sorted(newest)]


def outdated_words(one: Outdated) -> str:
    """Why a setup has to be calibrated again: a badge, and the reasons."""
    icon, state = ("computer", "made on another machine") if one.elsewhere else ("update", "out of date")
    made = one.calibration
    return (
        f":orange-badge[:material/{icon}: {state}] **{made.asked.label}** of {made.started_at[:10]}. "
        f"{' '.join(one.reasons)}"
    )


def not_calibrated(
    offers: Sequence[tuple[str, str]], found: Sequence[Known], old: Sequence[Outdated]
) -> list[tuple[str, str]]:
    """The (runtime, precision) pairs that are usually measured here and never were calibrated, in their order."""
    asked = [one.asked for one in found] + [one.calibration.asked for one in old]
    known = {(one.runtime, one.precision) for one in asked if one.batch_size == 1}
    return [offer for offer in offers if offer not in known]


def too_few(
    made: Sequence[Calibration], stale: Sequence[tuple[Calibration, tuple[str, ...]]], found: Sequence[Known],
    target: str,
) -> list[Calibration]:  # fmt: skip
    """Calibrations of a target that ended before they told anything, where nothing else of the setup does.

    Args:
        made: Newest first.
        stale: Those of them that do not hold, as those of another machine: they are left out.
    """
    held, gone = {one.asked.label for one in found}, {one.calibration_id for one, _ in stale}
    newest: dict[str, Calibration] = {}
    for one in made:
        if one.asked.target == target and one.calibration_id not in gone:
            newest.setdefault(one.asked.label, one)
    return [one for one in newest.values() if one.status == "too few" and one.asked.label not in held]


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


def networks_sentence(frame: pd.DataFrame, one: Known) -> str:
    """How many networks are shown, what they are predicted from and what their intervals mean.

    Args:
        frame: As `networks` gives it.
    """
    n_predicted = int((frame["evidence"] == "predicted").sum())
    beside = ""
    if one.elsewhere:
        there = " and ".join(f"{len(known.rows)} on {known.device}" for known in one.elsewhere)
        beside = f" and, as far as these bear it out, from how far others were from their operators, {there}"
    return (
        f"{n_predicted:,} networks and image sizes are predicted from {one.n_probes} measured here{beside}; "
        f"{int(frame['accuracy'].notna().sum()):,} of all have a published accuracy and stand in the chart. Nine in "
        f"ten of those predicted are expected to measure within their interval. {one.slower.sentence}"
    ).rstrip()


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
    if len(told) == 1:
        fell = "fell" if told[0].inside else "did not fall"
        return f"{said} One probe was predicted before it was measured; it {fell} within its interval."
    inside = sum(one.inside for one in told)
    return f"{said} {len(told)} probes were predicted before they were measured; {inside} of them fell within."


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
                "Predicted, 90 % interval (ms)": f"{one.p50_ms:,.4g} ({one.lo90_ms:,.4g}–{one.hi90_ms:,.4g})",
                "Measured (ms)": f"{one.measured_ms:,.4g}",
                "Within": "✓" if one.inside else "✗",
            }
            for setup, one in found
        ]
    )
