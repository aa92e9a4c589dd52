"""What to measure: one network in one setup on this machine, checked before anything is started."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

from advisor.errors import BadQuestion

RUNTIMES: tuple[str, ...] = ("pytorch-eager", "pytorch-compile", "onnxruntime", "openvino")
PRECISIONS: tuple[str, ...] = ("fp32", "fp16", "bf16", "amp-fp16", "amp-bf16", "int8", "auto")
LAYOUTS: tuple[str, ...] = ("nchw", "nhwc")
# measured beside the latency when asked for
EXTRAS: tuple[str, ...] = ("throughput", "train", "max-batch", "end-to-end", "features", "operators")

MAX_BATCH_SIZE = 65536
IMG_SIZES = (8, 8192)  # px, the range that the store's schema accepts
MAX_THREADS = 1024
MAX_TIME_LIMIT_S = 86400.0
DEFAULT_TIME_LIMIT_S = 60.0
# seconds beyond the default that a runtime or an extra wants on two cores, where the user gives no limit
_MORE_TIME_S = {
    "pytorch-compile": 180.0, "throughput": 60.0, "train": 30.0, "max-batch": 240.0, "end-to-end": 15.0,
    "features": 30.0,
}  # fmt: skip

_TARGET = re.compile(r"cpu|mps|cuda:\d{1,3}")
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]+")

# runtime -> the precisions it can be asked for; 'auto' is what the runtime takes by itself
_PRECISIONS_OF: dict[str, tuple[str, ...]] = {
    "pytorch-eager": ("fp32", "fp16", "bf16", "amp-fp16", "amp-bf16"),
    "pytorch-compile": ("fp32", "fp16", "bf16", "amp-fp16", "amp-bf16"),
    "onnxruntime": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "auto"),
}
_TARGETS_OF: dict[str, tuple[str, ...]] = {
    "pytorch-eager": ("cpu", "cuda", "mps"),
    "pytorch-compile": ("cpu", "cuda"),
    "onnxruntime": ("cpu", "cuda"),
    "openvino": ("cpu",),
}
_ONLY_PYTORCH = ("train", "max-batch", "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One measurement to make. `None` leaves a value to the model or the machine.

    Attributes:
        architecture: A name that `timm.list_models()` lists; never a path, URL or hub id.
        target: "cpu", "cuda:N" or "mps".
        runtime: One of `RUNTIMES`.
        precision: One of `PRECISIONS`; "auto" leaves it to the runtime (OpenVINO).
        layout: "nchw" or "nhwc" (channels last) of the activations.
        batch_size: Images of one forward pass.
        img_size: Side in px; None takes the network's native size.
        threads: Intra-operator threads; None takes the cores this process may use.
        extras: What to measure beside the latency, of `EXTRAS`.
        features_hw: Height and width in px of the "features" extra; None takes the image size.
        time_limit_s: Wall time after which the measuring process is killed.
        timing_s: The most that timing may take, and half of it warming up, however far apart the times are; None
            takes what the time limit leaves.
        pulse_ms: Watch operators while the machine's pulse (`predict.pace`) is at most this, if it is within 2 s; None
            waits for no pulse.

    Raises:
        BadQuestion: A value that makes no sense, or a combination that no runtime offers.
    """

    architecture: str
    target: str = "cpu"
    runtime: str = "pytorch-eager"
    precision: str = "fp32"
    layout: str = "nchw"
    batch_size: int = 1
    img_size: int | None = None
    threads: int | None = None
    extras: tuple[str, ...] = ()
    features_hw: tuple[int, int] | None = None
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    timing_s: float | None = None
    pulse_ms: float | None = None

    def __post_init__(self) -> None:
        shown = " ".join(self.architecture.split())[:80]
        if not _ARCHITECTURE.fullmatch(self.architecture):
            raise BadQuestion(
                f"'{shown}' is not a name that timm lists: paths, URLs and hub ids are refused. "
                "Search with 'python -m advisor models --search TEXT'."
            )
        if not _TARGET.fullmatch(self.target):
            raise BadQuestion(f"--device must be cpu, cuda:N or mps, not '{self.target[:40]}'.")
        for option, value, allowed in (
            ("--runtime", self.runtime, RUNTIMES), ("--precision", self.precision, PRECISIONS),
            ("--layout", self.layout, LAYOUTS),
        ):  # fmt: skip
            if value not in allowed:
                raise BadQuestion(f"{option} must be one of {', '.join(allowed)}, not '{value[:40]}'.")
        self._check_numbers()
        self._check_combination()

    def _check_numbers(self) -> None:
        sizes = [("--img-size", self.img_size)] if self.img_size is not None else []
        sizes += [("--features-size", side) for side in self.features_hw or ()]
        for option, size in sizes:
            if not IMG_SIZES[0] <= size <= IMG_SIZES[1]:
                raise BadQuestion(f"{option} must be {IMG_SIZES[0]} to {IMG_SIZES[1]} px, not {size}.")
        if not 1 <= self.batch_size <= MAX_BATCH_SIZE:
            raise BadQuestion(f"--batch-size must be 1 to {MAX_BATCH_SIZE}, not {self.batch_size}.")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise BadQuestion(f"--threads must be 1 to {MAX_THREADS}, not {self.threads}.")
        if not 1 <= self.time_limit_s <= MAX_TIME_LIMIT_S:  # NaN fails too
            raise BadQuestion(f"--time-limit must be 1 to {MAX_TIME_LIMIT_S:g} s, not {self.time_limit_s:g}.")
        if self.timing_s is not None and not 0 < self.timing_s <= self.time_limit_s:
            raise BadQuestion(f"The time for timing must be within the time limit of {self.time_limit_s:g} s.")

    def _check_combination(self) -> None:
        if self.precision not in _PRECISIONS_OF[self.runtime]:
            raise BadQuestion(
                f"{self.runtime} does not take --precision {self.precision}: it takes "
                f"{', '.join(_PRECISIONS_OF[self.runtime])}."
            )
        if self.target.partition(":")[0] not in _TARGETS_OF[self.runtime]:
            raise BadQuestion(
                f"{self.runtime} does not run on {self.target}: it runs on {', '.join(_TARGETS_OF[self.runtime])}."
            )
        for extra in self.extras:
            if extra not in EXTRAS:
                raise BadQuestion(f"'{extra[:40]}' cannot be measured; what can: {', '.join(EXTRAS)}.")
            if extra in _ONLY_PYTORCH and not self.runtime.startswith("pytorch"):
                raise BadQuestion(f"'{extra}' is measured with PyTorch only, not with {self.runtime}.")

    @property
    def key(self) -> str:
        """A short hash of everything that is asked for; equal requests have equal keys."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """The request in words, for progress lines."""
        size = f"{self.img_size} px, " if self.img_size is not None else ""
        return (
            f"{self.architecture}, {self.runtime} {self.precision}, {size}batch {self.batch_size}"
            f"{', channels last' if self.layout == 'nhwc' else ''}"
        )


def default_time_limit_s(runtime: str, extras: tuple[str, ...]) -> float:
    """The time limit where the user gives none: compiling and searching take longer than timing."""
    return DEFAULT_TIME_LIMIT_S + sum(_MORE_TIME_S.get(name, 0.0) for name in (runtime, *extras))


def precisions_of(runtime: str) -> tuple[str, ...]:
    """The precisions that a runtime can be asked for."""
    return _PRECISIONS_OF[runtime]


def runtimes_on(target: str) -> tuple[str, ...]:
    """The runtimes that run on a target, installed or not."""
    return tuple(name for name in RUNTIMES if target.partition(":")[0] in _TARGETS_OF[name])
