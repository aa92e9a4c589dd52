"""Why a calibration does not hold, in words that fit into a sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def in_a_sentence(reasons: Sequence[str]) -> str:
    """The first of the reasons, which are sentences that end in what to do, as the end of another sentence.

    "It was made with torch 2.15.0, and 2.16.0 is installed now: calibrate again." is told as "it was made with torch
    2.15.0, and 2.16.0 is installed now: calibrate again", which the command may follow.
    """
    first = reasons[0]
    return first[0].lower() + first[1:].removesuffix(".")
