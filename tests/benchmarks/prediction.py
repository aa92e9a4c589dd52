"""Calibrate this machine as a user would, then judge the predictions on networks that were never probes.

    python -m tests.benchmarks.prediction [--models 40] [--seed 0] [--runtime pytorch-eager] [--precision fp32]
                                          [--rounds 4] [--home FOLDER]

Networks are drawn at random from all that timm lists but those of data/deviations.csv in that setup, at their native
size, up to 20 GMACs (larger ones take seconds a pass on a small CPU). Predictions are frozen before the first of them
is measured. They are of the machine at its full pace (`advisor.predict.pace`), so that is what they are held against:
all networks are measured in two rounds, each in a random order of its own, every one when the machine is at its full
pace or after 10 s in vain, and those of which not both measurements were, by the pulse in the fullest third of each,
once more in each further round; that third counts, unless it took over a quarter more than another of its network: then
something disturbed it that no pulse met. What others do on a shared machine makes a network slower and never faster, so
its latency is the least at full pace; one that never met full pace is left out and counted. In one line it is not:
there such latencies are corrected by their pulse as those of probes are, which on a machine that is rarely at its full
pace is most of the evidence, and no better than the correction. In another line nothing is: the first measurement of
each beside its prediction as pages show it, of the machine as slow as it was in its last measurements. How far two
measurements at full pace are apart is printed too: no prediction can be nearer to the truth than the truth is to
itself. A runtime other than eager is calibrated after eager mode, whose operators it shares.

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

from advisor import workflows_calibrate, workflows_measure, workflows_predict
from advisor.evidence.store import Store
from advisor.measure import models
from advisor.predict import search
from advisor.predict.baselines import macs_times_constant, nearest_device_times_constant
from advisor.predict.known import Known
from advisor.predict.operator_model import taught
from advisor.predict.pace import AT_FULL_PACE, at_full_pace, pulses_ms, slowdowns, stretch_of, undisturbed
from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.scoring import PredictionScore, score_answer, score_predictions
from advisor.predict.search import Outcome
from advisor.workflows import DATA
from advisor.workflows_measure import Wanted

MAX_MACS = 20e9
_BUDGETS = np.linspace(0.1, 0.9, 9)  # quantiles of the measured latencies
_LIMIT_S, _TIMING_S, _PATIENCE_S = 20.0, 4.0, 10.0
_ROUNDS_OF_ALL = 2


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


def measured(
    store: Store, known: Known, rows: Sequence[int], rounds: int, seed: int
) -> tuple[list[list[float]], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Of each row its latencies in ms at full pace, in the order of the rounds, none where it failed or never met it;
    and twice shape (n_rows,), of each that ran at all: one latency, corrected by its pulse where it never met full
    pace, and the median of the first."""
    names = known.profiles.models["architecture"].to_numpy()
    asked, found, probes = known.asked, list[tuple[int, float]](), list[Probe]()
    wanted = Wanted(
        target=asked.target, runtime=asked.runtime, precision=asked.precision, layout=asked.layout,
        batch_size=asked.batch_size, threads=asked.threads,
        time_limit_s=_PATIENCE_S + max(_LIMIT_S, 6 * _LIMIT_S * (asked.runtime == "pytorch-compile")),
    )  # fmt: skip
    full_ms = known.full_ms
    paced = {} if full_ms is None else {"pulse_ms": AT_FULL_PACE * full_ms, "patience_s": _PATIENCE_S}
    failed, at_pace = set[int](), list[list[float]]()
    for one in range(rounds):
        order = [int(i) for i in np.random.default_rng(1000 * seed + one).permutation(len(rows)) if i not in failed]
        order = [i for i in order if one < _ROUNDS_OF_ALL or len(at_pace[i]) < _ROUNDS_OF_ALL]
        if not order:
            break
        asked_for = workflows_measure.requests([names[rows[i]] for i in order], wanted)
        requests = [replace(one, timing_s=_TIMING_S, **paced) for one in asked_for]
        done = workflows_measure.measure(store, requests, title=f"Round {one + 1}", on_change=lambda _state: None)
        for place, run in zip(order, done.runs, strict=True):
            if run.measured is None:
                failed.add(place)
                print(f"  {run.request.architecture}: {run.reason}")
                continue
            found.append((place, run.measured.latency.fullest_ms))
            probes.append(Probe(str(place), 0, run.measured.latency.p50, stretch=stretch_of(run.measured)))
        full = slowdowns(pulses_ms([probe.stretch for probe in probes]), full_ms) <= AT_FULL_PACE
        full &= undisturbed(*zip(*found, strict=True))
        at_pace = [[ms for (i, ms), good in zip(found, full, strict=True) if good and i == j] for j in range(len(rows))]
    print(f"{np.mean(~full):.0%} of {len(full)} measurements were not at full pace")
    corrected, first_ms = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for probe in reversed(probes):
        first_ms[int(probe.architecture)] = probe.latency_ms
    for probe in at_full_pace(probes, full_ms):
        corrected[int(probe.architecture)] = min(at_pace[int(probe.architecture)], default=probe.latency_ms)
    return at_pace, corrected, first_ms


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
@click.option("--rounds", default=4, show_default=True, type=click.IntRange(min=_ROUNDS_OF_ALL))
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
        times, corrected, first_ms = measured(store, known, rows, rounds, seed)
        apart = [abs(each[1] / each[0] - 1) for each in times if len(each) > 1]
        done = np.array([bool(each) for each in times])
        print(
            f"{done.sum()} of {len(rows)} networks were measured at full pace; two measurements of one are "
            f"{np.median(apart):.1%} apart (median of {len(apart)})"
        )
        true_ms = np.array([min(each) for each in times if each])
        judge(store, known, rows[done], true_ms)
        if (ran := ~np.isnan(corrected)).sum() > done.sum():
            name = f"predicted, {(ran & ~done).sum()} more corrected"
            print(_predicted(name, known.posterior, rows[ran], corrected[ran]))
        name = f"as measured, {known.slower.words} slower expected"
        print(_predicted(name, known.as_it_is, rows[ran], first_ms[ran]))
        play(store, known, rows[done], true_ms)


if __name__ == "__main__":
    main()
