"""The parts of a measurement, each by itself: invented clocks and batches, small layers instead of networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.timm

torch = pytest.importorskip("torch")
pytest.importorskip("timm")


from advisor.errors import BadQuestion  # noqa: E402
from advisor.measure import protocol  # noqa: E402
from advisor.measure.lines import Progress  # noqa: E402
from advisor.measure.request import Request  # noqa: E402
from advisor.measure.run import Latency, Work  # noqa: E402
from advisor.measure.runtimes import eager  # noqa: E402
from advisor.measure.runtimes.interface import CannotRun, Prepared  # noqa: E402
from advisor.measure.workers import (  # noqa: E402
    build,
    failures,
    memory,
    parity,
    parts,
    session,
    timing,
)  # fmt: skip
from advisor.measure.workers.session import Phases  # noqa: E402
from tests.invented_clock import Clock  # noqa: E402

# -- phases --------------------------------------------------------------------------------------------


def test_phases_add_up_to_the_time_between_their_stages() -> None:
    clock, said = Clock(), []
    phases = Phases(said.append, clock, -0.5)
    for stage, lasts in (("building", 2), ("warming up", 3), ("timing", 1), ("timing", 4), ("warming up", 5)):
        phases(Progress(stage))
        clock.now += lasts
    phases.enter("end")
    assert phases.seconds == {"start": 0.5, "build": 2, "warm up": 8, "time": 5}
    assert [progress.stage for progress in said] == ["building", "warming up", "timing", "timing", "warming up"]


# -- the stopwatch ---------------------------------------------------------------------------------------


class Events:
    """CUDA events on an invented GPU that is `lag_ms` behind the clock's view of each reading."""

    def __init__(self, clock: Clock, lag_ms: float) -> None:
        self._clock, self._lag_ms = clock, lag_ms

    def record(self) -> None:
        self.at = self._clock()

    def elapsed_time(self, end: Events) -> float:
        return 1000 * (end.at - self.at) - self._lag_ms


def watch_of(clock: Clock, pass_s: float, lag_ms: float | None = None) -> timing.Stopwatch:
    def run() -> None:
        clock.now += pass_s

    make = None if lag_ms is None else lambda: Events(clock, lag_ms)
    return timing.Stopwatch(run, lambda: None, clock, make_event=make)


def test_without_a_gpu_the_wall_clock_counts() -> None:
    watch = watch_of(Clock(), 0.25)
    watch.choose_timer()
    assert watch(4) == pytest.approx(250)
    assert watch.timer == "wall clock"
    assert watch.medians(1) == {}


@pytest.mark.parametrize(("pass_s", "timer"), [(0.0019, "wall clock"), (0.0021, "CUDA events"), (0.5, "CUDA events")])
def test_events_time_networks_that_are_long_enough_for_them(pass_s: float, timer: str) -> None:
    watch = watch_of(Clock(), pass_s, lag_ms=0.0)
    watch.choose_timer()
    assert watch.timer == timer


def test_both_clocks_are_kept_for_the_record() -> None:
    watch = watch_of(Clock(), 0.010, lag_ms=0.5)
    watch.choose_timer()
    assert watch(1) == pytest.approx(9.5)
    assert watch.medians(1) == pytest.approx({"wall clock p50 ms": 10, "CUDA events p50 ms": 9.5})


def test_the_device_is_idle_before_and_after_a_reading() -> None:
    order: list[str] = []
    timing.Stopwatch(lambda: order.append("run"), lambda: order.append("wait"), Clock())(2)
    assert order == ["wait", "run", "run", "wait"]


# -- parity ----------------------------------------------------------------------------------------------

EXPECTED = np.array([[1.0, -4.0, 2.0]])


def test_parity_is_the_largest_difference_over_the_largest_value() -> None:
    found = parity.compare(EXPECTED, EXPECTED + np.array([[0, 0.004, -0.001]]), precision="fp32", target="cpu")
    assert found.max_abs == pytest.approx(0.004)
    assert found.max_rel == pytest.approx(0.001)
    assert found.ok


def test_only_the_images_of_the_reference_are_compared() -> None:
    found = np.vstack([EXPECTED, 100 * EXPECTED])
    assert parity.compare(EXPECTED, found, precision="fp32", target="cpu").max_abs == 0


@pytest.mark.parametrize(
    ("precision", "target", "tolerance"),
    [("fp32", "cpu", 0.002), ("fp32", "cuda:0", 0.02), ("amp-fp16", "cpu", 0.03), ("bf16", "cuda:1", 0.1)],
)
def test_tolerance_follows_the_precision(precision: str, target: str, tolerance: float) -> None:
    for error, ok in ((0.9 * tolerance, True), (1.1 * tolerance, False)):
        found = parity.compare(EXPECTED, EXPECTED + 4 * error, precision=precision, target=target)
        assert (found.ok, found.tolerance) == (ok, tolerance)


def test_int8_is_not_judged_but_for_being_finite() -> None:
    assert parity.compare(EXPECTED, 3 * EXPECTED, precision="int8", target="cpu").ok
    assert not parity.compare(EXPECTED, np.nan * EXPECTED, precision="int8", target="cpu").ok


@pytest.mark.parametrize("found", [np.full((1, 3), np.inf), np.ones((1, 4)), np.ones((0, 3))])
def test_infinite_or_misshapen_output_fails(found: np.ndarray) -> None:
    assert not parity.compare(EXPECTED, found, precision="bf16", target="cpu", at_least=100).ok


def test_a_failed_parity_says_both_figures() -> None:
    found = parity.compare(EXPECTED, EXPECTED + 1, precision="fp32", target="cpu")
    with pytest.raises(CannotRun, match=r"openvino in fp32 .* differs by 1, 0.25 of the largest value, where 0.002 is"):
        parity.check(found, runtime="openvino", precision="fp32")


def test_eager_mode_is_the_yardstick_of_narrow_types() -> None:
    layer = torch.nn.Linear(64, 8)
    images = torch.randn(4, 64)
    expected = parity.reference(layer, images)
    assert expected.shape == (parity.IMAGES, 8)
    error = parity.eager_error(layer, images, expected, "amp-bf16")
    assert error is not None
    assert 2**-11 < error < 2**-5  # a mantissa of 8 bits
    assert parity.eager_error(layer, images, expected, "int8") is None


class _Squares(torch.nn.Module):
    """Every layer squares what it reads, which doubles its relative error, and keeps it near 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(N_SQUARES):
            x = x * x
            x = x / x.mean()
        return x[:, :8]


class _OneType(torch.nn.Linear):
    """Multiplies its weights with a constant that is always fp32."""

    def __init__(self) -> None:
        super().__init__(64, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x @ torch.eye(64))


N_SQUARES = 12


def test_the_yardstick_of_fp32_is_how_far_its_rounding_takes_it_from_fp64() -> None:
    images = 1 + 1e-4 * torch.rand(2, 64, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.Linear(64, 8)
    error = parity.eager_error(plain, images, parity.reference(plain, images), "fp32")
    assert error is not None
    assert error < 2**-18  # a mantissa of 24 bits, and sums of 64
    grown = parity.eager_error(_Squares(), images, parity.reference(_Squares(), images), "fp32")
    assert grown is not None
    assert parity.eager_error(_OneType(), images, parity.reference(_OneType(), images), "fp32") is None
    assert 2 ** (N_SQUARES - 4) < grown / 2**-24 < 2 ** (N_SQUARES + 4)


# -- memory, failures, parts -----------------------------------------------------------------------------


def test_peak_memory_is_that_since_the_reset() -> None:
    memory.Meter("cpu").reset()  # what other tests have left is no part of it
    meter = memory.Meter("cpu")
    np.ones(50_000_000)  # 400 MB, gone again
    meter.reset()
    kept = np.ones(12_500_000)
    found = meter.peaks(7.0)
    assert kept[0] == 1
    assert found.peak_rss_mb == pytest.approx(100, abs=40)
    assert found.weights_file_mb == 7.0
    assert found.peak_allocated_mb is None


def test_a_runtime_with_an_allocator_of_its_own_has_no_peak_of_the_gpu() -> None:
    meter = memory.Meter("cuda:0", in_torch=False)
    meter.reset()
    found = meter.peaks(7.0)
    assert (found.peak_allocated_mb, found.peak_reserved_mb) == (None, None)
    assert "Peak memory of the GPU is not known" in (meter.note() or "")
    assert memory.Meter("cpu").note() is None


def test_memory_of_apples_gpu_is_that_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 30_000_000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 40_000_000)
    found = memory.Meter("mps").peaks(7.0)
    assert (found.peak_allocated_mb, found.peak_reserved_mb) == (30.0, 40.0)


def judged(output: object, *, left_s: float = 1e12, expected: object = None):
    def give() -> object:
        if isinstance(output, Exception):
            raise output
        return output

    found = parts_of(left_s)
    ready = Prepared(lambda: None, lambda: None, give, "fp32")  # type: ignore[arg-type]
    return session._judged(found.request, ready, expected, found, latency_of(1000.0)), found.notes  # type: ignore[arg-type]


def test_memory_that_runs_out_for_the_output_loses_no_latency() -> None:
    assert judged(MemoryError(), expected=EXPECTED) == (
        None, ["Its output was not compared with PyTorch's: memory ran out for a copy of it."]
    )  # fmt: skip
    with pytest.raises(ValueError, match="odd"):
        judged(ValueError("odd"), expected=EXPECTED)


def test_a_comparison_that_no_time_is_left_for_is_not_begun() -> None:
    parity_found, notes = judged(AssertionError("it was begun"), left_s=0.0, expected=EXPECTED)
    assert parity_found is None
    assert notes == ["Its output was not compared with PyTorch's: no time was left; raise --time-limit."]


def test_the_reference_itself_must_be_finite() -> None:
    assert judged(EXPECTED) == (None, [])
    with pytest.raises(CannotRun, match="gives values that are not finite"):
        judged(np.array([[1.0, np.nan]]))


def test_an_image_that_is_not_square_is_told_in_words() -> None:
    facts = build.Facts("made_up", (3, 240, 320), (240, 320), 1, 1.0, {})
    assert session._size_note(facts) == (
        "Images are 240 px high and 320 px wide; the image size of this run is their width.",
    )
    assert session._size_note(build.Facts("made_up", (3, 64, 64), (64, 64), 1, 1.0, {})) == ()


def test_few_steps_have_no_interval() -> None:
    few = latency_of(1.0)
    assert protocol.known_interval(few) is None
    enough = replace(few, times_ms=(1.0, 1.0, 1.1, 1.0, 0.9), ci95=(0.9, 1.1))
    assert protocol.known_interval(enough) == (0.9, 1.1)


def test_failures_are_sentences() -> None:
    request = Request(architecture="resnet18", batch_size=512)
    on_cpu = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    of_library = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    of_memory = (MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), on_cpu, of_library)
    said = {failures.in_words(exc, request) for exc in of_memory}
    assert said == {
        "Memory ran out: resnet18, pytorch-eager fp32, batch 512 needs more than there is; take a smaller batch or "
        "image size."
    }
    assert failures.in_words(BadQuestion("No."), request) == "No."
    odd = failures.in_words(KeyError("x" * 5000), request)
    assert odd.startswith("resnet18, pytorch-eager fp32, batch 512 failed with KeyError: ")
    assert len(odd) < 300


def latency_of(p50: float) -> Latency:
    return Latency((p50,), 1, p50, p50, None, 0.0, (p50, p50), p50, True, 1, "precise", "wall clock")


def parts_of(until_s: float, *extras: str) -> parts.Parts:
    request = Request(architecture="mobilenetv3_small_050", img_size=32, extras=extras)
    return parts.Parts(request, 1, eager, until_s, lambda _: None)  # type: ignore[arg-type]


def test_a_part_without_time_left_is_a_note() -> None:
    built = build.build("mobilenetv3_small_050", 32)
    found = parts_of(0.0, "train", "throughput")
    prepared = Prepared(lambda: None, lambda: None, lambda: np.zeros((1, 1)), "fp32", model=built.model)
    found.measure(prepared, built.facts, latency_of(1.0))
    assert (found.training, found.throughput) == (None, None)
    assert found.notes == [
        "The training step: no time was left to measure it; raise --time-limit.",
        "The batch sweep: no time was left to measure it; raise --time-limit.",
    ]


def test_the_bytes_of_a_pass_follow_the_precision() -> None:
    built = build.build("mobilenetv3_small_050", 32)
    works: dict[str, Work] = {}
    for precision in ("fp32", "bf16"):
        found = parts_of(1e12)
        found.count(built)
        prepared = Prepared(lambda: None, lambda: None, lambda: np.zeros((1, 1)), precision, model=built.model)
        found.measure(prepared, built.facts, latency_of(1.0))
        assert found.work is not None
        works[precision] = found.work
    assert works["fp32"].macs == works["bf16"].macs > 1e6
    assert works["fp32"].bytes == 2 * works["bf16"].bytes > 4 * built.facts.params


def test_limits_of_short_parts_fit_into_the_time_that_is_left() -> None:
    assert parts_of(1e12)._limits() == protocol.SHORT
    assert parts_of(0.0)._limits().max_s < 1
