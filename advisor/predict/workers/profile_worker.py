"""Child process: which operators networks run, counted on torch's `meta` device, one JSON line a network.

Standard input is JSON lines `[architecture, img_size]`. Standard output has one line for each: the fields of
`CostProfile`, or `{"architecture": ..., "img_size": ..., "reason": ...}` where the network could not be counted.
Everything else that is printed goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, TextIO

import timm
import torch

from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers.build import create, native_shape, sizes_in_words
from advisor.measure.workers.operators import COUNTER, count
from advisor.predict.signature import signature

_REASON = 200  # characters of a network's own complaint that are kept
_BYTES_PER_VALUE = 4  # fp32


def records(asked: Iterable[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Yield the lines of all networks asked for, in their order."""
    for architecture, img_size in asked:
        named = {"architecture": architecture, "img_size": img_size}
        try:
            yield named | counted(architecture, img_size)
        except CannotRun as exc:
            yield named | {"reason": str(exc)}
        # A network can fail in any way that its own code can; one must not cost the others.
        except Exception as exc:
            said = " ".join(str(exc).split())[:_REASON]
            yield named | {"reason": f"{type(exc).__name__}: {said}"}


def counted(architecture: str, img_size: int) -> dict[str, Any]:
    """Parameters and operators of one forward pass of one image, in fp32 and eval mode.

    The distinct operators come in the order in which each is first run, with how often they are run. `img_size` is
    the side of the image; where it is the network's native width, the native height goes with it.
    """
    if not timm.is_model(architecture):
        raise CannotRun(f"timm lists no '{architecture}'.")
    channels, height, width = native_shape(architecture)
    native = height, width
    size = native if img_size == width else (img_size, img_size)
    with sizes_in_words(architecture, size, native), torch.device("meta"):
        model = create(architecture, None if size == native else img_size).eval()
        found = count(model, torch.empty(1, channels, *size), bytes_per_value=_BYTES_PER_VALUE)
    distinct = Counter(signature(operator) for operator in found.operators)
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "operators": [(asdict(operator), times) for operator, times in distinct.items()],
        "uncounted": found.uncounted,
        "counter": COUNTER,
        "timm": timm.__version__,
    }


def main(asked: TextIO, out: TextIO) -> None:
    """Answer every line, each at once so that the parent can show progress."""
    for record in records((str(name), int(size)) for name, size in map(json.loads, asked)):
        out.write(json.dumps(record) + "\n")
        out.flush()


if __name__ == "__main__":
    # networks may print while they are built; stdout is for records alone
    torch.set_num_threads(1)
    stream = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        main(sys.stdin, stream)
