"""PyTorch by itself and compiled, on a network of two layers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.timm

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from advisor.measure import protocol  # noqa: E402
from advisor.measure.request import Request  # noqa: E402
from advisor.measure.runtimes import compile as compiling  # noqa: E402
from advisor.measure.runtimes import compile_cache, eager  # noqa: E402
from advisor.measure.runtimes.interface import CannotRun, Prepared  # noqa: E402
from advisor.measure.workers import parity, timing  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

# -- eager mode --------------------------------------------------------------------------------------------


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(5))


def eager_prepared(**asked: str) -> tuple[Prepared, torch.Tensor, torch.nn.Module]:
    model, example = network().eval(), torch.randn(2, 3, 6, 6)
    with torch.inference_mode():
        expected = model(example)
    request = Request(architecture="made_up", **asked)  # type: ignore[arg-type]
    return eager.prepare(model, example, request, threads=1, say=lambda _: None), expected, model


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "amp-bf16", "amp-fp16"])
def test_eager_mode_reads_back_the_precision_it_computes_in(precision: str) -> None:
    prepared, expected, model = eager_prepared(precision=precision)
    assert prepared.precision_used == precision
    narrow = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision.removeprefix("amp-"), torch.float32)
    assert prepared.run().dtype == narrow
    assert (model[0].weight.dtype == torch.float32) == (precision in ("fp32", "amp-bf16", "amp-fp16"))
    assert prepared.output().dtype == np.float32
    assert np.abs(prepared.output() - expected.numpy()).max() < (1e-5 if precision == "fp32" else 0.05)


def test_channels_last_is_used_when_asked_for() -> None:
    seen = []
    prepared, _, model = eager_prepared(layout="nhwc")
    model[0].register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    prepared.run()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert prepared.environment["channels_last"] is True


def test_a_device_that_is_not_there_is_one_sentence() -> None:
    if torch.cuda.device_count() > 99:
        pytest.skip("a machine with a hundred GPUs")
    with pytest.raises(CannotRun, match=r"there is no cuda:99: choose --device cpu\."):
        eager_prepared(target="cuda:99")


def test_an_operator_without_kernel_for_a_precision_is_one_sentence() -> None:
    request = Request(architecture="made_up", precision="fp16")
    sentence = r"PyTorch cannot run made_up in fp16 on cpu: ask for fp32 \("
    with pytest.raises(CannotRun, match=sentence), eager.kernels_in_words(request):
        raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")
    with pytest.raises(RuntimeError, match="shapes"), eager.kernels_in_words(request):
        raise RuntimeError("shapes do not match")


def test_compiling_without_a_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CannotRun, match=r"'no-such-compiler', is not found: install g\+\+ or clang\+\+\."):
        compiling.prepare(
            network(), torch.randn(1, 3, 6, 6), Request(architecture="made_up", runtime="pytorch-compile"), threads=1,
            say=lambda _: None,
        )  # fmt: skip


def test_a_compiled_network_computes_the_same_as_eager() -> None:
    if compiling.missing() is not None:
        pytest.skip("no C++ compiler")
    torch.set_num_threads(1)
    model, example, said = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.SiLU()).eval(), torch.randn(2, 16), []
    with torch.inference_mode():
        expected = model(example).numpy()
    request = Request(architecture="made_up", runtime="pytorch-compile")
    prepared = compiling.prepare(model, example, request, threads=1, say=said.append)
    assert said == ["compiling"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    assert parity.compare(expected, prepared.output(), precision="fp32", target="cpu").ok


_COMPILES = """
import sys, torch
from advisor.measure.request import Request
from advisor.measure.runtimes import compile
torch.set_num_threads(1)
torch.manual_seed(0)
model, example = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.SiLU()).eval(), torch.randn(2, 16)
request = Request(architecture="made_up", runtime="pytorch-compile")
print(compile.prepare(model, example, request, threads=1, say=lambda _: None).output().tolist())
"""


def test_a_kernel_that_was_half_written_is_compiled_again(tmp_path: Path) -> None:
    if compiling.missing() is not None:
        pytest.skip("no C++ compiler")
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}

    def output() -> str:
        ran = subprocess.run(
            [sys.executable, "-c", _COMPILES], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    expected, kernels = output(), [*tmp_path.rglob("*.main.so")]
    assert kernels
    for size in (0, 100):
        for path in kernels:
            path.write_bytes(path.read_bytes()[:size])
        assert output() == expected
        assert all(path.stat().st_size > 1000 for path in kernels)


def test_only_files_of_the_compilers_cache_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    kept, elsewhere = tmp_path / "cache/a/k.main.so", tmp_path / "lib.so"
    kept.parent.mkdir(parents=True)
    for path in (kept, elsewhere):
        path.write_bytes(b"")
    assert not compile_cache.forget_half_written(f"OSError: {elsewhere}: file too short")
    assert not compile_cache.forget_half_written(f"OSError: {kept}: undefined symbol")
    assert kept.exists() and elsewhere.exists()
    assert compile_cache.forget_half_written(f"OSError: {kept}: file too short")
    assert not kept.exists()
    assert not compile_cache.forget_half_written(f"OSError: {kept}: file too short")


def test_more_batch_sizes_than_the_compiler_keeps_are_all_compiled() -> None:
    if compiling.missing() is not None:
        pytest.skip("no C++ compiler")
    torch.set_num_threads(1)
    request = Request(architecture="made_up", runtime="pytorch-compile")
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).eval()
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = 2
    try:
        for batch_size in (1, 2, 3, 4):
            torch._dynamo.utils.counters.clear()
            prepared = compiling.prepare(model, torch.randn(batch_size, 4), request, threads=1, say=lambda _: None)
            assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
            assert prepared.output().shape == (batch_size, 4)
            assert prepared.cold_start_ms is not None and "includes compiling" in prepared.notes[-1]
    finally:
        torch._dynamo.config.recompile_limit = limit


def test_the_cold_start_of_a_compiled_network_includes_compiling() -> None:
    ready = Prepared(lambda: None, lambda: None, lambda: np.zeros(1), "fp32", cold_start_ms=31_000.0)
    found = timing.latency(ready, "cpu", limits=protocol.SHORT).latency
    assert found.cold_start_ms == 31_000.0
    assert found.p50 < 1


def test_weights_that_tf32_multiplies_are_counted_by_kind() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.Linear(10, 20), torch.nn.BatchNorm2d(4))
    for convolutions, products, share in ((True, False, 0.6), (False, True, 0.4), (True, True, 1.0), (False, False, 0)):
        found = eager.share_of_weights(model, convolutions=convolutions, products=products)
        assert found == pytest.approx(share)
