"""The rules of the guide of 2020: which family, which size, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest

from advisor.predict.guide import guide_of_2020

FAMILIES = np.array(["EfficientNet", "EfficientNet", "MobileNet", "ResNeSt", "RegNet", "MNASNet", "ViT"], dtype=object)
ACCURACY = np.array([77.0, 80.0, 75.0, 82.0, 81.0, 76.0, 90.0])
MS = np.array([2.0, 5.0, 1.0, 9.0, 4.0, 1.5, 0.1])


@pytest.mark.parametrize(("kind", "budget_ms", "pick"), [
    ("cpu", 6.0, 1),  # EfficientNet, the most accurate within
    ("cpu", 3.0, 0),
    ("cpu", 1.0, None),  # no other family is tried
    ("gpu", 10.0, 3),  # ResNeSt first
    ("gpu", 8.0, 4),  # where speed is needed, RegNet
    ("gpu", 3.0, None),
    ("phone", 10.0, 5),  # MnasNet or MobileNet
    ("npu", 1.2, 2),
])  # fmt: skip
def test_the_guide_names_a_family_and_multiply_adds_the_size(kind: str, budget_ms: float, pick: int | None) -> None:
    assert guide_of_2020(kind, FAMILIES, ACCURACY, MS, budget_ms) == pick
