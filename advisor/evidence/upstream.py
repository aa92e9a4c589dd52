"""timm's raw result tables -> our tidy rows, as text: the same rows that `data/published` ships.

A benchmark table says in its file name what was measured and how, like
`benchmark-infer-amp-nchw-pt291-cu128-4090-dynamo.csv`; a result table names its test set. Any breach of the
format is a RefreshFailed with file, line and reason: upstream's tables are machine-written, so a broken row
means a broken file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from advisor.errors import RefreshFailed
from advisor.evidence.schema import COLUMNS, typed

FOLDER = "results/"
SPEED_SOURCE = "timm-benchmark"
ACCURACY_SOURCE = "timm-eval"

# result table -> our name of its test set
DATASETS: dict[str, str] = {
    "results-imagenet.csv": "imagenet-1k",
    "results-imagenet-real.csv": "imagenet-real",
    "results-imagenetv2-matched-frequency.csv": "imagenetv2-mf",
    "results-imagenet-a.csv": "imagenet-a",
    "results-imagenet-a-clean.csv": "imagenet-a-clean",
    "results-imagenet-r.csv": "imagenet-r",
    "results-imagenet-r-clean.csv": "imagenet-r-clean",
    "results-sketch.csv": "imagenet-sketch",
}
BENCHMARK_NAME = re.compile(
    r"benchmark-(?P<task>infer|train)-(?P<precision>amp_bf16|amp|bf16|fp16|fp32)-(?P<layout>nchw|nhwc)"
    r"-pt(?P<torch>\d{3,5})(?:-cu(?P<cuda>\d{3,4}))?-(?P<cpu>cpu-)?(?P<device>[a-z0-9_]+?)(?P<dynamo>-dynamo)?\.csv"
)

_PRECISIONS = {"amp": "amp-fp16", "amp_bf16": "amp-bf16"}
_DEVICES = {"pro6000maxq": "rtx-pro-6000-max-q"}
# networks that timm merges before it times them: fewer parameters then mean the same network
_MERGED = ("repvgg", "repvit", "mobileone", "ghostnetv3")
_PARAMS_TOLERANCE = 0.02  # heads of other sizes and merged layers differ by more, rounding by less


@dataclass(frozen=True, slots=True)
class Setup:
    """What the name of a benchmark table says."""

    task: str
    runtime: str
    precision: str
    layout: str
    software: str
    device_id: str
    device_kind: str
    note: str

    @classmethod
    def of(cls, name: str) -> Setup | None:
        """The setup in a file name; None if it is not the name of a benchmark table."""
        match = BENCHMARK_NAME.fullmatch(name)
        if match is None:
            return None
        torch = _torch_version(match["torch"])
        cuda = f"{match['cuda'][:-1]}.{match['cuda'][-1]}" if match["cuda"] else ""
        return cls(
            task=match["task"],
            runtime="pytorch-compile" if match["dynamo"] else "pytorch-eager",
            precision=_PRECISIONS.get(match["precision"], match["precision"]),
            layout=match["layout"],
            software=f"torch {torch}" + (f", CUDA {cuda}" if cuda else ""),
            device_id=device_id(match["device"]),
            device_kind="cpu" if match["cpu"] else "gpu",
            note=f"pt={torch}" + (f" cu={cuda}" if cuda else ""),
        )


def _torch_version(digits: str) -> str:
    """'113' is 1.13 (one-digit minors of 1.x are older than any table); '291' is 2.9.1, '2100' 2.10.0."""
    if digits[0] == "1":
        return f"1.{digits[1:]}"
    return f"{digits[0]}.{digits[1:-1]}.{digits[-1]}"


def device_id(name: str) -> str:
    """Our id of a device in a file name: 'rtx3090' and '4090' are GeForce RTX, others keep their name."""
    if name in _DEVICES:
        return _DEVICES[name]
    geforce = re.fullmatch(r"(?:rtx)?(\d{4})", name)
    return f"rtx-{geforce[1]}" if geforce else name.replace("_", "-").strip("-")


@dataclass(frozen=True, slots=True)
class Names:
    """What upstream's model names mean, learned from the catalogue and from the rows already in use.

    Attributes:
        params_m: Architecture -> parameters in millions, of its 1000-class weights where it has any.
        known: Model name -> architecture and tag; older tables use names that timm has since dropped.
        noted: Model name and printed parameters -> architecture, tag and note, where the count is odd.
    """

    params_m: Mapping[str, tuple[float, ...]]
    known: Mapping[str, tuple[str, str]]
    noted: Mapping[tuple[str, str], tuple[str, str, str]]

    @classmethod
    def learn(cls, catalogue: pd.DataFrame, rows: pd.DataFrame) -> Names:
        """From a catalogue (`architecture`, `params_m`, `num_classes`) and tidy speed rows as text."""
        params: dict[str, set[float]] = {}
        usual = catalogue["num_classes"].astype(float) == 1000
        has_usual = usual.groupby(catalogue["architecture"]).transform("any")
        kept = catalogue[(usual | ~has_usual) & catalogue["params_m"].notna()]
        for architecture, count in zip(kept["architecture"], kept["params_m"], strict=True):
            params.setdefault(str(architecture), set()).add(float(count))
        known = {str(name): (str(name), "") for name in catalogue["architecture"]}
        noted: dict[tuple[str, str], tuple[str, str, str]] = {}
        columns = zip(rows["model"], rows["architecture"], rows["tag"], rows["note"], strict=True)
        for model, architecture, tag, note in columns:
            if odd := re.search(r"params_m=([\d.]+).*", note):
                noted[model, odd[1]] = (architecture, tag, odd[0])
            elif architecture:
                known[model] = (architecture, tag)
        return cls({name: tuple(sorted(counts)) for name, counts in params.items()}, known, noted)

    def meaning(self, model: str, params: str) -> tuple[str, str, str]:
        """Architecture, tag and an addition to the note; no architecture where it is another network.

        Args:
            model: The name in the table, with or without a tag.
            params: Its parameters in millions as printed.
        """
        params = params.replace(",", "")
        if (model, params) in self.noted:
            return self.noted[model, params]
        stem, _, tag = model.partition(".")
        architecture, tag = self.known.get(model) or (self.known.get(stem, ("", ""))[0], tag)
        expected = self.params_m.get(architecture, ())
        if not architecture or not expected or not params:
            return architecture, tag if architecture else "", ""
        count = float(params)
        if any(abs(count - right) <= _PARAMS_TOLERANCE * right for right in expected):
            return architecture, tag, ""
        if architecture.startswith(_MERGED) and count < min(expected):
            return architecture, tag, f"params_m={params} (re-parameterised for inference)"
        return "", "", f"params_m={params}"


def kind_of(name: str) -> str | None:
    """Which kind of rows a file of that name holds: 'speed', 'accuracy' or None for other files."""
    if name in DATASETS:
        return "accuracy"
    return "speed" if Setup.of(name) else None


def convert(name: str, text: str, names: Names) -> pd.DataFrame:
    """The tidy rows of one upstream table as text, with the columns of its kind, in file order.

    Raises:
        RefreshFailed: The table is not one of upstream's, is cut off, or a row does not validate.
    """
    lines = _read(name, text)
    setup = Setup.of(name)
    if setup is not None:
        kind, rows = "speed", [(line, _speed_row(name, line, cells, setup, names)) for line, cells in lines]
    else:
        kind = "accuracy"
        rows = [(line, _accuracy_row(name, cells, metric)) for line, cells in lines for metric in ("top1", "top5")]
    frame = pd.DataFrame([row for _, row in rows], columns=list(COLUMNS[kind]), dtype=object).fillna("")
    _, rejects = typed(kind, frame)
    if rejects:
        raise broken(name, rows[rejects[0].line - 2][0], rejects[0].reason)
    return frame


def broken(name: str, line: int, reason: str) -> RefreshFailed:
    """The one sentence for a row that does not validate."""
    return RefreshFailed(
        f"{name} line {line}: {reason}; nothing was changed: try again later or use another mirror with --url."
    )


def _read(name: str, text: str) -> list[tuple[int, dict[str, str]]]:
    """Lines with their cells by column, checked for a known header and for being whole."""
    if text.lstrip().startswith("<"):
        raise broken(name, 1, "this is a web page, not a CSV table")
    try:
        rows = [(number, cells) for number, cells in _numbered(text) if cells]
    except csv.Error as exc:
        raise broken(name, len(text.splitlines()), f"not CSV ({exc})") from exc
    if not rows:
        raise broken(name, 1, "the file is empty")
    header = rows[0][1]
    lacking = [column for column in _needed(name) if column not in header]
    if lacking:
        raise broken(name, 1, f"the header lacks the column '{lacking[0]}'")
    if len(rows) == 1:
        raise broken(name, 1, "there are no rows below the header")
    for number, cells in rows:
        if len(cells) != len(header):
            raise broken(name, number, f"{len(cells)} cells instead of {len(header)}")
    if not text.endswith("\n"):
        raise broken(name, rows[-1][0], "the last line is not ended, so the file was cut off")
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in rows[1:]]


def _numbered(text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [(reader.line_num, cells) for cells in reader]


def _needed(name: str) -> tuple[str, ...]:
    setup = Setup.of(name)
    if setup is None:
        return ("model", "top1", "top5", "img_size", "crop_pct", "interpolation")
    measured = ("img_size", "batch_size", "samples_per_sec", "step_time")
    return ("model", "param_count", *(f"{setup.task}_{column}" for column in measured))


def _speed_row(name: str, line: int, cells: dict[str, str], setup: Setup, names: Names) -> dict[str, str]:
    params = cells["param_count"]
    if params and not re.fullmatch(r"[\d,]+(\.\d+)?", params):
        raise broken(name, line, f"param_count '{params}' is not a number")
    architecture, tag, addition = names.meaning(cells["model"], params)
    return {
        "source_id": SPEED_SOURCE, "source_file": FOLDER + name, "model": cells["model"],
        "architecture": architecture, "tag": tag, "device_id": setup.device_id, "task": setup.task,
        "runtime": setup.runtime, "software": setup.software, "precision": setup.precision,
        "layout": setup.layout, "batch_size": cells[f"{setup.task}_batch_size"],
        "img_size": cells[f"{setup.task}_img_size"],
        "throughput_per_s": cells[f"{setup.task}_samples_per_sec"],
        "latency_ms": cells[f"{setup.task}_step_time"], "note": f"{setup.note} {addition}".strip(),
    }  # fmt: skip


def _accuracy_row(name: str, cells: dict[str, str], metric: str) -> dict[str, str]:
    architecture, _, tag = cells["model"].partition(".")
    return {
        "source_id": ACCURACY_SOURCE, "source_file": FOLDER + name, "model": cells["model"],
        "architecture": architecture, "tag": tag, "dataset": DATASETS[name], "metric": metric,
        "value": cells[metric], "img_size": cells["img_size"], "crop_pct": cells["crop_pct"],
        "interpolation": cells["interpolation"], "protocol": "eval",
    }  # fmt: skip
