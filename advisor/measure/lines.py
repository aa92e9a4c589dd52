"""The lines between a measuring process and the one that started it: JSON objects, one a line, checked here."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import msgspec

from advisor.measure.request import Request
from advisor.measure.run import Measured, Run

MAX_LINE_BYTES = 64 * 2**20  # raw times of the longest run are some 10 MB
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """What happens now.

    Attributes:
        stage: "waiting", "building", "converting", "warming up", "timing", "batch sweep", "training", ...
        done: Samples (or steps) so far; `total` is how many are expected at least, None where unknown.
        error: Half-width of the interval of the median so far, relative (0.031 is ±3.1 %).
    """

    stage: str
    done: int = 0
    total: int | None = None
    error: float | None = None
    detail: str = ""

    @property
    def text(self) -> str:
        """One line for people: 'timing 34/100, ±3.1 %'."""
        count = f" {self.done}/{self.total}" if self.total else f" {self.done}" if self.done else ""
        spread = f", ±{self.error:.1%}".replace("%", " %") if self.error is not None else ""
        return f"{self.stage}{count}{spread}{f': {self.detail}' if self.detail else ''}"


class BrokenLine(ValueError):
    """A line that is no message of ours."""


def encode(kind: str, value: Any) -> bytes:
    """A message as a line, newline included: `{"kind": kind, "value": ...}`."""
    return msgspec.json.encode({"kind": kind, "value": value}, enc_hook=_plain_text) + b"\n"


def _plain_text(value: Any) -> str:
    """Libraries give their version as a kind of str, which JSON has as str."""
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(f"a {type(value).__name__} is no JSON value")


def decode(line: bytes) -> tuple[str, Any]:
    """Kind and plain value of a line.

    Raises:
        BrokenLine: It is no JSON object with `kind` and `value`.
    """
    try:
        message = msgspec.json.decode(line)
        return str(message["kind"]), message["value"]
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError) as exc:
        raise BrokenLine(f"'{line[:80].decode('utf-8', 'replace').strip()}' is no message") from exc


def typed(value: Any, kind: type[T]) -> T:
    """A plain value as one of our dataclasses.

    Raises:
        BrokenLine: A field is missing or of another type; says which.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError, ValueError) as exc:
        raise BrokenLine(f"no {kind.__name__}: {exc}") from exc


def plain(value: Any) -> Any:
    """One of our dataclasses as plain JSON values; NaN and infinity become null."""
    return msgspec.json.decode(msgspec.json.encode(value))


def request_of(value: dict[str, Any]) -> Request:
    """A request from plain values, checked anew; what other versions asked for besides is left out."""
    lists = {name: tuple(value[name]) for name in ("extras", "features_hw") if value.get(name) is not None}
    known = {one.name for one in dataclasses.fields(Request)}
    return Request(**{name: of for name, of in {**value, **lists}.items() if name in known})


def run_of(value: dict[str, Any]) -> Run:
    """A stored run from plain values."""
    fields = {**value, "request": request_of(value["request"]), "verdict_reasons": tuple(value["verdict_reasons"])}
    fields["measured"] = None if value.get("measured") is None else typed(value["measured"], Measured)
    return Run(**fields)


def request_values(request: Request) -> dict[str, Any]:
    """A request as plain values, the inverse of `request_of`."""
    return asdict(request)
