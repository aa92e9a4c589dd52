"""What predictions are worth on this machine: kept stores tell.

    python -m tests.benchmarks.as_measured HOME... [--probes 5]

HOMEs are ADVISOR_HOMEs of this machine, as `tests.benchmarks.prediction --home` leaves them. Of each calibrated setup
the predictions from before anything else was measured in it are held against all networks that were measured then; of
data/deviations.csv they do not know what it has of these. Three times: predicted for the machine's full pace, against
what all those runs say of it, each corrected by its average pulse and by what all runs of the setup say that networks
suffer; the same, against the median of the first run of each, steady or noisy, in whatever moment the machine was; and
as pages show it, for the machine as slow as in its last measurements before, against the same. With --probes each
calibration but eager mode's is cut down to its first networks, each measured once, as a search makes it by itself.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from advisor import workflows_known, workflows_measure
from advisor.evidence.store import Store
from advisor.predict import deviation_files
from advisor.predict.known import Known
from advisor.predict.pace import at_full_pace
from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.suffering import learned
from advisor.workflows import DATA

_FEWEST = 5
_CORRECTED, _FULL, _SHOWN = "full pace, runs corrected", "full pace, runs as they were", "as shown, runs as they were"


@contextmanager
def _cut(home: Path, n_probes: int | None) -> Iterator[Path]:
    """The folder, or a copy in which calibrations but eager mode's have so many probes at most, one run of each."""
    if n_probes is None:
        yield home
        return
    with TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(home, Path(folder) / home.name))
        store = Store(copied, DATA)
        listed = workflows_measure.runs(store).sort_values("run_id")
        for one in workflows_known.calibrations(store):
            probes = listed[listed["run_id"].isin(one.run_ids)]
            kept = set(probes.drop_duplicates("architecture")["run_id"].head(n_probes))
            if one.asked.runtime != "pytorch-eager":
                workflows_measure.delete_runs(store, sorted(set(one.run_ids) - kept))
        yield copied


@contextmanager
def _unaware(home: Path) -> Iterator[Store]:
    """The store of that folder, with the shipped data but for deviations of networks that no calibration measured."""
    store = Store(home, DATA)
    own = workflows_known.own_latencies(store)
    probing = {run_id for one in workflows_known.calibrations(store) for run_id in one.run_ids}
    later = own[~own["run_id"].isin(probing)]
    asked = set(zip(later["architecture"], later["img_size"], strict=True))
    shipped = deviation_files.load(DATA)
    kept = [key not in asked for key in zip(shipped["architecture"], shipped["img_size"], strict=True)]
    with TemporaryDirectory() as folder:
        for path in DATA.iterdir():
            if path.name != deviation_files.NAME:
                (Path(folder) / path.name).symlink_to(path)
        deviation_files.save(Path(folder), shipped[kept])
        yield Store(home, Path(folder))


def _later(store: Store, known: Known) -> pd.DataFrame:
    """The runs of a setup that came after its calibration, oldest first."""
    own = workflows_known.own_latencies(store)
    made = set(known.calibration.run_ids)
    return own[(own["setup"] == known.setup) & ~own["run_id"].isin(made) & (own["run_id"] > max(made))][::-1]


def _first_ms(known: Known, later: pd.DataFrame) -> dict[int, float]:
    """By row of its profiles, the median of the first run of each network that had not been measured before."""
    once = later.drop_duplicates(["architecture", "img_size"])
    keys = zip(once["architecture"], once["img_size"], strict=True)
    found = {known.profiles.positions.get(key, -1): ms for key, ms in zip(keys, once["latency_ms"], strict=True)}
    return {row: float(ms) for row, ms in found.items() if row >= 0 and row not in known.measured}


def suffered(known: Known, runs: pd.DataFrame) -> NDArray[np.float64]:
    """What each row of its profiles suffers of a slow machine, as all those runs of one setup tell."""
    if any(probe.matrix_units for probe in known.probes):
        return known.each_suffers
    told = learned(*workflows_known.told_of(runs, known.profiles))
    return told.of(known.profiles.n_operators, np.exp(known.posterior.mean))


def at_full_pace_ms(
    known: Known, runs: pd.DataFrame, rows: Iterable[int], full_ms: float | None, powers: NDArray[np.float64]
) -> dict[int, float]:  # fmt: skip
    """By row, what all those runs say of each at the machine's full pace, each corrected by its average pulse.

    Args:
        powers: What each row of its profiles suffers of a slow machine.
    """
    positions, wanted = known.profiles.positions, set(rows)
    columns = zip(runs["architecture"], runs["img_size"], runs["latency_ms"], runs["stretch"], strict=True)
    probes = [
        Probe(name, int(size), float(ms), stretch=stretch, suffers=float(powers[positions[name, size]]))
        for name, size, ms, stretch in columns
        if positions.get((name, size)) in wanted
    ]
    return {positions[one.key]: one.latency_ms for one in at_full_pace(probes, full_ms)}


@dataclass
class _Total:
    """Of all networks judged in a setup."""

    errors: list[NDArray[np.float64]] = field(default_factory=list)
    held: list[NDArray[np.bool_]] = field(default_factory=list)
    spearman: list[float] = field(default_factory=list)

    def said(self, believed: Posterior, found: dict[int, float]) -> str:
        """How far predictions are from what was found, remembered too."""
        low, middle, high = believed.quantiles()[list(found)].T
        true_ms = np.array(list(found.values()))
        self.errors.append(np.abs(middle / true_ms - 1))
        self.held.append((low <= true_ms) & (true_ms <= high))
        self.spearman.append(float(spearmanr(middle, true_ms).statistic))
        return f"{_shares(self.errors[-1], self.held[-1])}, ends apart by {np.median(high / low):.2f}"

    def __str__(self) -> str:
        errors, held = np.concatenate(self.errors), np.concatenate(self.held)
        return (
            f"{len(errors)} networks in {len(self.errors)} calibrations, {_shares(errors, held)}, Spearman "
            f"{np.median(self.spearman):.3f} (median of calibrations)"
        )


def _shares(errors: NDArray[np.float64], held: NDArray[np.bool_]) -> str:
    return f"median error {np.median(errors):5.1%}, within 10 % {np.mean(errors <= 0.1):4.0%}, held {held.mean():4.0%}"


def _judged(store: Store) -> Iterator[tuple[Known, pd.DataFrame, dict[int, float]]]:
    """Setups as they were known before anything else was measured in them, with the runs since, and `_first_ms`."""
    for last in workflows_known.known(store, batch_size=None):
        later = _later(store, last)
        before = min(later["run_id"], default=None)
        there = workflows_known.known(store, batch_size=None, before=before) if before else []
        for known in (one for one in there if one.setup == last.setup):
            if len(found := _first_ms(known, later)) >= _FEWEST:
                yield known, later, found


@click.command()
@click.argument("homes", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--probes", "n_probes", type=click.IntRange(min=1), help="Of each calibration but eager mode's.")
def main(homes: tuple[Path, ...], n_probes: int | None) -> None:
    """Print all three for each setup of each store, and for each setup of all."""
    judged, totals = set[str](), defaultdict[tuple[str, str], _Total](_Total)
    for home in homes:
        with _cut(home, n_probes) as folder, _unaware(folder) as store:
            own = workflows_known.own_latencies(store)
            for known, later, found in _judged(store):
                if known.calibration.calibration_id in judged:  # one store began as a copy of another
                    continue
                judged.add(known.calibration.calibration_id)
                label = known.asked.label
                click.echo(f"{home.name} {label}: {len(found)} networks, {known.slower.words} slower")
                powers = suffered(known, own[own["setup"] == known.setup])
                for name, believed, of_each in (
                    (_CORRECTED, known.posterior, at_full_pace_ms(known, later, found, known.full_ms, powers)),
                    (_FULL, known.posterior, found), (_SHOWN, known.as_it_is, found),
                ):  # fmt: skip
                    click.echo(f"  {name:28s} {totals[label, name].said(believed, of_each)}")
    if not totals:
        raise click.ClickException(f"No setup has {_FEWEST} networks that were measured after it was calibrated.")
    for (label, name), total in sorted(totals.items()):
        click.echo(f"{label}, {name}: {total}")


if __name__ == "__main__":
    main()
