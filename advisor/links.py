"""A question as a link: every field of a question as one query parameter, and back again with plain complaints."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from advisor.errors import AdvisorError, UnknownName, close_names
from advisor.metrics import ACCURACIES
from advisor.records import NUMERIC_LIMITS, Question

FIRST_QUESTION = Question("i7-12700h", max_latency_ms=20.0)
_WHOLE = ("batch_size", "max_img_size")
_CHOICES: dict[str, Collection[str]] = {
    "accuracy": ACCURACIES,
    "licence": ("any", "commercial"),
    "pretraining": ("any", "imagenet-1k"),
    "task": ("infer", "train"),
    "evidence": ("auto", "all", "known"),
}
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link asks, and one sentence for each of its values that could not be used."""

    question: Question
    complaints: tuple[str, ...] = ()


def to_link(question: Question) -> dict[str, str]:
    """The query parameters of a question: the device, and every field that is not at its default."""
    plain = Question(question.device_id)
    link = {"device": question.device_id}
    for field in fields(Question):
        value = getattr(question, field.name)
        if field.name == "device_id" or value == getattr(plain, field.name):
            continue
        link[field.name] = ",".join(value) if isinstance(value, tuple) else _written(value)
    return link


def from_link(
    params: Mapping[str, str],
    *,
    devices: Collection[str],
    families: Collection[str],
    default: Question = FIRST_QUESTION,
    device_of: Callable[[str], str] | None = None,
) -> Opened:
    """The question of a link; each value that is not usable is named and left at its default.

    Args:
        params: Query parameters; none at all asks `default`.
        devices: Known device ids. The first is used where neither the link's nor the default's is known.
        families: Known families, beside `all`.
        device_of: Gives the id of the device that another name means, or raises an `AdvisorError` that says why none.
    """
    fallback = default if default.device_id in devices else Question(next(iter(devices)))
    if not params:
        return Opened(fallback)
    complaints: list[str] = []
    asked: dict[str, Any] = {"device_id": fallback.device_id}
    for name, text in params.items():
        field = "device_id" if name == "device" else name
        reader = _reader(field, devices, families, device_of)
        if reader is None:
            complaints.append(f"The link's '{_short(name)}' is not a field of a question; it is ignored.")
            continue
        try:
            asked[field] = reader(text.strip())
        except (ValueError, AdvisorError) as exc:
            wrong, why = (exc, "") if isinstance(exc, ValueError) else ("cannot be used", f" {exc}")
            kept = _default_of(field, fallback)
            complaints.append(f"The link's {name} '{_short(text)}' {wrong}; {kept} is used instead.{why}")
    try:
        return Opened(Question(**asked), tuple(complaints))
    except AdvisorError as exc:
        complaints.append(f"The link contradicts itself: {exc} The latency limit is left out.")
        return Opened(Question(**{**asked, "max_latency_ms": None}), tuple(complaints))


def adjusted(question: Question, limit: str, to: float | str) -> Question:
    """The question with one limit moved, as a what-if or a nearest miss proposes it."""
    if to == "none":
        return replace(question, **{limit: None})  # type: ignore[arg-type]
    if limit == "families":
        return replace(question, families=("all",) if to == "all" else (*question.families, str(to)))
    if limit not in NUMERIC_LIMITS:
        return replace(question, **{limit: to})  # type: ignore[arg-type]
    if limit in _WHOLE:
        return replace(question, **{limit: math.ceil(float(to))})  # type: ignore[arg-type]
    return replace(question, **{limit: _passing(float(to), limit)})  # type: ignore[arg-type]


def _passing(value: float, limit: str) -> float:
    """Four figures, rounded to the side on which the value itself still passes."""
    scale = 10.0 ** (3 - math.floor(math.log10(abs(value)))) if value else 1.0
    rounded = math.floor(value * scale) if limit.startswith("min_") else math.ceil(value * scale)
    return rounded / scale


def _reader(
    field: str, devices: Collection[str], families: Collection[str], device_of: Callable[[str], str] | None
) -> Callable[[str], Any] | None:
    if field == "device_id":
        return lambda text: _device(text, devices, device_of)
    if field == "families":
        return lambda text: _families(text, families)
    if field in _CHOICES:
        return lambda text: _known(text, _CHOICES[field], field)
    if field in _WHOLE:
        return _whole
    if field in NUMERIC_LIMITS:
        return _percent if field == "min_accuracy" else _number
    return _name if field in ("runtime", "precision", "layout") else None


def _device(text: str, known: Collection[str], device_of: Callable[[str], str] | None) -> str:
    found = text
    if text not in known and device_of is not None:
        with suppress(UnknownName):
            found = device_of(text)
    return found if found in known else _known(text, known, "device")


def _known(text: str, known: Collection[str], what: str) -> str:
    if text in known:
        return text
    close = close_names(text, known)
    offer = f" (close: {', '.join(close)})" if close else ""
    raise ValueError(f"is not a known {what}{offer}")


def _families(text: str, known: Collection[str]) -> tuple[str, ...]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if "all" in names:
        return ("all",)
    strange = [name for name in names if name not in known]
    if strange or not names:
        raise ValueError(f"names no known family '{strange[0]}'" if strange else "names no family")
    return tuple(dict.fromkeys(names))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError("is not a number above 0")
    return value


def _percent(text: str) -> float:
    value = _number(text)
    if value > 100:
        raise ValueError("is more than 100 percent")
    return value


def _whole(text: str) -> int:
    value = _number(text)
    if value != int(value) or value > 1_000_000:
        raise ValueError("is not a whole number up to 1,000,000")
    return int(value)


def _name(text: str) -> str:
    if not text or len(text) > _SHOWN_CHARACTERS:
        raise ValueError("is not a name")
    return text


def _default_of(field: str, fallback: Question) -> str:
    """The default of a field in words; a garbled limit falls back to no limit, never to another number."""
    if field == "device_id":
        return f"'{fallback.device_id}'"
    value = getattr(Question(fallback.device_id), field)
    if value is None:
        return "no limit" if field in NUMERIC_LIMITS else "the best published setup"
    return ", ".join(value) if isinstance(value, tuple) else f"'{value}'"


def _written(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
