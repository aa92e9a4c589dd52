"""How wide intervals ought to be: kept calibrations, judged by all networks measured in any of the stores.

    python -m tests.benchmarks.coverage HOME... [--runtime pytorch-eager] [--precision fp32]

HOMEs are ADVISOR_HOMEs of one machine, as `tests.benchmarks.prediction --home` leaves them. Each calibration predicts
from its own probes alone, as before anything else was measured; what it is held against is what all measurements in
those stores say of a network at the pace that the calibration takes for the full one, which what is shown does not
depend on; networks of data/deviations.csv in that setup are left out, since predictions know them. A factor below 1
says that intervals so much narrower, on the scale of logarithms, would have held 90 %.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from advisor import workflows_known, workflows_measure
from advisor.evidence.store import Store
from advisor.predict.calibration import PREFIX
from advisor.predict.deviations import key_of
from advisor.predict.known import Known
from advisor.workflows import DATA
from tests.benchmarks.as_measured import at_full_pace_ms, suffered
from tests.benchmarks.prediction import told

_INSIDE = float(norm.ppf(0.95))  # standard deviations from the middle to the end of a 90 % interval
_NETWORK = ["key", "architecture", "img_size"]


def _measured(stores: list[Store]) -> pd.DataFrame:
    """Every measurement in those stores, with the `key` that setups have in common."""
    own = pd.concat([workflows_known.own_latencies(store) for store in stores], ignore_index=True)
    return own.assign(key=own["setup"].map(key_of))


def _off(known: Known, measured: pd.DataFrame) -> NDArray[np.float64]:
    """Standard deviations between what is believed of a network and what it took, of all that it was not told."""
    here = measured[measured["key"] == key_of(known.setup)]
    found = at_full_pace_ms(
        known, here, set(range(len(known.profiles))) - told(known), known.full_ms, suffered(known, here)
    )
    rows = list(found)
    wrong = np.log(list(found.values())) - known.posterior.mean[rows]
    return np.asarray(np.abs(wrong) / known.posterior.deviation[rows])


@click.command()
@click.argument("homes", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--runtime", default="pytorch-eager", show_default=True)
@click.option("--precision", default="fp32", show_default=True)
def main(homes: tuple[Path, ...], runtime: str, precision: str) -> None:
    """Print what the intervals of each calibration held, and all together."""
    stores = [Store(home, DATA) for home in homes]
    measured, all_off = _measured(stores), []
    for store in stores:
        runs = workflows_measure.runs(store)
        before = min(runs.loc[~runs["sweep_id"].str.startswith(PREFIX), "run_id"], default=None)
        for known in workflows_known.known(store, runtime=runtime, precision=precision, before=before):
            if len(off := _off(known, measured)):
                all_off.append(off)
                print(f"{store.home.name:20s} {known.n_probes:3d} probes {_said(off)}")
    if not all_off:
        raise click.ClickException("There is no calibration of that setup, or every network is in data/deviations.csv.")
    print(f"{'all':31s} {_said(np.concatenate(all_off))}")


def _said(off: NDArray[np.float64]) -> str:
    held, ought = np.mean(off <= _INSIDE), np.quantile(off, 0.9) / _INSIDE
    return f"held {held:.0%} of {len(off)}; a factor of {ought:.2f} would have held 90 %"


if __name__ == "__main__":
    main()
