"""The options of commands that make a question: the setup and the limits."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from advisor.metrics import ACCURACIES
from advisor.records import FOUR_FAMILIES, Question
from advisor.terminal import as_one

_FIELDS = tuple(field.name for field in fields(Question))

LAYOUT = click.option("--layout", help="Only this memory layout: nchw or nhwc.")
BATCH_SIZE = click.option("--batch-size", type=int, help="Only this batch size (latency limits: 1 unless given).")
# but for latency
LIMITS = (
    click.option("--min-throughput", type=float, help="Images per second, at least."),
    click.option("--max-params-m", type=float, help="Parameters in millions, at most."),
    click.option("--max-memory-mb", type=float, help="Peak memory, at most; unknown memory does not pass."),
    click.option("--max-file-mb", type=float, help="Weights file, at most."),
    click.option("--min-accuracy", type=float, help="Percent of the accuracy that decides, at least."),
    click.option("--accuracy", default="top1", show_default=True, help=f"Decides: {', '.join(ACCURACIES)}."),
    click.option("--max-img-size", type=int, help="Image size in px, at most."),
    click.option("--licence", type=click.Choice(["any", "commercial"]), default="any", show_default=True),
    click.option("--pretraining", type=click.Choice(["any", "imagenet-1k"]), default="any", show_default=True),
    click.option("--families", default=",".join(FOUR_FAMILIES), show_default=True, help="Comma-separated, or 'all'."),
)
_OF_ANY_DEVICE = (
    click.option("--device", "device_id", required=True, help="Device id; see 'devices'."),
    click.option("--runtime", help="Only this runtime, e.g. pytorch-eager, pytorch-compile, onnxruntime, ncnn."),
    click.option("--precision", help="Only this precision, e.g. fp32, amp-fp16, int8."),
    LAYOUT,
    BATCH_SIZE,
    click.option("--max-latency-ms", type=float, help="One forward pass of one batch, at most."),
    *LIMITS,
    click.option("--task", type=click.Choice(["infer", "train"]), default="infer", show_default=True),
    click.option(
        "--evidence", type=click.Choice(["auto", "all", "known"]), default="auto", show_default=True,
        help="Where a predicted speed may be the pick: this machine, everywhere, nowhere (predictions are left out).",
    ),
    click.option("--no-predicted", is_flag=True, help="The same as --evidence known."),
)  # fmt: skip


def asked(given: dict[str, Any]) -> Question:
    """The question of a command's options, which are taken out of what was given."""
    if given.pop("no_predicted", False):
        given["evidence"] = "known"
    chosen = {name: given.pop(name) for name in _FIELDS if name in given}
    chosen["families"] = tuple(f for f in (part.strip() for part in chosen["families"].split(",")) if f)
    return Question(**chosen)


question = as_one("question", _OF_ANY_DEVICE, asked)
