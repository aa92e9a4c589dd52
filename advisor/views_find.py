"""A search on this machine in words, tables and points of a chart. No Streamlit, no chart library."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from advisor.advice.predicted import percent
from advisor.measure.job_state import JobState
from advisor.metrics import METRICS, enumerated
from advisor.predict.calibration import Asked
from advisor.predict.known import Known
from advisor.records import Candidate, option_name
from advisor.views import LIMIT_LABELS
from advisor.views_measure import duration, interval
from advisor.workflows_find import PREFIX

if TYPE_CHECKING:
    from advisor.workflows_find_answer import FindAnswer
    from advisor.workflows_find_path import Confirmation

_MS = METRICS["latency_ms"].show
_UNLIKELY, _LIKELY = 0.1, 0.5
_LEAST_POINTS = 0.01  # a smaller gain is not worth a figure
_LACKING = re.compile(r"^(\S+ \S+) was not considered, since it is installed but not calibrated")
SEARCHING = (
    "What it measures stands here at once. The answer, and why each was tried, follow when it has ended: working them "
    "out now would take the cores that are being timed."
)
_USUAL_S = 6.0  # of a measurement, as long as there is none here
_LAST_RUNS = 200

# what a message calls by its option -> the widget of this page
_LABELS = {
    **LIMIT_LABELS, "max_latency_ms": "Latency at most (ms)", "min_throughput": "Throughput at least (img/s)",
    "accuracy": "Accuracy that decides", "licence": "Licence", "pretraining": "Pretraining", "families": "Families",
    "runtime": "Runtime", "precision": "Precision", "batch_size": "Batch size", "confirm": "Measurements at most",
}  # fmt: skip
_OPTIONS = {option_name(field): f"'{label}'" for field, label in _LABELS.items()}
# sentences in which more than the name of an option is about the command line, in this order
_SENTENCES = tuple((re.compile(pattern), words) for pattern, words in (
    (r"([:,]) run '[^']*'", r"\1 calibrate it above"),
    (r"calibrate (?:again|here) with '[^']*'", "calibrate it above"),
    (r" with 'python[^']*'", " above"),
    (r": calibrate (?:again|here)\.\): calibrate it above", "): calibrate it above"),
    (r"--max-latency-ms ([\d.]*\d)", r"A limit of \1 ms"),
    (r"--max-memory-mb ([\d.]*\d)", r"A limit of \1 MB on peak memory"),
    (r" with --confirm", ""),
    (r"With --licence commercial", "With 'Licence' at 'Commercial use'"),
    (r"allow --families (.+?)(?= and |\.$)", r"add \1 to 'Families'"),
    (r"allow --(licence|pretraining) ", r"set --\1 to "),
))  # fmt: skip


def is_search(job: JobState) -> bool:
    """Whether a job is a search for the best."""
    return job.sweep_id.startswith(PREFIX)


def runtimes(found: Sequence[Known], batch_size: int) -> list[str]:
    """The runtimes that are calibrated for a batch size, in order of setup."""
    return list(dict.fromkeys(one.setup.runtime for one in found if one.setup.batch_size == batch_size))


def lacking_words(found: Sequence[Known], batch_size: int) -> str:
    """Why no search can begin for a batch size; empty where one can."""
    ready = [one for one in found if one.calibration.status != "running"]
    if any(one.setup.batch_size == batch_size for one in ready):
        return ""
    if any(one.setup.batch_size == batch_size for one in found):
        return "A search can begin when the calibration has ended."
    sizes = [str(size) for size in sorted({one.setup.batch_size for one in ready})]
    if not sizes:
        return "Calibrate this machine first: a search needs predictions."
    named = f"batch size{'' if len(sizes) == 1 else 's'} {enumerated(sizes)}"
    return (
        f"This machine is calibrated for {named}, not for {batch_size}: choose another 'Batch size' here, or calibrate "
        f"for {batch_size} above."
    )


def precisions(found: Sequence[Known], batch_size: int, runtime: str | None) -> list[str]:
    """The precisions that are calibrated for a batch size with a runtime, or with any."""
    some = [one for one in found if one.setup.batch_size == batch_size and runtime in (None, one.setup.runtime)]
    return sorted({one.setup.precision for one in some})


def usual_s(runs: pd.DataFrame) -> float:
    """Seconds that a measurement of a search takes, from the last ones that were timed in full and for nothing else.

    Args:
        runs: The history, newest first. Probes in it had little time, and extras of others took more.
    """
    good = runs[runs["status"] == "ok"].head(_LAST_RUNS)
    asked = [json.loads(text) for text in good["request"]]
    alike = [one.get("timing_s") is None and not one.get("extras") for one in asked]
    median = good.loc[alike, "seconds"].median()
    return float(median) if median == median else _USUAL_S


def estimate_words(confirm: int, each_s: float, most_s: float) -> str:
    """How long a search will take at most, before a click.

    Args:
        most_s: No measurement is begun after so many seconds.
    """
    if not confirm:
        return "nothing is measured: the answer is what was measured before"
    told = f"at most {confirm} measurement{'' if confirm == 1 else 's'}"
    if confirm * each_s > most_s:
        return f"{told}, none of them begun after {duration(most_s)}"
    return f"{told}, about {duration(confirm * each_s)}"


def probing_words(asked: Sequence[Asked], seconds: float) -> str:
    """What a search measures before its candidates, and about how long that takes."""
    names = enumerated([one.runtime for one in asked])
    return f"first a few probes of {names}, not calibrated yet: about {duration(seconds)}"


def in_words(sentence: str) -> str:
    """A sentence about the command line, about this page: options become the labels of its widgets."""
    for pattern, words in _SENTENCES:
        sentence = pattern.sub(words, sentence)
    return re.sub(r"--[a-z]+(?:-[a-z]+)*", lambda option: _OPTIONS.get(option[0], option[0]), sentence)


def strangers(names: Collection[str]) -> list[str]:
    """One sentence for each field of a link that a question has elsewhere and a search here has not."""
    return [f"The link's '{name}' is nothing that a search here asks; it is ignored." for name in sorted(names)]


def left_out(notes: Sequence[str]) -> str:
    """Which setups a search did not consider: those that only lack a calibration in one sentence."""
    lacking = [found[1] for note in notes if (found := _LACKING.match(note))]
    said = [in_words(note) for note in notes if not _LACKING.match(note)]
    if lacking:
        names = ", ".join(lacking)
        said.insert(0, f"Not considered, since not calibrated yet: {names}. Calibrate {_it(lacking)} above.")
    return " ".join(said)


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


# -- the answer ----------------------------------------------------------------------------------------


def missed_words(answer: FindAnswer) -> str:
    """How probable it is that something better was not measured."""
    p = answer.p_missed
    if answer.recommendation.pick is None:
        chance = f"With a probability of {percent(p)} something that was not measured is within the budget."
        return chance + answer.proviso
    if p == 0:
        return "Nothing that was not measured can be more accurate and within the budget, as far as is predicted."
    better = "something that was not measured is more accurate and within the budget"
    gain = answer.missed_points or 0.0
    worth = f"; it would gain {gain:.2f} points on average" if gain >= _LEAST_POINTS else ""
    word = "unlikely" if p < _UNLIKELY else "possible" if p < _LIKELY else "likely"
    more = ": allow more measurements" if p >= _LIKELY else ""
    return f"It is {word} ({percent(p)}) that {better}{worth}{more}.{answer.proviso}"


def counted(answer: FindAnswer) -> str:
    """How much was measured for the answer, and why it ended."""
    n = answer.n_measurements
    took = f" in {duration(answer.seconds)}" if answer.seconds and n else ""
    said = f"{n} measurement{'' if n == 1 else 's'}{took}."
    return " ".join(part for part in (said, in_words(answer.ended), in_words(answer.problem)) if part)


def setup_of(one: Candidate) -> str:
    """Runtime and precision of a candidate's speed."""
    return f"{one.runtime} {one.precision}"


def path_table(path: Sequence[Confirmation]) -> pd.DataFrame:
    """What was tried in order: why, what was predicted, what was measured and what came of it; as text."""
    return pd.DataFrame(
        [
            {
                "#": f"{place}",
                "Network": f"`{one.candidate.weights}` · {one.candidate.img_size} px",
                METRICS[one.candidate.accuracy_name].label: METRICS[one.candidate.accuracy_name].show(
                    one.candidate.accuracy
                ),
                "With": setup_of(one.candidate),
                _PREDICTED: _predicted(one.candidate),
                _MEASURED: _timed(one.latency_ms, one.ci95, one.verdict, kept=one.kept),
                "Why it was tried": one.why,
                "What came of it": _short(in_words(one.followed)),
            }
            for place, one in enumerate(path, 1)
        ]
    )


def so_far_table(runs: pd.DataFrame, limit_ms: float) -> pd.DataFrame:
    """What a search that goes on has measured, as text; nothing is predicted for it, so it costs nothing.

    Args:
        runs: Its runs as the history has them, newest first.
    """
    return pd.DataFrame(
        [
            {
                "#": f"{place}",
                "Network": f"`{row['architecture']}`{_size(row['img_size'])}",
                "With": f"{row['runtime']} {row['precision']}",
                _MEASURED: _timed(
                    row["p50_ms"], (row["ci95_low_ms"], row["ci95_high_ms"]), row["verdict"],
                    kept=row["ci95_high_ms"] <= limit_ms,
                ) if row["status"] == "ok" else "✗ failed",
            }
            for place, row in enumerate(runs.iloc[::-1].to_dict("records"), 1)
        ]
    )  # fmt: skip


def _size(px: float) -> str:
    return "" if pd.isna(px) else f" · {px:.0f} px"


_PREDICTED, _MEASURED = "Predicted, 90 % interval (ms)", "Measured, 95 % interval (ms)"


def _timed(ms: float | None, ci95: tuple[float, float] | None, verdict: str, *, kept: bool) -> str:
    if ms is None:
        return "✗ failed"
    return f"{'✓' if kept else '✗'} **{_figure(ms, None)}** {_ends(ci95)}{' ≈ noisy' if verdict == 'noisy' else ''}"


def _short(followed: str) -> str:
    """Without the reasons of a noisy run, some lines long: the run itself has them."""
    return re.sub(r"Noisy \(.*\)(?=[,.])", "Noisy", followed)


def _predicted(one: Candidate) -> str:
    return _figure(one.latency_ms, one.interval_of("latency_ms"))


def _figure(ms: float | None, ends: tuple[float, float] | None) -> str:
    return "–" if ms is None else f"{ms:,.4g} {_ends(ends)}".strip()


def _ends(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"({interval(*ends)})"


def promising_words(answer: FindAnswer) -> list[str]:
    """The unmeasured candidates that promise most, one line of Markdown each."""
    return [
        f"`{one.candidate.weights}` · {one.candidate.img_size} px with {setup_of(one.candidate)}: "
        f"{METRICS[one.candidate.accuracy_name].show(one.candidate.accuracy)}, "
        f"predicted {_MS(one.candidate.latency_ms)}, 90 % interval {_bare(one.candidate)} ms, {percent(one.p_within)} "
        "likely within"
        for one in answer.promising
    ]


def _bare(one: Candidate) -> str:
    ends = one.interval_of("latency_ms")
    return "–" if ends is None else interval(*ends)


# -- the chart -----------------------------------------------------------------------------------------


def points(answer: FindAnswer) -> pd.DataFrame:
    """The points of the chart of a search: what was predicted before each measurement, what was measured, the rest.

    Returns:
        As `charts_predict.search_figure` takes them; a network that was predicted and then measured has two rows.
    """
    return pd.DataFrame(list(_points(answer)), columns=_COLUMNS)


_COLUMNS = [
    "label", "img_size", "accuracy", "setup", "p50_ms", "low_ms", "high_ms", "level", "evidence", "verdict", "place",
    "picked",
]  # fmt: skip


def _points(answer: FindAnswer) -> Iterator[dict[str, Any]]:
    pick = answer.recommendation.pick
    tried = {_key(one.candidate): place for place, one in enumerate(answer.path, 1)}
    for one in answer.path:
        yield _point(one.candidate, "predicted")
    for place, one in enumerate(answer.path, 1):
        if one.latency_ms is not None and tried[_key(one.candidate)] == place:
            chosen = pick is not None and _key(pick) == _key(one.candidate)
            yield _point(one.candidate, "measured") | {
                "p50_ms": one.latency_ms, "low_ms": (one.ci95 or (one.latency_ms,) * 2)[0],
                "high_ms": (one.ci95 or (one.latency_ms,) * 2)[1], "verdict": one.verdict, "place": place,
                "picked": chosen,
            }  # fmt: skip
    for candidate in dict.fromkeys([*([pick] if pick else []), *answer.recommendation.front]):
        if _key(candidate) not in tried:
            yield _point(candidate, "measured") | {"picked": candidate == pick}
    for promising in answer.promising:
        if _key(promising.candidate) not in tried:
            yield _point(promising.candidate, "predicted")


def _point(one: Candidate, evidence: str) -> dict[str, Any]:
    low, high = one.interval_of("latency_ms") or (one.latency_ms, one.latency_ms)
    return {
        "label": one.weights, "img_size": one.img_size, "accuracy": one.accuracy, "setup": setup_of(one),
        "p50_ms": one.latency_ms, "low_ms": low, "high_ms": high,
        "level": "95 %" if evidence == "measured" else "90 %", "evidence": evidence,
        "verdict": one.verdict if evidence == "measured" else "", "place": 0, "picked": False,
    }  # fmt: skip


def _key(one: Candidate) -> tuple[object, ...]:
    return one.weights, one.img_size, one.runtime, one.precision, one.layout, one.batch_size
