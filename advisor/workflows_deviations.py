"""The verb that works out how networks deviate from the sum of their steps, for data/, from stores of one machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor import workflows_known, workflows_predict
from advisor.errors import BadQuestion, DataError
from advisor.evidence.store import Store
from advisor.predict import deviation_files
from advisor.predict.columns import Setup
from advisor.predict.deviations import COLUMNS
from advisor.predict.pace import at_full_pace, full_pulse_ms, least_ms
from advisor.predict.probe import Probe

if TYPE_CHECKING:
    from advisor.predict.predictor import Predictor

MIN_NETWORKS = 50  # of a setup, beside probes: 33 of torch.compile made predictions of other networks worse, not better


@dataclass(frozen=True, slots=True)
class DeviatingSetup:
    """What a build came to in a setup: its runtime and precision, and how many networks and calibrations there were."""

    setup: str
    n_networks: int
    n_calibrations: int


@dataclass(frozen=True, slots=True)
class DeviationsReport:
    """What a build came to."""

    setups: tuple[DeviatingSetup, ...]


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What one calibration says of a setup, and what was measured there: logarithms of ms, by row of the profiles."""

    setup: Setup
    device: str
    sums: NDArray[np.float64]
    at_probes: dict[int, float]
    taught: dict[int, float]
    measured: dict[int, float]


def build_deviations(store: Store, folders: Sequence[Path]) -> DeviationsReport:
    """Write data/deviations.csv from the calibrations and measurements in the stores of those folders.

    What it holds of that machine is replaced, what it holds of others stays; a broken file is replaced whole.

    Raises:
        BadQuestion: They are of several machines, or no setup has a calibration and enough other networks.
        DataError: The file cannot be written.
    """
    lessons = [lesson for folder in folders for lesson in _lessons(Store(folder, store.data))]
    devices = sorted({lesson.device for lesson in lessons})
    if len(devices) > 1:
        raise BadQuestion(f"These folders are of several machines, {' and '.join(devices)}: give those of one.")
    by_setup: dict[Setup, list[_Lesson]] = {}
    for lesson in lessons:
        by_setup.setdefault(lesson.setup, []).append(lesson)
    names = list(workflows_predict.published_devices(store)[0].profiles.positions)
    tables = {setup: _table(names, told) for setup, told in sorted(by_setup.items())}
    kept = {setup: table for setup, table in tables.items() if table["taught_ms"].isna().sum() >= MIN_NETWORKS}
    if not kept:
        raise BadQuestion(
            f"No setup in {', '.join(map(str, folders))} has a calibration and {MIN_NETWORKS} networks measured at "
            "the machine's full pace beside its probes: calibrate there and measure more."
        )
    deviation_files.save(store.data, pd.concat([*kept.values(), _of_others(store, devices[0])], ignore_index=True))
    return DeviationsReport(
        tuple(
            DeviatingSetup(f"{setup.runtime} {setup.precision}", len(table), len(by_setup[setup]))
            for setup, table in kept.items()
        )
    )


def _of_others(store: Store, device: str) -> pd.DataFrame:
    """What the file holds of other machines."""
    try:
        shipped = deviation_files.load(store.data)
    except DataError:
        return pd.DataFrame(columns=list(COLUMNS))
    return shipped[shipped["device"] != device]


def _lessons(store: Store) -> list[_Lesson]:
    """Of each setup of a store by its newest complete calibration."""
    from advisor.predict.predictor import Predictor  # loads scipy, which no other command needs

    past, prior = workflows_predict.published_devices(store)
    own, calibrations = workflows_known.own_latencies(store), workflows_known.calibrations(store)
    newest = {one.setup: one for one in reversed(calibrations) if one.status == "complete"}
    probes: dict[Setup, list[Probe]] = {
        setup: list(workflows_known.probes_of(store, own[own["run_id"].isin(one.run_ids)]).values())
        for setup, one in newest.items()
    }
    if not probes:
        return []
    predictor = Predictor(past, prior).fit(probes)
    probing = {run_id for one in calibrations for run_id in one.run_ids}
    others = own[~own["run_id"].isin(probing)]
    full_ms = full_pulse_ms(least_ms(own["stretch"].tolist()))
    devices = dict(zip(own["setup"], own["device"], strict=True))
    return [
        _lesson(predictor, setup, devices[setup], at_full_pace([*probes[setup], *given], full_ms))
        for setup in probes if predictor.own_[setup]
        for there in [workflows_known.probes_of(store, others[others["setup"] == setup], predictor.suffering_).values()]
        for given in [_telling(there, predictor, setup)]
    ]  # fmt: skip


def _telling(given: Iterable[Probe], predictor: Predictor, setup: Setup) -> list[Probe]:
    """The same, those that do not tell what they suffer of a slow machine with what is expected."""
    suffers, positions = predictor.suffers(setup), predictor.past.profiles.positions
    return [
        one if one.suffers is not None or one.key not in positions
        else replace(one, suffers=float(suffers[positions[one.key]]))
        for one in given
    ]  # fmt: skip


def _lesson(predictor: Predictor, setup: Setup, device: str, measured_there: Sequence[Probe]) -> _Lesson:
    """What a predictor has learned of a setup, and what every other network takes there at the machine's full pace."""
    base, probes = predictor.own_[setup][0], predictor.rows_[setup].tolist()
    measured = dict(zip(probes, np.log(predictor.latency_ms_[setup]).tolist(), strict=True))
    for one in measured_there:
        row = predictor.past.profiles.positions.get(one.key)
        if row is not None:
            measured.setdefault(row, float(np.log(one.latency_ms)))
    at_probes, taught = base.at_probes.tolist(), base.everywhere[probes].tolist()
    return _Lesson(
        setup, device, base.everywhere, dict(zip(probes, at_probes, strict=True)),
        dict(zip(probes, taught, strict=True)), measured,
    )  # fmt: skip


def _table(names: Sequence[tuple[str, int]], lessons: Sequence[_Lesson]) -> pd.DataFrame:
    """The networks that were measured in a setup, each with the mean of what all lessons say of it."""
    measured = {row for lesson in lessons for row in lesson.measured}
    latencies = {row: [lesson.measured[row] for lesson in lessons if row in lesson.measured] for row in measured}
    log_ms = {row: float(np.median(found)) for row, found in latencies.items()}
    paces = [
        float(np.median([log_ms[row] - lesson.sums[row] for row in measured if row not in lesson.taught]))
        if measured - set(lesson.taught) else 0.0
        for lesson in lessons
    ]  # fmt: skip
    setup, rows = lessons[0].setup, []
    for row in sorted(measured):
        sums = [one.at_probes.get(row, one.sums[row]) + pace for one, pace in zip(lessons, paces, strict=True)]
        taught = [one.taught[row] + pace for one, pace in zip(lessons, paces, strict=True) if row in one.taught]
        rows.append((
            setup.kind, lessons[0].device, setup.threads, setup.runtime, setup.software, setup.precision, setup.layout,
            setup.batch_size, *names[row], np.exp(log_ms[row]), np.exp(np.mean(sums)),
            np.exp(np.mean(taught)) if taught else np.nan,
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
