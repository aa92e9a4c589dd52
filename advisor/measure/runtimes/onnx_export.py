"""A PyTorch network as an ONNX model, for the runtimes that read one; what goes wrong on the way, in one sentence."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import psutil
import torch
from torch import nn

from advisor.measure.runtimes.interface import CannotRun
from advisor.measure.workers.build import is_out_of_memory

INPUT, OUTPUT = "image", "logits"
# The latest that tracing knows, which PyTorch takes by itself. From 17 on normalisation is one operator; ONNX Runtime
# and OpenVINO are equally fast with all since.
OPSET = 20
# A protobuf message ends at 2 GB. Above this the weights go to a file beside it; below, nothing touches the
# disk, so that a killed process leaves no file behind.
_MOST_IN_MEMORY_BYTES = 1_800_000_000
REASON_CHARACTERS = 200
_SCRATCH = "advisor-onnx-"
_LEFT_AFTER_S = 3600.0
_CANNOT_EXPORT = "PyTorch cannot export this network to ONNX"


class Export(Protocol):
    """Writes a network as ONNX to a path, its weights beside it, or to a stream."""

    def __call__(self, model: nn.Module, example: torch.Tensor, file: str | IO[bytes], /) -> None: ...


@contextlib.contextmanager
def onnx_model(model: nn.Module, example: torch.Tensor, export: Export) -> Iterator[bytes | str]:
    """The network at the example's shape and precision: serialised, or a path that is gone afterwards.

    Args:
        export: `by_tracing` or `by_tracing_or_newer`.

    Raises:
        CannotRun: PyTorch cannot export it.
    """
    if _weights_bytes(model) <= _MOST_IN_MEMORY_BYTES:
        stream = io.BytesIO()
        export(model, example, stream)
        yield stream.getvalue()
        return
    with scratch() as folder:
        path = str(folder / "model.onnx")
        export(model, example, path)
        yield path


def by_tracing(model: nn.Module, example: torch.Tensor, file: str | IO[bytes], /) -> None:
    """Export by running the network once: 0.3 to 3 s.

    Attention is written as its single operators, as timm's own export does: PyTorch's fused one cannot be exported
    from some networks (EVA), and ONNX Runtime and OpenVINO are equally fast with both.
    """
    with in_one_sentence(_CANNOT_EXPORT), warnings.catch_warnings(), torch.no_grad(), _attention_in_parts(model):
        # tracing is deprecated, and warns of each shape that it takes as a constant, which is what we want
        warnings.simplefilter("ignore")
        anywhere: Any = file  # a stream will do, though its annotation knows paths only
        torch.onnx.export(
            model, (example,), anywhere, dynamo=False, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT]
        )


def by_tracing_or_newer(model: nn.Module, example: torch.Tensor, file: str | IO[bytes], /) -> None:
    """Export by tracing; what that cannot (HaloNet, VOLO), by PyTorch's newer exporter: 7 to 60 s, one package more."""
    try:
        by_tracing(model, example, file)
        return
    except CannotRun as exc:
        if importlib.util.find_spec("onnxscript") is None:
            raise CannotRun(f"{exc} PyTorch's other exporter may do it: run 'pip install onnxscript'.") from exc
    with in_one_sentence(_CANNOT_EXPORT), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model, (example,), dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
        )
        if program is None:
            raise CannotRun(f"{_CANNOT_EXPORT}: the exporter gave no model.")
        if isinstance(file, str):
            program.save(file, external_data=True)
        else:
            file.write(program.model_proto.SerializeToString())


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own that is removed afterwards, with what is in it, and with what killed processes left."""
    _remove_left_behind()
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _remove_left_behind() -> None:
    """Folders whose process is gone. Not fresh ones: another container may share the folder, not the process ids."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        owner = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        with contextlib.suppress(OSError):
            old = time.time() - folder.stat().st_mtime > _LEFT_AFTER_S
            if old and owner.isdigit() and not psutil.pid_exists(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def in_one_sentence(start: str) -> Iterator[None]:
    """Turn what converters and runtimes raise into `CannotRun`, with the start of a sentence before its reason.

    Raises:
        CannotRun: Whatever was raised, shortened to its first line.
        MemoryError: Memory ran out, whatever class said so.
    """
    try:
        yield
    except CannotRun:
        raise
    # Exporters and runtimes run networks and compilers of others: no class of exception is excluded, and some
    # of ONNX Runtime's have no base but Exception.
    except Exception as exc:
        if memory_ran_out(exc):
            raise MemoryError(first_line(exc)) from exc
        raise CannotRun(f"{start}: {first_line(exc)}") from exc


def memory_ran_out(exc: Exception) -> bool:
    """Whether an exception of any class says that memory ran out."""
    words = str(exc).lower()
    return is_out_of_memory(exc) or any(
        sign in words for sign in ("failed to allocate memory", "bad_alloc", "bad allocation", "out of memory")
    )


def first_line(exc: Exception) -> str:
    """What an exception says, without the graph or trace that may follow; at most `REASON_CHARACTERS`."""
    lines = [" ".join(line.split()) for line in str(exc).splitlines()]
    # OpenVINO begins with the place in its own source
    said = next((line for line in lines if line and not line.startswith("Exception from ")), type(exc).__name__)
    said = said.partition(" Please feel free")[0]  # ... to report this to PyTorch
    said = said if len(said) <= REASON_CHARACTERS else said[: REASON_CHARACTERS - 1] + "…"
    return said.rstrip(".:") + "."


def missing_package(runtime: str, packages: tuple[str, ...]) -> str | None:
    """Which of the packages that a runtime needs is not installed, in one sentence; None where all are."""
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    if not absent:
        return None
    return f"{runtime} is not installed: run 'pip install {' '.join(absent)}'."


def _weights_bytes(model: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())


@contextlib.contextmanager
def _attention_in_parts(model: nn.Module) -> Iterator[None]:
    fused = [module for module in model.modules() if getattr(module, "fused_attn", False) is True]
    for module in fused:
        module.fused_attn = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True  # type: ignore[assignment]
