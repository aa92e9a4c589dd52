"""A backtest in a few rows: the mean over setups of a device, then over devices, so that no device speaks twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from advisor.predict.backtest import Backtest, Case
from advisor.predict.backtest_answers import Answers
from advisor.predict.columns import Setup
from advisor.predict.scoring import AnswerScore, PredictionScore, mean_answer, mean_prediction

Entry = TypeVar("Entry", Case, Answers)
Score = TypeVar("Score", PredictionScore, AnswerScore)


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """Of a kind of device (`device` is empty) or of one device."""

    kind: str
    task: str
    device: str
    probes: str
    n_probes: int
    method: str
    n_devices: int
    n_setups: int
    score: PredictionScore


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """Of a kind of device."""

    kind: str
    task: str
    probes: str
    n_probes: int
    method: str
    n_devices: int
    n_answers: int
    score: AnswerScore


def by_kind(backtest: Backtest) -> list[PredictionRow]:
    """One row for each kind, task, way to draw probes, number of them and method."""
    rows = []
    for (kind, task, probes, n, method), cases in _grouped(
        backtest.cases, lambda c: (c.setup.kind, c.setup.task, c.probes, c.n_probes, c.method)
    ):
        devices = _each_device(cases, mean_prediction)
        score = mean_prediction(devices)
        rows.append(PredictionRow(kind, task, "", probes, n, method, len(devices), len(cases), score))
    return rows


def by_device(backtest: Backtest) -> list[PredictionRow]:
    """As `by_kind`, for each device."""
    rows = []
    for (kind, task, device, probes, n, method), cases in _grouped(
        backtest.cases, lambda c: (c.setup.kind, c.setup.task, c.setup.device_id, c.probes, c.n_probes, c.method)
    ):
        score = mean_prediction([case.score for case in cases])
        rows.append(PredictionRow(kind, task, device, probes, n, method, 1, len(cases), score))
    return rows


def advice_by_kind(backtest: Backtest) -> list[AnswerRow]:
    """One row for each kind, task, way to draw probes and way to answer."""
    rows = []
    for (kind, task, probes, n, method), found in _grouped(
        backtest.answers, lambda a: (a.setup.kind, a.setup.task, a.probes, a.n_probes, a.method)
    ):
        devices = _each_device(found, mean_answer)
        n_answers = sum(answers.n_answers for answers in found)
        rows.append(AnswerRow(kind, task, probes, n, method, len(devices), n_answers, mean_answer(devices)))
    return rows


def _grouped(
    entries: Iterable[Entry], key: Callable[[Entry], tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], list[Entry]]]:
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return sorted(groups.items(), key=lambda group: tuple(map(_sortable, group[0])))


def _sortable(part: object) -> str:
    return f"{part:06d}" if isinstance(part, int) else str(part)


def _each_device(entries: Sequence[Entry], mean: Callable[[Sequence[Score]], Score]) -> list[Score]:
    by_device: dict[str, list[Score]] = {}
    for entry in entries:
        setup: Setup = entry.setup
        by_device.setdefault(setup.device_id, []).append(entry.score)  # type: ignore[arg-type]
    return [mean(scores) for scores in by_device.values()]
