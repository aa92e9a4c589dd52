"""What follows from the figures of a run."""

from __future__ import annotations

import pytest

from advisor.measure.run import Roof, Work
from tests import run_data

# 1 GMAC in 10 ms is 100 GMAC/s; at 10 MACs a byte a roof of 400 GMAC/s and 20 GB/s allows 200
WORK = Work(macs=1e9, bytes=1e8, operators=(), counter="by hand")


def fraction(used: str, roof: str) -> float | None:
    parts = {"work": WORK, "roof": Roof(roof, 2, macs_per_s=400e9, bytes_per_s=20e9)}
    return run_data.run("r1", 10.0, precision_used=used, parts=parts).roof_fraction


@pytest.mark.parametrize(("used", "roof"), [("fp32", "fp32"), ("amp-bf16", "bf16"), ("tf32", "tf32")])
def test_roof_fraction_is_achieved_over_attainable(used: str, roof: str) -> None:
    assert fraction(used, roof) == pytest.approx(0.5)


@pytest.mark.parametrize(("used", "roof"), [("bf16", "fp16"), ("fp32", "tf32"), ("amp-fp16", "bf16")])
def test_roof_of_another_precision_says_nothing(used: str, roof: str) -> None:
    assert fraction(used, roof) is None
