"""PyTorch as it stands, operator by operator: CPU, CUDA and Apple's GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timm import layers
from torch import Tensor, nn

from advisor.measure.request import Request
from advisor.measure.runtimes.interface import CannotRun, Prepared

_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_NAMES = {kind: name for name, kind in _TYPES.items()}
# what PyTorch raises where a device has no kernel for a type
_NO_KERNEL = ("not implemented for", "not supported", "unsupported", "no kernel", "could not create a primitive")
_REASON = 160  # characters of PyTorch's own complaint that a sentence repeats


def missing() -> str | None:
    """Nothing: this process would not run without PyTorch."""
    return None


def prepare(
    model: nn.Module, example: Tensor, request: Request, *, threads: int, say: Callable[[str], None]
) -> Prepared:
    """Move the network to the device, in the precision and layout that are asked for.

    Raises:
        CannotRun: There is no such device, or it lacks the precision.
    """
    example = place(model, example, request)
    return prepared(model, model, example, request)


def place(model: nn.Module, example: Tensor, request: Request) -> Tensor:
    """Move and cast a network in place, and give the example likewise; autocast leaves both in fp32."""
    _check_device(request.target)
    kind = torch.float32 if request.precision.startswith("amp-") else _TYPES[request.precision]
    memory_format = torch.channels_last if request.layout == "nhwc" else torch.contiguous_format
    model.to(device=request.target, dtype=kind).to(memory_format=memory_format)
    return example.to(request.target, kind, memory_format=memory_format)


def prepared(callee: Callable[[Tensor], Tensor], model: nn.Module, example: Tensor, request: Request) -> Prepared:
    """What is timed: `callee` on the example, `model` being the network in it."""
    autocast = autocast_of(request)

    def run() -> Tensor:
        with torch.inference_mode(), autocast():
            return callee(example)

    def output() -> np.ndarray:
        with kernels_in_words(request):
            return np.asarray(run().float().cpu().numpy())

    return Prepared(
        run=run,
        synchronise=synchroniser(request.target),
        output=output,
        precision_used=_precision_of(model, request, autocast),
        environment=_environment(request),
        notes=_notes(model, request),
        model=model,
        threads_used=torch.get_num_threads() if request.target == "cpu" else None,
    )


def autocast_of(request: Request) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Autocast to the precision of an `amp-` request; entered anew for every pass, as users do."""
    if not request.precision.startswith("amp-"):
        return contextlib.nullcontext
    kind, device = _TYPES[request.precision.removeprefix("amp-")], request.target.partition(":")[0]
    return lambda: torch.autocast(device, dtype=kind)


def synchroniser(target: str) -> Callable[[], None]:
    """Waits until a device has nothing left to do."""
    if target.startswith("cuda"):
        device = torch.device(target)
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if target == "mps" else lambda: None


@contextlib.contextmanager
def kernels_in_words(request: Request) -> Any:
    """Turn what PyTorch says where it has no kernel for a precision into one sentence.

    Raises:
        CannotRun: With PyTorch's own words.
    """
    try:
        yield
    except (RuntimeError, NotImplementedError, TypeError) as exc:
        said = " ".join(str(exc).split())
        if request.precision == "fp32" or not any(sign in said for sign in _NO_KERNEL):
            raise
        raise CannotRun(
            f"PyTorch cannot run {request.architecture} in {request.precision} on {request.target}: "
            f"ask for fp32 ({said[:_REASON].rstrip('.')})."
        ) from exc


def _check_device(target: str) -> None:
    if target.startswith("cuda"):
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(target.partition(":")[2]) >= there:
            raise CannotRun(f"PyTorch sees {there} CUDA devices here, so there is no {target}: choose --device cpu.")
        torch.backends.cudnn.benchmark = True
        torch.cuda.set_device(target)
    elif target == "mps" and not torch.backends.mps.is_available():
        raise CannotRun("PyTorch sees no Apple GPU here: choose --device cpu.")


def _precision_of(model: nn.Module, request: Request, autocast: Callable[[], Any]) -> str:
    """Read back: the type of most weights, or what autocast really casts to.

    On CUDA weights in fp32 are multiplied in TF32 ("tf32") where PyTorch's settings say so, which by default they
    do for convolutions only: a convolutional network computes in tf32, a transformer in fp32.
    """
    device = request.target.partition(":")[0]
    with autocast():
        if torch.is_autocast_enabled(device):
            return f"amp-{_NAMES.get(torch.get_autocast_dtype(device), 'fp32')}"
    held: dict[torch.dtype, int] = {}
    for parameter in model.parameters():
        held[parameter.dtype] = held.get(parameter.dtype, 0) + parameter.numel()
    if not held:
        return request.precision
    used = _NAMES.get(max(held, key=lambda kind: held[kind]), "fp32")
    return "tf32" if used == "fp32" and _tf32_share(model, request) > 0.5 else used


def _environment(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "channels_last": request.layout == "nhwc",
        "fused_attention": bool(layers.use_fused_attn()),  # type: ignore[attr-defined]
        "inter_op_threads": torch.get_num_interop_threads(),
    }
    if request.target == "cpu":
        return found | {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "mkldnn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
            "mkl": torch.backends.mkl.is_available(),  # type: ignore[no-untyped-call]
        }
    if request.target.startswith("cuda"):
        return found | {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "tf32_convolutions": torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
            "tf32_products": torch.backends.cuda.matmul.fp32_precision,
            "gpu": torch.cuda.get_device_name(request.target),
        }
    return found


def _notes(model: nn.Module, request: Request) -> tuple[str, ...]:
    share = _tf32_share(model, request) if request.precision == "fp32" else 0.0
    if not share:
        return ()
    return (
        f"Operators with {share:.0%} of the weights compute in TF32 where they gain by it, the others in fp32: "
        "PyTorch's settings for fp32 on CUDA.",
    )


def _tf32_share(model: nn.Module, request: Request) -> float:
    """Share of the weights, by number, whose products TF32 may compute."""
    if not request.target.startswith("cuda") or torch.cuda.get_device_capability() < (8, 0):
        return 0.0
    return share_of_weights(
        model,
        convolutions=torch.backends.cudnn.conv.fp32_precision != "ieee",  # type: ignore[attr-defined]
        products=torch.backends.cuda.matmul.fp32_precision == "tf32",
    )


def share_of_weights(model: nn.Module, *, convolutions: bool, products: bool) -> float:
    """Share of all weights, by number, that convolutions have, matrix products, both or neither."""
    of_convolutions = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.modules.conv._ConvNd) and isinstance(module.weight, Tensor)
    )
    every = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() > 1)
    if not every:
        return 0.0
    return (of_convolutions * convolutions + (every - of_convolutions) * products) / every
