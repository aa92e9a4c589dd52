"""Which operators a network runs: their classes, multiply-adds and bytes, counted from shapes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from advisor.measure.run import Operator
from advisor.measure.workers import operator_classes as classes

# counts change with the rules of this file and with how PyTorch splits a network into operators
COUNTER = f"operators 1 (torch {torch.__version__.partition('+')[0]})"


@dataclass(frozen=True, slots=True)
class Count:
    """All operators of one forward pass; views and no-ops, which move no data, are left out.

    Attributes:
        uncounted: Names of operators that may multiply and add but for which there is no formula, sorted.
        counter: Who counted, with version.
    """

    operators: tuple[Operator, ...]
    uncounted: tuple[str, ...]
    counter: str = COUNTER

    @property
    def macs(self) -> int:
        """Multiply-adds of the batch."""
        return sum(o.macs for o in self.operators)

    @property
    def bytes(self) -> int:
        """Weights, inputs and outputs of every operator once."""
        return sum(o.bytes for o in self.operators)

    def of(self, kind: str) -> tuple[Operator, ...]:
        """The operators of one class."""
        return tuple(o for o in self.operators if o.kind == kind)


def count(model: nn.Module, example: Tensor, *, bytes_per_value: int | None = None) -> Count:
    """Operators of one forward pass in eval mode.

    Costs no arithmetic when the example is on the `meta` device (0.03 to 0.3 s a network); the weights may then be
    anywhere, they are not read.

    Args:
        example: Batch of shape (batch, 3, height, width), on the model's device or on `meta`.
        bytes_per_value: Of every floating-point value; None takes each tensor's own.
    """
    if example.device.type == "meta":
        shapes = _shapes(model)
        run = functools.partial(functional_call, model, shapes, (example,), tie_weights=False)
        return count_pass(run, shapes.values(), bytes_per_value)
    return count_pass(lambda: model(example), weights_of(model), bytes_per_value)


def _shapes(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer on `meta`, by its place in the network, those that are shared as one tensor.

    A module that stands at several places is named once: `functional_call` would put away its weights twice, the second
    time those on `meta`, and give the network these back.
    """
    known: dict[int, Tensor] = {}
    found = {}
    for place, module in model.named_modules():
        for name, tensor in itertools.chain(
            module.named_parameters(recurse=False, remove_duplicate=False),
            module.named_buffers(recurse=False, remove_duplicate=False),
        ):
            if id(tensor) not in known:
                known[id(tensor)] = torch.empty_like(tensor, device="meta")
            found[f"{place}.{name}".lstrip(".")] = known[id(tensor)]
    return found


def weights_of(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers: what does not grow with the batch."""
    return [*model.parameters(), *model.buffers()]


def count_pass(run: Callable[[], Any], weights: Iterable[Tensor], bytes_per_value: int | None = None) -> Count:
    """Operators of whatever `run` does; `weights` are the tensors that do not come from its input."""
    calls, uncounted = calls_of(run, weights, bytes_per_value)
    return Count(tuple(o for o in calls if o is not None), uncounted)


def calls_of(
    run: Callable[[], Any], weights: Iterable[Tensor], bytes_per_value: int | None = None
) -> tuple[list[Operator | None], tuple[str, ...]]:
    """As `count_pass`, but one entry a call in order, None for views and no-ops; and what has no formula."""
    mode = _Counting(weights, bytes_per_value)
    # without inference mode PyTorch splits linear, attention and normalisation into parts before they get here
    with torch.inference_mode(), mode:
        run()
    return mode.found, tuple(sorted(mode.uncounted))


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, hands every operator to `seen`, once; composed ones in their parts."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = classes.plain_name(func._schema.name)
        if name in classes.COMPOSED:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        return self.seen(name, func, args, kwargs)

    def seen(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do it, and return its result."""
        raise NotImplementedError


class _Counting(Watching):
    """`found` has one entry an operator, None for views and no-ops."""

    def __init__(self, weights: Iterable[Tensor], bytes_per_value: int | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # kept alive, so that no later tensor gets the storage, and with it the identity, of a weight
        self._weights = {_storage(t): t for t in weights}
        self._bytes_per_value = bytes_per_value
        self.found: list[Operator | None] = []
        self.uncounted: set[str] = set()

    def seen(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made = func(*args, **kwargs)
        if name == "scaled_dot_product_attention" and made.is_meta:
            # CPU and CUDA kernels leave the heads of a token side by side, so that joining them copies nothing
            made = made.transpose(-3, -2).contiguous().transpose(-3, -2)
        self.found.append(self._operator(name, func, args, kwargs, made))
        return made

    def _operator(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any
    ) -> Operator | None:
        inputs = list(_tensors((args, kwargs)))
        outputs = list(_tensors(made))
        read = {_storage(t) for t in inputs}
        is_view = all(_storage(t) in read for t in outputs) and not func._schema.is_mutable
        if inputs and read <= self._weights.keys():  # standardised or cast weights, position tables: still weights
            self._weights.update({_storage(t): t for t in outputs})
        if is_view or not inputs:
            return None
        kind, macs, kernel, stride, groups = self._work(name, args, kwargs, outputs)
        moved = [*{id(t): t for t in inputs}.values(), *outputs]
        weight_bytes = sum(self._bytes(t) for t in moved if _storage(t) in self._weights)
        return Operator(
            name, kind, macs, sum(map(self._bytes, moved)), weight_bytes, kernel, stride, groups,
            tuple(tuple(t.shape) for t in inputs), tuple(tuple(t.shape) for t in outputs),
        )  # fmt: skip

    def _work(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Tensor]
    ) -> tuple[str, int, tuple[int, ...], tuple[int, ...], int]:
        """Class, MACs, kernel, stride and groups."""
        if name in classes.CONVOLUTIONS:
            return _convolution(name, args, kwargs, outputs[0])
        plain: tuple[tuple[int, ...], tuple[int, ...], int] = ((), (), 1)
        if name in classes.LINEARS:
            return classes.LINEAR, classes.product_macs(args[0].shape, outputs[0].shape), *plain
        if name in classes.PRODUCTS:
            left, right = (args[i] for i in classes.PRODUCTS[name])
            by_weight = any(_storage(t) in self._weights for t in (left, right))
            batch = left.shape[0] if name == "addbmm" else 1  # its result is summed over the batch
            macs = batch * classes.product_macs(left.shape, outputs[0].shape)
            return classes.LINEAR if by_weight else classes.ATTENTION, macs, *plain
        if name in classes.FUSED_ATTENTION:
            return classes.ATTENTION, classes.attention_macs(*(t.shape for t in args[:3])), *plain
        if name in classes.RECURRENT and isinstance(args[2], (list, tuple)):  # not of packed sequences
            return classes.LINEAR, classes.recurrent_macs(args[0].shape, [t.shape for t in args[2]]), *plain
        if classes.uncounted(name):
            self.uncounted.add(name)
        return classes.other_class(name), 0, *plain

    def _bytes(self, tensor: Tensor) -> int:
        """Of the values that are there: a broadcast view counts what it is broadcast from."""
        size = tensor.element_size()
        values = min(tensor.numel(), tensor.untyped_storage().nbytes() // size)
        return values * (self._bytes_per_value or size if tensor.is_floating_point() else size)


def _convolution(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Tensor
) -> tuple[str, int, tuple[int, ...], tuple[int, ...], int]:
    inputs, weight = args[0], args[1]
    kernel = tuple(weight.shape[2:])
    # a transposed one has a name of its own, or a flag behind stride, padding and dilation
    transposed = "transpose" in name or (name in classes.GENERAL_CONVOLUTIONS and bool(args[6]))
    groups = made.shape[1] // weight.shape[1] if transposed else inputs.shape[1] // weight.shape[1]
    given = args[3] if len(args) > 3 else kwargs.get("stride", 1)
    stride = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    stride = stride * len(kernel) if len(stride) == 1 else stride
    macs = classes.convolution_macs(weight.shape, inputs.shape, made.shape, transposed=transposed)
    return classes.convolution_class(inputs.shape[1], kernel, groups), macs, kernel, stride, groups


def _tensors(values: Any) -> Iterator[Tensor]:
    """All tensors in nested arguments, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def _storage(tensor: Tensor) -> int:
    """What tells memory apart, on `meta` too, where all addresses are 0."""
    return int(tensor.untyped_storage()._cdata)
