"""Random weights that are quick to make and as ordinary as trained ones: nothing zero, tiny, huge or undefined.

timm's own initialisers take 2.4 s for ViT-B and 10 s for ViT-L on one core, and what they leave is unlike a
trained network: scales of 0, 1 and 1e-6, which a runtime may simplify away or a half-precision type cannot
hold, and batch norms that normalise nothing, so that activations vanish or explode with depth. Denormals,
infinities and NaN change the speed of a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Values repeat after so many. A prime, so that no two rows of a weight matrix are equal.
_PERIOD = 65537
# Noise keeps this distance from 0: times the smallest std below, 0.0089 of VGG's first linear layer, it is
# above 6.1e-5, the smallest normal number of fp16.
_NOISE_RANGE = (0.02, 3.0)
_TABLE_STD = 0.02  # position embeddings, class tokens and other tables, as usual for transformers
_BIAS_STD = 0.02
_SCALE_SPREAD = 0.1  # relative, of scales of norms
_LAYER_SCALE = 0.1  # trained layer scales are 0.01 to 1 where their initial value is 1e-6 to 1e-4
_SMALL = 0.05  # an initial constant below it is such a scale
_LAST_SCALE = 0.5  # where a block's last norm starts at 0
# Images of the pass that calibrates, relative to the network's own and at least so many px. The smaller the maps,
# the more of a kernel falls on padding: at 64 px EfficientNet-B0 is off by a factor of 1000 at its end.
_CALIBRATION_SHARE = 5 / 8
_CALIBRATION_PX = (160, 32)  # least, and step
_LARGEST = 1e4  # a value above it was left undefined, or no half-precision type could hold its products

_RANDOM = frozenset({
    "normal_", "uniform_", "random_", "bernoulli_", "exponential_", "log_normal_",
    "kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_", "trunc_normal_", "orthogonal_",
})  # fmt: skip
_CONSTANT = frozenset({"zero_", "fill_", "zeros_", "ones_", "constant_"})
_ELEMENTWISE = frozenset({"add_", "sub_", "mul_", "div_", "clamp_", "clip_", "copy_", "erfinv_", "neg_", "sqrt_"})


class Postponed(TorchFunctionMode):
    """While active, parameters that are initialised at random are left as they are, to be filled afterwards.

    Everything else is computed as ever, so that buffers such as indices of relative positions are right.
    """

    def __init__(self) -> None:
        super().__init__()
        # Holding the storages keeps their addresses from being given to other tensors.
        self._left: dict[int, torch.UntypedStorage] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        # methods of tensors, and functions of torch.nn.init, which name their argument
        target = args[0] if args else (kwargs or {}).get("tensor")
        if (name in _RANDOM or name in _CONSTANT or name in _ELEMENTWISE) and isinstance(target, Tensor):
            storage = target.untyped_storage()
            known = storage.data_ptr() in self._left
            if name in _RANDOM and (known or (isinstance(target, nn.Parameter) and target.numel())):
                self._left[storage.data_ptr()] = storage
                return target
            if known and (name in _ELEMENTWISE or target.numel() * target.element_size() < storage.nbytes()):
                return target
            if known:
                del self._left[storage.data_ptr()]
        return func(*args, **(kwargs or {}))

    def is_left(self, parameter: Tensor) -> bool:
        """Whether the parameter still waits for values."""
        return parameter.untyped_storage().data_ptr() in self._left


def settle(model: nn.Module, postponed: Postponed, *, seed: int) -> None:
    """Give every parameter ordinary values; the same seed gives the same ones.

    Convolutions get a variance of 2 / fan-in (He et al. 2015, arXiv:1502.01852), linear layers 1 / fan-in,
    tables `_TABLE_STD`; constants get a spread, and those near 0 a size that is usual after training.
    """
    low, high = _NOISE_RANGE
    noise = torch.randn(2 * _PERIOD, generator=torch.Generator().manual_seed(seed))
    noise = torch.where(noise < 0, -1.0, 1.0) * noise.abs().clamp(low, high)
    with torch.no_grad():
        for number, (module, name, parameter) in enumerate(_parameters(model)):
            mean, std = _wanted(module, name, parameter, postponed.is_left(parameter))
            if std:
                start = number * 7919 % _PERIOD
                _fill(parameter, noise[start : start + _PERIOD] * std + mean)


def _parameters(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Every floating-point parameter once, with its owner."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen and parameter.is_floating_point() and parameter.numel():
                seen.add(id(parameter))
                yield module, name, parameter


def _wanted(module: nn.Module, name: str, parameter: Tensor, left: bool) -> tuple[float, float]:
    """Mean and standard deviation to fill a parameter with; a deviation of 0 keeps its values."""
    if not left:
        lowest, highest = (float(value) for value in torch.aminmax(parameter))
        sane = -_LARGEST < lowest <= highest < _LARGEST  # NaN is not
        if sane and lowest != highest:
            return 0.0, 0.0
        if sane and (parameter.ndim < 2 or lowest != 0):
            return _around(lowest, is_scale=name == "weight" and parameter.ndim == 1)
    if parameter.ndim < 2:
        return 0.0, _BIAS_STD
    fan_in = parameter.numel() / parameter.shape[0]
    if isinstance(module, nn.modules.conv._ConvNd):
        return 0.0, math.sqrt(2 / fan_in)
    return 0.0, math.sqrt(1 / fan_in) if isinstance(module, nn.Linear) else _TABLE_STD


def _around(constant: float, *, is_scale: bool) -> tuple[float, float]:
    """Mean and standard deviation in place of an initial constant."""
    if constant == 0:
        return (_LAST_SCALE, _LAST_SCALE * _SCALE_SPREAD) if is_scale else (0.0, _BIAS_STD)
    mean = math.copysign(max(abs(constant), _LAYER_SCALE if abs(constant) < _SMALL else 0.0), constant)
    return mean, abs(mean) * _SCALE_SPREAD


def _fill(parameter: Tensor, block: Tensor) -> None:
    flat = parameter.view(-1)
    whole = flat.numel() // _PERIOD * _PERIOD
    flat[:whole].view(-1, _PERIOD).copy_(block)
    flat[whole:].copy_(block[: flat.numel() - whole])


def calibrate(model: nn.Module, shape: tuple[int, int, int], *, seed: int) -> None:
    """Set the running statistics of every batch norm to those of its input, as training would have.

    One pass of a small random image, in which each norm sees what the calibrated ones before it let through.
    One mean and variance a layer, with a spread over its channels. Without batch norms nothing is run.

    Args:
        model: In eval mode, on the CPU.
        shape: Channels, height and width of an image; the pass takes a smaller one where the network can.
        seed: Of the image and the spread.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_var is not None]
    if not norms:
        return
    generator = torch.Generator().manual_seed(seed)
    hooks = [norm.register_forward_pre_hook(_take_statistics(generator)) for norm in norms]
    try:
        with torch.inference_mode():
            small = tuple(map(_calibration_px, shape[1:]))
            try:
                model(torch.randn(1, shape[0], *small, generator=generator))
            # A network may refuse another size than its own in any way that its code can.
            except Exception:
                if small == shape[1:]:
                    raise
                model(torch.randn(1, *shape, generator=generator))
    finally:
        for hook in hooks:
            hook.remove()


def _calibration_px(side: int) -> int:
    least, step = _CALIBRATION_PX
    return min(side, max(least, math.ceil(side * _CALIBRATION_SHARE / step) * step))


def _take_statistics(generator: torch.Generator) -> Callable[[Any, tuple[Any, ...]], None]:
    def hook(norm: Any, inputs: tuple[Any, ...]) -> None:
        variance, mean = (float(value) for value in torch.var_mean(inputs[0], correction=0))
        if not (math.isfinite(variance) and variance > norm.eps):
            return
        noise = torch.randn(norm.running_var.shape, generator=generator).clamp_(-2, 2)
        norm.running_mean.copy_(mean + _SCALE_SPREAD * math.sqrt(variance) * noise)
        norm.running_var.copy_(variance * (1 + _SCALE_SPREAD * noise))

    return hook
