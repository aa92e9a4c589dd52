"""Calibrate this machine as a user would, then judge the predictions on networks that were never probes.

    python -m tests.benchmarks.prediction [--models 40] [--seed 0] [--runtime pytorch-eager] [--precision fp32]
                                          [--rounds 2] [--home FOLDER]

Networks are drawn at random from all that timm lists but those of data/deviations.csv in that setup, at their native
size, up to 20 GMACs (larger ones take seconds a pass on a small CPU). Predictions are frozen before the first of them
is measured. All are measured once in each round, in a random order of its own, for 4 s. Predictions are of the machine
at its full pace (`advisor.predict.pace`), of which a machine that others use too has little, so that each measurement
is corrected by its average pulse, as those of probes are, by what all runs of the setup together say that networks
suffer: the mean of a network's counts. How far two of one network
are apart so is printed too: no prediction can be nearer to the truth than the truth is to itself. In one line nothing
is corrected: the first measurement of each beside its prediction as pages show it, of the machine as slow as it was in
its last measurements; in another only networks count whose measurements were at full pace, where there are some. A
runtime other than eager is calibrated after eager mode, whose operators it shares.

Beside the predictor stand MACs x a constant and the nearest published device x a constant, both fitted on the same
probes. Then the search is played on the measured networks: budgets over their whole range, at most 5 confirmations.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from advisor import workflows_calibrate, workflows_known, workflows_measure, workflows_predict
from advisor.evidence.store import Store
from advisor.measure import models
from advisor.predict import search
from advisor.predict.baselines import macs_times_constant, nearest_device_times_constant
from advisor.predict.known import Known
from advisor.predict.operator_model import taught
from advisor.predict.pace import AT_FULL_PACE, at_full_pace, slowdowns, stretch_of
from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.scoring import PredictionScore, score_answer, score_predictions
from advisor.predict.search import Outcome
from advisor.workflows import DATA
from advisor.workflows_measure import Wanted
from tests.benchmarks.as_measured import suffered

MAX_MACS = 20e9
_BUDGETS = np.linspace(0.1, 0.9, 9)  # quantiles of the measured latencies
_LIMIT_S, _TIMING_S = 20.0, 4.0
_FEWEST = 5  # networks that a line is printed of


def told(known: Known) -> set[int]:
    """Rows of networks that its predictions were told of: measured here, or for the deviations that are shipped."""
    return {*known.measured, *(int(row) for one in known.elsewhere for row in one.rows)}


def drawn(known: Known, n: int, seed: int) -> list[int]:
    """Rows of networks at random, none of which it was told of."""
    taken = told(known)
    native = {(one.architecture, one.img_size) for one in models.load().values()}
    macs = known.profiles.models["macs"].to_numpy()
    able = [
        row for key, row in known.profiles.positions.items()
        if key in native and row not in taken and 0 < macs[row] <= MAX_MACS and not key[0].startswith("test_")
    ]  # fmt: skip
    return [int(row) for row in np.random.default_rng(seed).permutation(sorted(able))[:n]]


def measured(store: Store, known: Known, rows: Sequence[int], rounds: int, seed: int) -> list[list[Probe]]:
    """Of each row its measurements in the order of the rounds, each as a probe; none where it failed."""
    names = known.profiles.models["architecture"].to_numpy()
    asked = known.asked
    wanted = Wanted(
        target=asked.target, runtime=asked.runtime, precision=asked.precision, layout=asked.layout,
        batch_size=asked.batch_size, threads=asked.threads,
        time_limit_s=max(_LIMIT_S, 6 * _LIMIT_S * (asked.runtime == "pytorch-compile")),
    )  # fmt: skip
    found = [list[Probe]() for _ in rows]
    for one in range(rounds):
        order = np.random.default_rng(1000 * seed + one).permutation(len(rows)).tolist()
        order = [place for place in order if len(found[place]) == one]  # those that failed once fail again
        asked_for = workflows_measure.requests([names[rows[place]] for place in order], wanted)
        requests = [replace(request, timing_s=_TIMING_S) for request in asked_for]
        done = workflows_measure.measure(store, requests, title=f"Round {one + 1}", on_change=lambda _state: None)
        for place, run in zip(order, done.runs, strict=True):
            if run.measured is None:
                print(f"  {run.request.architecture}: {run.reason}")
                continue
            stretch, noisy = stretch_of(run.measured), run.verdict == "noisy"
            found[place].append(Probe(str(place), 0, run.measured.latency.p50, stretch=stretch, noisy=noisy))
    own = workflows_known.own_latencies(store)
    powers = suffered(known, own[own["setup"] == known.setup])[rows].tolist()
    return [[replace(one, suffers=power) for one in each] for each, power in zip(found, powers, strict=True)]


def _slowdowns_of_each(known: Known, found: Sequence[Sequence[Probe]]) -> list[list[float]]:
    """How many times slower than at its full pace the machine was during each measurement of each network."""
    return [slowdowns([one.stretch for one in each], known.full_ms).tolist() for each in found]


def _paced(known: Known, found: Sequence[Sequence[Probe]], slow: Sequence[Sequence[float]]) -> str:
    """How slow the machine was meanwhile, and how far two corrected measurements of a network are apart."""
    all_slow = np.maximum(np.concatenate(slow), 1.0) - 1
    once = [[one.latency_ms for run in each for one in at_full_pace([run], known.full_ms)] for each in found]
    apart = [abs(ms[1] / ms[0] - 1) for ms in once if len(ms) > 1]
    return (
        f" while the machine was {np.median(all_slow):.0%} slower than at its full pace ({all_slow.min():.0%} to "
        f"{all_slow.max():.0%}); two measurements of one, corrected for that, are {np.median(apart):.1%} apart (median "
        f"of {len(apart)})"
    )


def _row(name: str, score: PredictionScore) -> str:
    covered = "    –" if score.coverage is None else f"{score.coverage:5.0%}"
    return (
        f"{name:34s} {score.median_error:7.1%} {score.within_10:9.0%} {covered:>9s} {score.spearman:10.3f}"
    )  # fmt: skip


def _predicted(name: str, believed: Posterior, rows: NDArray[np.intp], true_ms: NDArray[np.float64]) -> str:
    low, middle, high = believed.quantiles()[rows].T
    return _row(name, score_predictions(true_ms, middle, np.column_stack([low, high])))


def judge(store: Store, known: Known, rows: NDArray[np.intp], true_ms: NDArray[np.float64]) -> None:
    """Print the table: the predictor as it is and without the machine's common pace, and the baselines."""
    past, _ = workflows_predict.published(store)
    low, middle, high = known.posterior.quantiles()[rows].T
    probes = np.array(sorted(known.measured))
    probe_ms = np.array([known.measured[row].p50 for row in probes])
    macs = known.profiles.models["macs"].to_numpy(np.float64)
    pace = float(np.median(true_ms / middle))
    print(f"{'':34s} {'median':>7s} {'±10 %':>9s} {'90 % int.':>9s} {'Spearman':>10s}")
    print(_predicted("predicted", known.posterior, rows, true_ms))
    paced = np.column_stack([low, high]) * pace
    print(_row(f"  without a common pace of {pace:.2f}", score_predictions(true_ms, middle * pace, paced)))
    print(_row("MACs x constant", score_predictions(true_ms, macs_times_constant(macs, probes, probe_ms, rows))))
    nearest = nearest_device_times_constant(past, known.setup, probes, probe_ms, rows)
    if np.isfinite(nearest).any():
        print(_row("nearest published device x constant", score_predictions(true_ms, nearest)))


def play(store: Store, known: Known, rows: NDArray[np.intp], true_ms: NDArray[np.float64]) -> None:
    """Print budget broken, regret and confirmations of the search over the measured networks."""
    scored = store.frame("scored").dropna(subset=["top1", "img_size"])
    top1 = scored.groupby(["architecture", "img_size"])["top1"].max().to_dict()
    keys = list(known.profiles.positions)
    kept = np.array([i for i, row in enumerate(rows) if keys[row] in top1], dtype=int)
    accuracy = np.array([top1[keys[row]] for row in rows[kept]])
    true_ms, prior = true_ms[kept], Posterior(known.posterior.mean[rows[kept]], known.posterior.deviation[rows[kept]])
    scores, points = [], []
    for budget_ms in np.quantile(true_ms, _BUDGETS):
        found = search.find(
            accuracy, {}, budget_ms, predict=lambda _confirmed, _ms: prior,
            measure=lambda option: Outcome.exactly(float(true_ms[option])),
        )  # fmt: skip
        scores.append(score_answer(accuracy, true_ms, budget_ms, found.pick, len(found.confirmed)))
        within = np.flatnonzero(np.exp(prior.mean) <= budget_ms)
        pick = int(within[np.argmax(accuracy[within])]) if len(within) else None
        points.append(score_answer(accuracy, true_ms, budget_ms, pick, 0))
    for name, given in (("predict, then confirm", scores), ("point prediction alone", points)):
        regrets = [one.regret for one in given if one.regret is not None] or [float("nan")]
        print(
            f"{name:34s} budget broken {np.mean([one.broken for one in given]):.0%}, mean regret "
            f"{np.mean(regrets):.2f} points, {np.mean([one.confirmations for one in given]):.1f} confirmations "
            f"({len(kept)} candidates, {len(given)} budgets)"
        )


@click.command()
@click.option("--models", "n_models", default=40, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--runtime", default="pytorch-eager", show_default=True)
@click.option("--precision", default=None)
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(min=2))
@click.option("--budget-s", default=workflows_calibrate.BUDGET_S, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="Kept, with its calibrations; else a temporary folder.")
def main(
    n_models: int, seed: int, runtime: str, precision: str | None, rounds: int, budget_s: float, home: Path | None
) -> None:
    """Print the table of the held-out networks."""
    with ExitStack() as stack:
        folder = home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = Store(folder, DATA)
        precision = precision or ("auto" if runtime == "openvino" else "fp32")
        for name, width in dict.fromkeys([("pytorch-eager", "fp32"), (runtime, precision)]):
            if workflows_calibrate.known(store, runtime=name, precision=width):
                continue
            began = time.monotonic()
            made = workflows_calibrate.calibrate(
                store, workflows_calibrate.asked(runtime=name, precision=width), budget_s=budget_s
            )
            n = made.probes["architecture"].nunique()
            took_s = time.monotonic() - began
            print(f"{name} {width}: calibrated in {took_s:.0f} s with {n} probes in {len(made.probes)} runs")
            print("\n".join(f"  {note}" for note in made.notes))
        taught.cache_clear()
        began = time.monotonic()  # a store that nothing was read from yet: as in a new process, imports aside
        (known,) = workflows_calibrate.known(Store(folder, DATA), runtime=runtime, precision=precision)
        print(f"{len(known.profiles)} networks and sizes predicted in {time.monotonic() - began:.2f} s")
        rows = np.array(drawn(known, n_models, seed), dtype=np.intp)
        found = measured(store, known, rows, rounds, seed)
        ran = np.array([bool(each) for each in found])
        found, rows = [each for each in found if each], rows[ran]
        slow = _slowdowns_of_each(known, found)
        print(f"{len(rows)} of {len(ran)} networks were measured{_paced(known, found, slow)}")
        true_ms = np.array([one.latency_ms for each in found for one in at_full_pace(each, known.full_ms)])
        judge(store, known, rows, true_ms)
        full = np.array([max(each) <= AT_FULL_PACE for each in slow])
        if full.sum() >= _FEWEST:
            print(_predicted(f"the {full.sum()} always at full pace", known.posterior, rows[full], true_ms[full]))
        name = f"as measured, {known.slower.words} slower expected"
        print(_predicted(name, known.as_it_is, rows, np.array([each[0].latency_ms for each in found])))
        play(store, known, rows, true_ms)


if __name__ == "__main__":
    main()
