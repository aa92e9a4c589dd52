"""How wide intervals ought to be: kept calibrations, judged by all networks measured at full pace in any of the stores.

    python -m tests.benchmarks.coverage HOME... [--runtime pytorch-eager] [--precision fp32]

HOMEs are ADVISOR_HOMEs of one machine, as `tests.benchmarks.prediction --home` leaves them. Each calibration predicts
from its own probes alone, as before anything else was measured; what it is held against is the least latency at the
full pace of all those stores, where no other run undercuts it by a quarter; networks of data/deviations.csv in that
setup are left out, since predictions know them. A factor below 1 says that intervals so much
narrower, on the scale of logarithms, would have held 90 %.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
from scipy.stats import norm

from advisor import workflows_known, workflows_measure
from advisor.evidence.store import Store
from advisor.predict import deviation_files
from advisor.predict.calibration import PREFIX
from advisor.predict.pace import AT_FULL_PACE, full_pulse_ms, fullest_ms, pulses_ms, slowdowns, undisturbed
from advisor.workflows import DATA

_INSIDE = float(norm.ppf(0.95))  # standard deviations from the middle to the end of a 90 % interval
_KEY = ["architecture", "img_size"]


def _measured(stores: list[Store], runtime: str, precision: str) -> pd.Series:
    """Latencies in ms by architecture and image size."""
    own = pd.concat([workflows_known.own_latencies(store) for store in stores], ignore_index=True)
    slow = slowdowns(pulses_ms(own["fullest"].tolist()), full_pulse_ms(pulses_ms(own["fullest"].tolist())))
    own = own.assign(ms=fullest_ms(own["latency_ms"].tolist(), own["fullest"].tolist()), slow=slow)
    setups = [(one.runtime, one.precision, one.batch_size) == (runtime, precision, 1) for one in own["setup"]]
    own = own[np.array(setups, dtype=bool)]
    kept = (own["slow"] <= AT_FULL_PACE) & undisturbed(list(own[_KEY].itertuples(index=False, name=None)), own["ms"])
    least = own[kept].groupby(_KEY)["ms"].min()
    shipped = deviation_files.load(DATA)
    known = shipped[(shipped["runtime"] == runtime) & (shipped["precision"] == precision)]
    return least.drop(pd.MultiIndex.from_frame(known[_KEY]), errors="ignore")


@click.command()
@click.argument("homes", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--runtime", default="pytorch-eager", show_default=True)
@click.option("--precision", default="fp32", show_default=True)
def main(homes: tuple[Path, ...], runtime: str, precision: str) -> None:
    """Print what the intervals of each calibration held, and all together."""
    stores = [Store(home, DATA) for home in homes]
    true_ms, all_off = _measured(stores, runtime, precision), []
    for store in stores:
        runs = workflows_measure.runs(store)
        before = min(runs.loc[~runs["sweep_id"].str.startswith(PREFIX), "run_id"], default=None)
        for known in workflows_known.known(store, runtime=runtime, precision=precision, before=before):
            found = {known.profiles.positions.get(key, -1): ms for key, ms in true_ms.items()}
            rows = np.array([row for row in found if row >= 0 and row not in known.measured], dtype=np.intp)
            wrong = np.log([found[row] for row in rows.tolist()]) - known.posterior.mean[rows]
            if not len(rows):
                continue
            off = np.abs(wrong) / known.posterior.deviation[rows]
            all_off.append(off)
            print(f"{store.home.name:20s} {known.n_probes:3d} probes {_said(off)}")
    if not all_off:
        raise click.ClickException("No calibration and no network of another one's were found for that setup.")
    print(f"{'all':31s} {_said(np.concatenate(all_off))}")


def _said(off: np.ndarray) -> str:
    held, ought = np.mean(off <= _INSIDE), np.quantile(off, 0.9) / _INSIDE
    return f"held {held:.0%} of {len(off)}; a factor of {ought:.2f} would have held 90 %"


if __name__ == "__main__":
    main()
