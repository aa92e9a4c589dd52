"""From candidates and a question to an answer. Pure: frames in, a Recommendation out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pandas as pd

from advisor.advice import limits, measured, predicted, ties
from advisor.advice.pareto import pareto_front
from advisor.advice.predicted import HIGH, LOW, Guesses, guarded
from advisor.advice.setups import QUANTISED, Axis, Chosen, choose_runs, known_word
from advisor.advice.what_if import nearest_miss, what_if
from advisor.errors import BadQuestion
from advisor.metrics import METRICS
from advisor.records import (
    FOUR_FAMILIES,
    Beyond,
    Candidate,
    MightWin,
    NearestMiss,
    Question,
    Reason,
    Recommendation,
)

SIX_TEST_SETS: tuple[str, ...] = ("top1", "real", "v2", "a", "r", "sketch")
_NEAR_LIMIT = 0.03  # share of a speed limit; published speeds of one network differ by that much between runs
_RULE_COLUMNS = (
    "weights", "img_size", "accuracy", "accuracy_name", "accuracy_error", "params_m", "licence", "extra_data_rank",
    "pretraining",
)  # fmt: skip
_OURS = "this advisor's stated order of decisions"

Speak = Callable[[Candidate | None], tuple[Reason, ...]]


def candidates(scored: pd.DataFrame, chosen: Chosen, question: Question) -> pd.DataFrame:
    """Weights joined with the run of their architecture at the same image size, with the accuracy asked for.

    Args:
        scored: Weights x image size with all accuracies, as the query `scored` gives them.

    Returns:
        One row a candidate with `Candidate`'s columns and `imagenet_1k_only`, `extra_data_rank`; candidates
        without the accuracy asked for are left out. The columns of predictions are there where any is predicted.
    """
    frame = scored.merge(chosen.runs.drop(columns="model"), on=["architecture", "img_size"], how="inner")
    six = frame[list(SIX_TEST_SETS)].to_numpy(float)
    if question.accuracy == "robust":
        frame["accuracy"] = six.mean(axis=1)  # NaN where one of the six is not published
        frame["accuracy_error"] = ties.robust_error(six)
    else:
        frame["accuracy"] = frame[question.accuracy]
        frame["accuracy_error"] = ties.sampling_error(frame["accuracy"].to_numpy(float), question.accuracy)
    frame["accuracy_name"] = question.accuracy
    frame["accuracy_of"] = np.where(frame["precision"].isin(QUANTISED), "the float weights", "these weights")
    frame = _with_intervals(frame)
    if HIGH in frame:
        frame["p_within"] = predicted.probability_within(frame, question)
    return frame[frame["accuracy"].notna()].reset_index(drop=True)


def _with_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `interval`; and with its ends over the latency itself (`ties.INTERVAL`) where any row has one."""
    frame["interval"] = None
    ends = [frame[name].to_numpy(float) for name in ("ci95_low_ms", "ci95_high_ms")]
    known = ~np.isnan(ends[0])
    if known.any():
        pairs = [(float(a), float(b)) if there else None for a, b, there in zip(*ends, known, strict=True)]
        frame["interval"] = pd.Series(pairs, frame.index, dtype=object)
    if HIGH in frame:
        ends = [np.where(known, end, frame[name].to_numpy(float)) for end, name in zip(ends, (LOW, HIGH), strict=True)]
    if (known := ~np.isnan(ends[0])).any():
        # a setup may state throughput alone: then the median is that of the predicted interval, which is log-normal
        latency = np.where(frame["latency_ms"].isna(), np.sqrt(ends[0] * ends[1]), frame["latency_ms"].to_numpy(float))
        for name, end in zip(ties.INTERVAL, ends, strict=True):
            frame[name] = np.where(known, end / latency, 1.0)
    return frame


def recommend(
    scored: pd.DataFrame,
    runs: pd.DataFrame,
    question: Question,
    device_name: str,
    *,
    guesses: Guesses | None = None,
    speak: Speak = lambda _pick: (),
) -> Recommendation:
    """Answer a question from the runs of its device and, where they may, from what is predicted there.

    Hard limits first, then the Pareto front over accuracy and speed; the pick is settled among the
    candidates of the front within the sampling error of the most accurate one.

    Args:
        runs: All runs of the device for the question's task.
        guesses: What is predicted there.
        speak: Gives the reasons that rules and claims add, once the pick is known.

    Raises:
        BadQuestion: The device has no run of the runtime, precision or layout asked for.
    """
    chosen = choose_runs(runs, question, device_name, guesses.joining if guesses else None)
    if chosen.missing is not None:
        return _nothing_published(scored, runs, question, device_name, chosen, speak)
    frame = candidates(scored, chosen, question)
    broken = limits.broken(frame, question)
    fits = ~broken.any(axis=1).to_numpy(bool)
    fits_but_family = ~broken.drop(columns="families", errors="ignore").any(axis=1).to_numpy(bool)
    pool = _Pool(frame, chosen.axis)
    pick, stages, tied = pool.settle(fits)
    miss = None
    if pick is None:
        miss = nearest_miss(frame, broken, limits.excess(frame, question), question)
    beside = beside_answer(scored, frame, question, chosen.axis, device_name, guesses)
    reasons = (
        *_own_reasons(question, chosen, int(fits.sum()), pick, tied, stages),
        *measured.reasons(question, frame, pick, device_name),
        *predicted.reasons(frame, pick, chosen.axis, device_name),
        *_families_without_results(frame, beside, question, chosen.axis, device_name, guesses),
        *speak(pick),
    )
    return Recommendation(
        question=question,
        setup=chosen.sentence,
        axis=chosen.axis,
        pick=pick,
        ties=tied,
        runner_up=_runner_up(pool, fits, pick),
        by_family=_by_family(pool, fits_but_family, question),
        front=pool.front(fits),
        beyond_families=_beyond(pool.best(fits_but_family), question, pick),
        reasons=reasons,
        what_if=what_if(frame, broken, question, pick, pool.best) if pick else (),
        nearest_miss=miss,
        rejected=limits.rejected_counts(broken),
        considered=len(frame),
        feasible=int(fits.sum()),
        might_win=_might_win(frame, beside, question, pick, guesses, chosen.axis, device_name),
    )


def losses(frame: pd.DataFrame, axis: Axis) -> np.ndarray:
    """Accuracy and speed as limits judge it, as losses, shape (n, 2): lower is better in both columns."""
    speed = guarded(frame, axis)
    return np.column_stack([-frame["accuracy"].to_numpy(float), speed if axis == "latency_ms" else -speed])


class _Pool:
    """Candidates of which subsets are settled again and again; a subset is a mask over the rows.

    Selecting rows of the whole wide frame for each family would take most of an answer's time, so the
    rules see a narrow one and a candidate is read from its columns.
    """

    def __init__(self, frame: pd.DataFrame, axis: Axis) -> None:
        self.axis = axis
        intervals = [name for name in ties.INTERVAL if name in frame]
        guessed = ["evidence", "batch_size", HIGH] if HIGH in frame else []
        self.narrow = frame[[*_RULE_COLUMNS, axis, *intervals, *guessed]]
        self.columns = {f.name: frame[f.name].to_numpy(object) for f in fields(Candidate) if f.name in frame}
        self.losses = losses(frame, axis)

    def one(self, position: int) -> Candidate:
        return Candidate.from_row({name: values[position] for name, values in self.columns.items()})

    def settle(self, mask: np.ndarray) -> tuple[Candidate | None, tuple[ties.Stage, ...], tuple[Candidate, ...]]:
        """The pick of the masked rows, the stages that settled it, and the other ties in order."""
        rows = np.flatnonzero(mask)
        if not len(rows):
            return None, (), ()
        subset = self.narrow.iloc[rows]
        settled = ties.settle(subset, self.axis)
        order = [p for p in ties.rank_ties(subset, self.axis) if p != settled.position]
        return self.one(rows[settled.position]), settled.stages, tuple(self.one(rows[p]) for p in order)

    def best(self, mask: np.ndarray) -> Candidate | None:
        """The pick of the masked rows."""
        rows = np.flatnonzero(mask)
        return self.one(rows[ties.settle(self.narrow.iloc[rows], self.axis).position]) if len(rows) else None

    def front(self, mask: np.ndarray) -> tuple[Candidate, ...]:
        """The Pareto front of the masked rows, fastest first, ties by name."""
        rows = np.flatnonzero(mask)
        if not len(rows):
            return ()
        on_front = rows[pareto_front(self.losses[rows])]
        names = self.columns["weights"][on_front].astype(str)
        return tuple(self.one(p) for p in on_front[np.lexsort((names, self.losses[on_front, 1]))])


def beside_answer(
    scored: pd.DataFrame, frame: pd.DataFrame, question: Question, axis: Axis, device_name: str, guesses: Guesses | None
) -> pd.DataFrame | None:
    """The candidates that are predicted beside the answer: networks that no row of `frame` is about.

    Args:
        frame: The candidates that are judged.

    Returns:
        As `candidates`; None where nothing stands beside the answer.
    """
    if guesses is None or guesses.apart is None:
        return None
    try:
        chosen = choose_runs(guesses.apart, question, device_name)
    except BadQuestion:  # nothing is predicted in the runtime, precision or layout asked for
        return None
    if chosen.missing is not None or chosen.axis != axis:
        return None
    found = candidates(scored, chosen, question)
    known = set(zip(frame["architecture"], frame["img_size"], strict=True))
    lacking = [key not in known for key in zip(found["architecture"], found["img_size"], strict=True)]
    return found[lacking].reset_index(drop=True)


def _might_win(
    frame: pd.DataFrame, beside: pd.DataFrame | None, question: Question, pick: Candidate | None,
    guesses: Guesses | None, axis: Axis, device_name: str,
) -> tuple[MightWin, ...]:  # fmt: skip
    """Predicted candidates that may be better than the pick: those beside the answer, or too unsure to be it."""
    judged = frame if beside is None else beside
    if guesses is None or HIGH not in judged:
        return ()
    others = limits.broken(judged, question).drop(columns=["max_latency_ms", "min_throughput"], errors="ignore")
    keeps = predicted.is_predicted(judged) & ~others.any(axis=1).to_numpy(bool)
    if beside is None:
        keeps &= limits.broken(judged, question).any(axis=1).to_numpy(bool)  # the others were judged for the pick
    return predicted.might_win(judged[keeps], pick, axis, device_name, here=guesses.here)


def _families_without_results(
    frame: pd.DataFrame, beside: pd.DataFrame | None, question: Question, axis: Axis, device_name: str,
    guesses: Guesses | None,
) -> list[Reason]:  # fmt: skip
    known = set(frame["family"])
    if guesses is None or question.all_families or known >= set(question.families):
        return []
    best: dict[str, Candidate | None] = {}
    if beside is not None:
        pool, fits = _Pool(beside, axis), ~limits.broken(beside, question).any(axis=1).to_numpy(bool)
        families = beside["family"].to_numpy(object)
        best = {name: pool.best(fits & (families == name)) for name in question.families if name in set(families)}
    return predicted.families_without_results(question.families, known, best, axis, device_name, guesses.refused)


def _runner_up(pool: _Pool, fits: np.ndarray, pick: Candidate | None) -> Candidate | None:
    """What would be picked if the pick's architecture did not exist."""
    if pick is None:
        return None
    return pool.best(fits & (pool.columns["architecture"] != pick.architecture))


def _by_family(pool: _Pool, mask: np.ndarray, question: Question) -> dict[str, Candidate | None]:
    families = pool.columns["family"]
    chosen = sorted(set(families[mask])) if question.all_families else question.families
    return {name: pool.best(mask & (families == name)) for name in dict.fromkeys((*FOUR_FAMILIES, *chosen))}


def _beyond(best: Candidate | None, question: Question, pick: Candidate | None) -> Beyond | None:
    if question.all_families or best is None:
        return None
    if pick is None:
        return Beyond(best, None, f"None of the chosen families fits; {best.weights} ({best.family}) does.")
    cost = float(best.accuracy or 0.0) - float(pick.accuracy or 0.0)
    error = best.accuracy_error or 0.0
    if best.weights == pick.weights or abs(cost) <= error:
        text = f"Keeping to the chosen families costs nothing that can be told from sampling error (±{error:.2f})."
    else:
        text = f"Keeping to the chosen families costs {cost:.1f} points against {best.weights} ({best.family})."
    return Beyond(best, cost, text)


def _own_reasons(
    question: Question,
    chosen: Chosen,
    feasible: int,
    pick: Candidate | None,
    tied: tuple[Candidate, ...],
    stages: tuple[ties.Stage, ...],
) -> tuple[Reason, ...]:
    reasons = []
    metric = METRICS[question.accuracy]
    if pick is not None:
        top = max((pick, *tied), key=lambda c: c.accuracy or 0.0)
        text = f"{feasible:,} candidates are within the limits; "
        if not tied:
            text += f"{pick.weights} is the most accurate ({metric.show(pick.accuracy)}), with no tie."
        else:
            text += (
                f"{len(tied) + 1} of them cannot be told apart from the most accurate ({top.weights}, "
                f"{metric.show(top.accuracy)}) on this many test images (±{top.accuracy_error or 0.0:.2f} points). "
                f"{' '.join(s.text for s in stages[1:])}"
            )
        reasons.append(Reason("most-accurate-feasible", text.strip(), ties.SOURCE))
        if pick.evidence != "predicted" and not measured.crossing(question, pick):
            reasons.extend(_near_limit(question, pick))
        reasons += licence_to_mind(pick)
    if chosen.quantised:
        text = (
            "These runs are of quantised networks, but the accuracies are of the float weights: quantised "
            "accuracy is lower, by an amount that is rarely published, so check it before relying on the pick."
        )
        reasons.append(Reason("quantised-accuracy", text, _OURS))
    if chosen.left_quantised:
        text = (
            f"{chosen.left_quantised:,} runs of quantised networks were set aside, because the "
            "published accuracies are of float weights; ask for them with --precision."
        )
        reasons.append(Reason("quantised-set-aside", text, _OURS))
    return tuple(reasons)


def licence_to_mind(pick: Candidate) -> list[Reason]:
    """What must be said of a pick whose licence is not known to allow commercial use."""
    if pick.commercial is True:
        return []
    text = f"The licence of {pick.weights} is '{pick.licence or 'unknown'}'"
    text += ": read it before shipping." if pick.commercial is None else ", which forbids commercial use."
    text += " With --licence commercial only licences known to allow it pass."
    return [Reason("licence-to-mind", text, "timm's metadata")]


def _near_limit(question: Question, pick: Candidate) -> list[Reason]:
    for limit, value in (("max_latency_ms", pick.latency_ms), ("min_throughput", pick.throughput_per_s)):
        bound = getattr(question, limit)
        if bound is not None and value is not None and abs(value - bound) <= _NEAR_LIMIT * bound:
            text = f"The pick is within {_NEAR_LIMIT:.0%} of the limit: "
            if pick.evidence == "measured":
                text += "another run, or another day, may land on the other side."
            else:
                text += "on your own machine it may land on the other side; measure it before relying on it."
            return [Reason("near-the-limit", text, _OURS)]
    return []


def _nothing_published(
    scored: pd.DataFrame,
    runs: pd.DataFrame,
    question: Question,
    device_name: str,
    chosen: Chosen,
    speak: Speak,
) -> Recommendation:
    """No run speaks to the question: say so, and offer the answer without the limit on speed."""
    text, word = str(chosen.missing), known_word(runs)
    free = replace(question, max_latency_ms=None, min_throughput=None, batch_size=None)
    other = recommend(scored, runs, free, device_name, speak=speak) if free != question and len(runs) else None
    offered = other.pick if other else None
    limits_on_speed = ("max_latency_ms", "min_throughput", "batch_size")
    relax = tuple((limit, "none") for limit in limits_on_speed if getattr(question, limit) is not None)
    miss = NearestMiss(text)
    if offered is not None and other is not None:
        speed = METRICS[other.axis].show(getattr(offered, other.axis))
        text += (
            f" Without a limit on speed the answer would be {offered.weights} at {offered.img_size} px: "
            f"{METRICS[other.axis].label.lower()} {speed} at batch {offered.batch_size or 'not stated'}."
        )
        miss = NearestMiss(text, offered.weights, relax)
    return Recommendation(
        question=question, setup=f"{device_name}: no {word} setup answers this.", axis=chosen.axis, pick=None,
        ties=(), runner_up=None, by_family=dict.fromkeys(FOUR_FAMILIES), front=(), beyond_families=None,
        reasons=(Reason("no-evidence", str(chosen.missing), _OURS), *speak(None)), what_if=(),
        nearest_miss=miss, rejected={}, considered=0, feasible=0,
    )  # fmt: skip
