"""A quantised pick comes with what is published about its network's quantised accuracy."""

from __future__ import annotations

from advisor import workflows
from advisor.evidence.store import Store
from advisor.records import Question


def texts(store: Store, device_id: str, **limits: object) -> str:
    answer = workflows.recommend(store, Question(device_id, **limits))  # type: ignore[arg-type]
    return " ".join(r.text for r in answer.reasons if r.rule == "quantised-published")


def test_hailo_pick_states_hailos_own_loss(shipped: Store) -> None:
    """The HAILO8 table prints 1.3 points of hardware degradation for efficientnet_l (timm's tf_efficientnet_el)."""
    said = texts(shipped, "hailo-8")
    assert "quantised tf_efficientnet_el" in said
    assert "loses 1.3 points (hailo-model-zoo, hardware on Hailo-8)" in said


def test_float_pick_says_nothing_of_it(shipped: Store) -> None:
    assert texts(shipped, "i7-12700h", max_latency_ms=20) == ""
