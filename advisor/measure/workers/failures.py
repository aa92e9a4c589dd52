"""Why a measurement failed, in one sentence for the person who asked for it."""

from __future__ import annotations

from advisor.errors import AdvisorError
from advisor.measure import protocol
from advisor.measure.request import Request
from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers.build import is_out_of_memory

_REASON = 200  # characters of a library's own words that a sentence repeats


def of_memory(exc: BaseException, request: Request) -> bool:
    """Whether a request failed because memory ran out.

    oneDNN says only that it could not create something; in fp32, for which it has everything, that is memory.
    """
    return is_out_of_memory(exc) or (request.precision == "fp32" and "could not create a " in str(exc))


def in_words(exc: BaseException, request: Request) -> str:
    """One sentence; what is ours to explain stands as it is, of the rest the kind and the first words."""
    if isinstance(exc, AdvisorError | CannotRun | protocol.ClockUnusable):
        return str(exc)
    if of_memory(exc, request):
        return f"Memory ran out: {request.label} needs more than there is; take a smaller batch or image size."
    said = " ".join(str(exc).split())
    said = said if len(said) <= _REASON else f"{said[: _REASON - 1]}…"
    return f"{request.label} failed with {type(exc).__name__}: {said.rstrip('.') or 'no reason given'}."
