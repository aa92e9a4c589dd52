"""Why a search has no answer: what came closest, and the limit to relax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from advisor.advice import limits
from advisor.advice.what_if import nearest_miss
from advisor.metrics import METRICS
from advisor.predict.search import chances
from advisor.records import Candidate, NearestMiss, Question
from advisor.workflows_find_play import Case, Played

_MS, _MB, _PER_S = (METRICS[name].show for name in ("latency_ms", "peak_memory_mb", "throughput_per_s"))
_LIKELY = 0.5  # from here on something unmeasured is said to be within the latency


def miss(case: Case, played: Played, frame: pd.DataFrame) -> NearestMiss:
    """Why nothing is answered: no candidate passes the other limits, or all are too large, or too slow.

    Args:
        frame: The candidates within the other limits as they are known now.
    """
    if frame.empty:
        return _outside(case)
    return _too_large(case, played, frame) or _too_slow(case, played, frame)


def _too_large(case: Case, played: Played, frame: pd.DataFrame) -> NearestMiss | None:
    """Where something was measured within the latency and only its memory is in the way: the least that would do."""
    fast = [option for option, one in played.tested.items() if not one.allowed and one.high_ms <= case.budget_ms]
    if not fast:
        return None
    budget, most = _budget(case), _MB(case.question.max_memory_mb)
    peaks = {o: peak for o in fast if (peak := played.results[o].peak_memory_mb) is not None}
    if not peaks:
        text = f"Of what was measured within {budget} no peak memory is known, and --max-memory-mb is {most}: drop it."
        return NearestMiss(text, None, (("max_memory_mb", "none"),))
    least = min(peaks, key=lambda o: (peaks[o], o))
    one = Candidate.from_row(frame.iloc[case.options.leader[least]].to_dict())
    would_do = _rounded(peaks[least], up=True)
    text = (
        f"Nothing that was measured within {budget} keeps to {most} of peak memory: {one.weights} at {one.img_size} px "
        f"needs the least, {_MB(peaks[least])} ({_MS(one.latency_ms)}, {one.runtime} {one.precision}). "
        f"--max-memory-mb {would_do:g} would do."
    )
    if _more_to_try(case, played):
        text += " Something unmeasured may need less: allow more measurements with --confirm."
    return NearestMiss(text, one.weights, (("max_memory_mb", would_do),))


def _too_slow(case: Case, played: Played, frame: pd.DataFrame) -> NearestMiss:
    """Where nothing was measured within the latency: the fastest, and what would do."""
    budget = case.budget_ms
    guesses = frame["evidence"] == "predicted"
    able = {"measured": frame[~guesses], "predicted": frame[guesses & ~frame["option"].isin(played.failed)]}
    said, would_do = [], []
    for evidence, rows in able.items():
        if rows.empty:
            continue
        one = Candidate.from_row(rows.iloc[int(rows["latency_ms"].to_numpy().argmin())].to_dict())
        low, high = one.interval_of("latency_ms") or (0.0, 0.0)
        said.append(
            f"the fastest {evidence} here is {one.weights} at {one.img_size} px with {_MS(one.latency_ms)} "
            f"({low:.4g}–{high:.4g}, {one.runtime} {one.precision})"
        )
        if high > budget:
            would_do.append((high, one))
    whole = " with its whole interval" if (able["measured"]["latency_ms"] <= budget).any() else ""
    text = f"Nothing was measured within {_budget(case)}{whole}: {', and '.join(said) or 'no candidate runs here'}."
    if _more_to_try(case, played):
        return NearestMiss(f"{text} Something unmeasured probably is: allow more measurements with --confirm.")
    if not would_do:
        return NearestMiss(text)
    to, one = min(would_do, key=lambda pair: pair[0])
    relax = _looser(case.question, to)
    said_so = [f"--{limit.replace('_', '-')} {value:g}" for limit, value in relax]
    return NearestMiss(f"{text} {' with '.join(said_so)} would probably do.", one.weights, relax)


def _looser(question: Question, to_ms: float) -> tuple[tuple[str, float], ...]:
    """The limits on speed that a latency breaks, with what it would keep."""
    found = []
    if question.max_latency_ms is not None and question.max_latency_ms < to_ms:
        found.append(("max_latency_ms", _rounded(to_ms, up=True)))
    throughput = (question.batch_size or 1) * 1000 / to_ms
    if question.min_throughput is not None and question.min_throughput > throughput:
        found.append(("min_throughput", _rounded(throughput, up=False)))
    return tuple(found)


def _more_to_try(case: Case, played: Played) -> bool:
    """Whether something unmeasured is rather within the latency than not."""
    within = chances(played.believed, played.tested, case.budget_ms, out=played.out)
    return bool(len(within) and within.max() > _LIKELY)


def _outside(case: Case) -> NearestMiss:
    """The nearest miss where no candidate is within the limits that need no measurement."""
    every, question = case.options.everything, replace(case.question, max_memory_mb=None)
    too_large = case.options.broken.drop(columns="max_memory_mb", errors="ignore")
    small_enough = every[~too_large.any(axis=1)]
    if small_enough.empty:
        return nearest_miss(every, limits.broken(every, question), limits.excess(every, question), question)
    one = small_enough.sort_values(["params_m", "weights"]).iloc[0]
    text = (
        f"The parameters alone take more than {_MB(case.question.max_memory_mb)} in every candidate; {one['weights']} "
        f"has the fewest, {METRICS['params_m'].show(one['params_m'])}."
    )
    return NearestMiss(text, str(one["weights"]))


def _budget(case: Case) -> str:
    """The latency that is asked for, with the throughput that asks for it where it is that one."""
    said, least = _MS(case.budget_ms), case.question.min_throughput
    stricter = least is not None and case.budget_ms < (case.question.max_latency_ms or np.inf)
    return f"{said} ({_PER_S(least)})" if stricter else said


def _rounded(value: float, *, up: bool) -> float:
    """Three figures, not less than the value, or not more."""
    scale = 10.0 ** (2 - int(np.floor(np.log10(value))))
    return float((np.ceil(value * scale) if up else np.floor(value * scale)) / scale)
