"""Child process: what timm itself says of its weights and architectures, one JSON line each on stdout.

Lines are `{"total": n}` first, then one of `{"weights": ..., ...}` or `{"failed": name, "reason": ...}` for
every weights in timm's order, likewise `{"architecture": ..., "pretrained": ...}` for every architecture, then
`{"versions": {...}}`. Everything else that is printed goes to stderr.

    python -m advisor.evidence.workers.catalogue_worker ['resnet50*']
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg


def records(pattern: str = "") -> Iterator[dict[str, Any]]:
    """Yield the lines for all weights and architectures, or for those whose names match the shell pattern."""
    names, architectures = timm.list_models(pattern, pretrained=True), timm.list_models(pattern)
    pretrained = {cfg.architecture for cfg in map(_config, names)}
    yield {"total": len(names) + len(architectures)}
    counted: dict[str, tuple[int, int]] = {}
    for kind, name in [*(("weights", n) for n in names), *(("architecture", n) for n in architectures)]:
        cfg = _config(name)
        # by its bare name an architecture is built as its default weights are
        built = name if kind == "weights" or not cfg.tag else f"{name}.{cfg.tag}"
        try:
            params, file_bytes = counted[built] if built in counted else _count(name)
        # A network can fail in any way that its own code can; one must not cost the other 3,000.
        except Exception as exc:
            yield {"failed": name, "reason": f"{type(exc).__name__}: {exc}"}
            continue
        counted[built] = params, file_bytes
        if kind == "weights":
            yield {"weights": name, "params": params, "file_bytes": file_bytes, **_described(cfg)}
        else:
            side = cfg.input_size[-1]
            yield {"architecture": name, "params": params, "img_size": side, "pretrained": name in pretrained}
    yield {"versions": {"timm": timm.__version__, "torch": torch.__version__}}


def _config(name: str) -> PretrainedCfg:
    cfg = get_pretrained_cfg(name, allow_unregistered=False)
    assert cfg is not None, name  # list_models names only what has one
    return cfg


def _count(name: str) -> tuple[int, int]:
    """Parameters, and bytes of the whole state in fp32 (buffers included), as these weights have them.

    Built anew for every tag: it decides the classifier, and in some networks (Qwen's, by 5 million
    parameters) the layers before it. Building an architecture once would take two thirds of the time.
    On torch's `meta` device nothing is allocated: 7 billion parameters cost no more memory than 1 million.
    """
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    params = sum(p.numel() for p in model.parameters())
    file_bytes = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    return params, file_bytes


def _described(cfg: PretrainedCfg) -> dict[str, Any]:
    """The fields of timm's configuration that the catalogue keeps; None where timm says nothing."""
    return {
        "architecture": cfg.architecture,
        "tag": cfg.tag,
        "img_size": cfg.input_size[-1],
        "test_img_size": cfg.test_input_size[-1] if cfg.test_input_size else None,
        "crop_pct": cfg.crop_pct,
        "num_classes": cfg.num_classes,
        "licence": cfg.license,
        "origin_url": cfg.origin_url,
        "hf_hub_id": cfg.hf_hub_id,
        "url": cfg.url,
    }


def main(argv: list[str], out: TextIO) -> None:
    """Write the lines of `records` to `out`, each at once so that the parent can show progress."""
    for record in records(argv[0] if argv else ""):
        out.write(json.dumps(record) + "\n")
        out.flush()


if __name__ == "__main__":
    # timm and torch may print while building; stdout is for records alone.
    stream = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        main(sys.argv[1:], stream)
