"""The answer of a search as rich tables and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from advisor import tables
from advisor.advice.predicted import percent
from advisor.metrics import METRICS
from advisor.records import Candidate
from advisor.tables import Printable, table
from advisor.views_measure import duration

if TYPE_CHECKING:  # it loads scipy, which other commands need not wait for
    from advisor.workflows_find_answer import FindAnswer, Promising
    from advisor.workflows_find_path import Confirmation


def answer(found: FindAnswer) -> Iterator[Printable]:
    """The recommendation, the way to it, what the runtime is worth, and what was left out."""
    yield from tables.recommendation(found.recommendation)
    if found.path:
        yield _path(found.path)
        for place, one in enumerate(found.path, 1):
            yield f"{place}. {one.why} → {one.followed}"
    if found.ended:
        yield f"{found.ended}{_took(found)}"
    if found.promising:
        yield _promising(found.promising)
    if found.runtime_worth is not None:
        yield f"[bold]What the runtime alone is worth.[/] {found.runtime_worth.text}"
    for left_out in found.not_considered:
        yield f"[dim]{left_out}[/]"


def _took(found: FindAnswer) -> str:
    """How long measuring took, as a sentence that follows; nothing where nothing was measured."""
    if not found.n_measurements:
        return ""
    took = "took under a second" if found.seconds < 1 else f"took {duration(found.seconds)}"
    return f" {found.n_measurements} measurement{'' if found.n_measurements == 1 else 's'} {took}."


def _setup(one: Candidate) -> str:
    return " ".join(filter(None, (one.runtime, one.precision, "channels last" if one.layout == "nhwc" else "")))


def _predicted(one: Candidate) -> str:
    low, high = one.interval_of("latency_ms") or (float("nan"), float("nan"))
    return f"{one.latency_ms:.4g} ({low:.4g}–{high:.4g})"


def _path(path: Sequence[Confirmation]) -> Table:
    accuracy = METRICS[path[0].candidate.accuracy_name].title
    shown = table(
        "What was measured for it", "#", "weights", "px", accuracy, "setup", "predicted, 90 % interval (ms)",
        "within the budget #", "measured, 95 % interval (ms)", "verdict",
    )  # fmt: skip
    for place, one in enumerate(path, 1):
        measured = "failed" if one.latency_ms is None or one.ci95 is None else (
            f"{one.latency_ms:.4g} ({one.ci95[0]:.4g}–{one.ci95[1]:.4g}) {'✓' if one.kept else '✗'}"
        )  # fmt: skip
        shown.add_row(
            str(place), one.candidate.weights, str(one.candidate.img_size), f"{one.candidate.accuracy:.2f}",
            _setup(one.candidate), _predicted(one.candidate), percent(one.p_within), measured, one.verdict,
        )  # fmt: skip
    return shown


def _promising(found: Sequence[Promising]) -> Table:
    accuracy = METRICS[found[0].candidate.accuracy_name].title
    shown = table(
        "Not measured, but might be better", "weights", "px", accuracy, "setup", "predicted, 90 % interval (ms)",
        "within the budget #",
    )  # fmt: skip
    for one in found:
        shown.add_row(
            one.candidate.weights, str(one.candidate.img_size), f"{one.candidate.accuracy:.2f}", _setup(one.candidate),
            _predicted(one.candidate), percent(one.p_within),
        )  # fmt: skip
    return shown
