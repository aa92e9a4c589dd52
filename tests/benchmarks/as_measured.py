"""What predictions are worth to who measures a network once, in whatever moment the machine is: kept stores tell.

    python -m tests.benchmarks.as_measured HOME...

HOMEs are ADVISOR_HOMEs of this machine, as `tests.benchmarks.prediction --home` leaves them. Of each calibrated setup
the predictions from before anything else was measured in it are held against the medians of the networks that were
measured then, each by its first run, steady or noisy, uncorrected: once as predicted for the machine's full pace, and
once as shown, for the machine as slow as in its last measurements before. Of data/deviations.csv neither knows what it
has of the networks that were measured so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pandas as pd

from advisor import workflows_known
from advisor.evidence.store import Store
from advisor.predict import deviation_files
from advisor.predict.known import Known
from advisor.predict.predictor import Posterior
from advisor.predict.scoring import score_predictions
from advisor.workflows import DATA

_FEWEST = 5


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


def _said(believed: Posterior, found: dict[int, float]) -> tuple[str, float]:
    low, middle, high = believed.quantiles()[list(found)].T
    true_ms = np.array(list(found.values()))
    score = score_predictions(true_ms, middle, np.column_stack([low, high]))
    over = np.mean(true_ms > high)
    assert score.coverage is not None
    return (
        f"median error {score.median_error:5.1%}, held {score.coverage:4.0%}, above {over:4.0%}, "
        f"ends apart by {np.median(high / low):.2f}"
    ), score.coverage * len(found)  # fmt: skip


def _judged(store: Store) -> Iterator[tuple[Known, dict[int, float]]]:
    """Setups as they were known before anything else was measured in them, each with what then was."""
    for last in workflows_known.known(store, batch_size=None):
        later = _later(store, last)
        before = min(later["run_id"], default=None)
        there = workflows_known.known(store, batch_size=None, before=before) if before else []
        for known in (one for one in there if one.setup == last.setup):
            if len(found := _first_ms(known, later)) >= _FEWEST:
                yield known, found


@click.command()
@click.argument("homes", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(homes: tuple[Path, ...]) -> None:
    """Print both for each setup of each store, and what their 90 % intervals held in all."""
    n, held, judged = 0, np.zeros(2), set[str]()
    for home in homes:
        with _unaware(home) as store:
            for known, found in _judged(store):
                if known.calibration.calibration_id in judged:  # one store began as a copy of another
                    continue
                judged.add(known.calibration.calibration_id)
                click.echo(f"{home.name} {known.asked.label}: {len(found)} networks, {known.slower.words} slower")
                for i, (name, believed) in enumerate((("full pace", known.posterior), ("as shown", known.as_it_is))):
                    said, inside = _said(believed, found)
                    held[i] += inside
                    click.echo(f"  {name:10s} {said}")
                n += len(found)
    if not n:
        raise click.ClickException(f"No setup has {_FEWEST} networks that were measured after it was calibrated.")
    click.echo(
        f"Of {n} measurements 90 % intervals held {held[0] / n:.0%} at full pace and {held[1] / n:.0%} as shown."
    )


if __name__ == "__main__":
    main()
