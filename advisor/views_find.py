"""A search on this machine in words, tables and points of a chart. No Streamlit, no chart library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from advisor.measure.job_state import JobState
from advisor.metrics import METRICS
from advisor.predict.known import Known
from advisor.records import Candidate
from advisor.views_measure import duration, interval
from advisor.workflows_find import PREFIX

if TYPE_CHECKING:
    from advisor.workflows_find_answer import FindAnswer
    from advisor.workflows_find_path import Confirmation

_MS = METRICS["latency_ms"].show
_UNLIKELY, _LIKELY = 0.1, 0.5
_LACKING = re.compile(r"^(\S+ \S+) was not considered, since it is installed but not calibrated")
_GOING_ON = ("queued", "running")


def is_search(job: JobState) -> bool:
    """Whether a job is a search for the best."""
    return job.sweep_id.startswith(PREFIX)


def going_on(answer: FindAnswer) -> bool:
    """Whether something may still be measured for it."""
    return answer.status in _GOING_ON


def runtimes(found: Sequence[Known], batch_size: int) -> list[str]:
    """The runtimes that are calibrated for a batch size, in order of setup."""
    return list(dict.fromkeys(one.setup.runtime for one in found if one.setup.batch_size == batch_size))


def precisions(found: Sequence[Known], batch_size: int, runtime: str | None) -> list[str]:
    """The precisions that are calibrated for a batch size with a runtime, or with any."""
    some = [one for one in found if one.setup.batch_size == batch_size and runtime in (None, one.setup.runtime)]
    return sorted({one.setup.precision for one in some})


def estimate_words(confirm: int, each_s: float) -> str:
    """How long a search will take at most, before a click."""
    if not confirm:
        return "nothing is measured: the answer is what was measured before"
    return f"at most {confirm} measurement{'' if confirm == 1 else 's'}, about {duration(confirm * each_s)}"


def in_words(sentence: str) -> str:
    """A sentence about the command line, about this page."""
    sentence = re.sub(r": run '[^']*'", ": calibrate it above", sentence)
    sentence = re.sub(r"calibrate that with '[^']*'", "calibrate that above", sentence)
    for option, words in (
        ("--max-latency-ms", "A limit of"), (" with --confirm", ""), ("--confirm", "Measurements at most"),
    ):  # fmt: skip
        sentence = sentence.replace(option, words)
    return sentence.replace("A search needs A limit of:", "A search needs a latency limit:")


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
    shown = "under 1 %" if 0 < p < 0.01 else f"{100 * p:.0f} %"
    if answer.recommendation.pick is None:
        return f"With a probability of {shown} something that was not measured is within the budget."
    if p == 0:
        return "Nothing that was not measured can be more accurate and within the budget, as far as is predicted."
    better = "something that was not measured is more accurate and within the budget"
    worth = f"; it would gain {answer.missed_points:.2f} points on average"
    if p < _UNLIKELY:
        return f"It is unlikely ({shown}) that {better}{worth}."
    if p < _LIKELY:
        return f"It is possible ({shown}) that {better}{worth}."
    return f"It is likely ({shown}) that {better}{worth}: allow more measurements."


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
                METRICS[one.candidate.accuracy_name].title: METRICS[one.candidate.accuracy_name].show(
                    one.candidate.accuracy
                ),
                "With": setup_of(one.candidate),
                "Predicted (ms)": _predicted(one.candidate),
                "Measured (ms)": _measured(one),
                "Why it was tried": one.why,
                "What came of it": in_words(one.followed),
            }
            for place, one in enumerate(path, 1)
        ]
    )


def _measured(one: Confirmation) -> str:
    if one.latency_ms is None:
        return "✗ failed"
    noisy = " ≈ noisy" if one.verdict == "noisy" else ""
    return f"{'✓' if one.kept else '✗'} **{_figure(one.latency_ms, None)}** {_ends(one.ci95)}{noisy}"


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
        f"predicted {_predicted(one.candidate)} ms, {100 * one.p_within:.0f} % likely within"
        for one in answer.promising
    ]


# -- the chart -----------------------------------------------------------------------------------------


def points(answer: FindAnswer) -> pd.DataFrame:
    """The points of the chart of a search: what was predicted before each measurement, what was measured, the rest.

    Returns:
        As `charts_predict.search_figure` takes them; a network that was predicted and then measured has two rows.
    """
    return pd.DataFrame(list(_points(answer)), columns=_COLUMNS)


_COLUMNS = [
    "label", "img_size", "accuracy", "setup", "p50_ms", "lo90_ms", "hi90_ms", "evidence", "verdict", "place", "picked",
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
                "p50_ms": one.latency_ms, "lo90_ms": (one.ci95 or (one.latency_ms,) * 2)[0],
                "hi90_ms": (one.ci95 or (one.latency_ms,) * 2)[1], "verdict": one.verdict, "place": place,
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
        "p50_ms": one.latency_ms, "lo90_ms": low, "hi90_ms": high, "evidence": evidence,
        "verdict": one.verdict if evidence == "measured" else "", "place": 0, "picked": False,
    }  # fmt: skip


def _key(one: Candidate) -> tuple[object, ...]:
    return one.weights, one.img_size, one.runtime, one.precision, one.layout, one.batch_size
