"""Views: steps of the slider, tables as shown, the snippet, and what goes in and out of the Evidence page."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from advisor import views, views_compare, views_evidence, workflows
from advisor.errors import ImportFailed
from advisor.evidence.store import Store
from advisor.records import Question
from advisor.snippet import timm_snippet

ASKED = Question("i7-12700h", max_latency_ms=20.0)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.5, 21_270.0), (0.05, 398.0), (999.0, 1001.0)])
def test_steps_cover_the_range_and_rise_by_at_most_half(low: float, high: float) -> None:
    steps = views.preferred(low, high)
    assert steps[0] <= low <= high <= steps[-1]
    assert list(steps) == sorted(set(steps))
    assert all(b / a <= 1.51 for a, b in pairwise(steps))


def test_nearest_step_is_nearest_on_the_logarithmic_scale() -> None:
    assert views.nearest_step(3.0, (1.0, 10.0)) == 1.0  # 3.0 < sqrt(10)
    assert views.nearest_step(3.3, (1.0, 10.0)) == 10.0


def test_landscape_agrees_with_the_answer(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    found = views.landscape(small, ASKED)
    assert len(found) == answer.considered
    assert int(found["feasible"].sum()) == answer.feasible


def test_landscape_is_not_changed_by_another_limit(small: Store) -> None:
    wide = views.landscape(small, Question("i7-12700h", max_latency_ms=1000.0))
    narrow = views.landscape(small, Question("i7-12700h", max_latency_ms=5.0))
    assert wide["feasible"].sum() > narrow["feasible"].sum()
    assert list(wide["weights"]) == list(narrow["weights"])


def test_only_what_is_published_can_be_asked(small: Store) -> None:
    assert views.axes_published(small, "i7-12700h", "infer") == ("latency_ms", "throughput_per_s")
    assert views.axes_published(small, "rtx-4090", "infer") == ("throughput_per_s",)
    assert views.axes_published(small, "rtx-4090", "train") == ()


def test_family_table_names_families_without_a_candidate(small: Store) -> None:
    shown = views.family_table(workflows.recommend(small, Question("i7-12700h", max_latency_ms=5.0)))
    assert list(shown["Family"][:4]) == ["MobileNet", "RegNet", "EfficientNet", "ResNeSt"]  # best first
    assert shown.set_index("Family").loc["ResNeSt", "Weights"] == "nothing within the limits"
    assert shown.set_index("Family").loc["MobileNet", "vs pick"] == "pick"


def test_snippet_runs_at_the_evaluated_size(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    assert answer.pick is not None
    text = views.snippet(small, answer.pick)
    assert f'timm.create_model("{answer.pick.weights}", pretrained=True)' in text
    assert f'"input_size": (3, {answer.pick.img_size}, {answer.pick.img_size}), "crop_pct": 0.9' in text
    compile(text, "snippet", "exec")


def test_snippet_merges_branches_where_the_speed_is_of_merged_ones(small: Store) -> None:
    answer = workflows.recommend(small, ASKED)
    assert answer.pick is not None
    fields = {**{f: getattr(answer.pick, f) for f in answer.pick.__slots__}, "note": "re-parameterised, pt=2.9.1"}
    text = timm_snippet(type(answer.pick)(**fields), crop_pct=None, interpolation=None)
    assert "timm.utils.reparameterize_model(model)" in text


def test_best_of_each_row_is_marked_once(small: Store) -> None:
    shown = views_compare.models_table(small, ["resnet50.a1_in1k", "resnet18.a1_in1k"], ["i7-12700h"])
    top1 = shown[shown["Metric"] == "ImageNet top-1"].iloc[0]
    assert [cell.endswith("★") for cell in top1.iloc[1:3]] == [True, False]


def test_matrix_has_a_verdict_for_each_device_and_claim(small: Store) -> None:
    found = workflows.all_claims(small)
    devices = workflows.advisable(small)
    shown = views_evidence.matrix(found, devices, everything=True)
    assert list(shown["device_id"]) == [d.device_id for d in devices]
    assert set(shown[list(views_evidence.claim_titles())].to_numpy().ravel()) <= set(views_evidence.SIGNS.values())


def test_an_export_is_imported_without_a_new_row(small: Store) -> None:
    content = views_evidence.export_bytes(small, "speed", "i7-12700h", "csv")
    report = views_evidence.import_upload(small, "mine.csv", content)
    assert (report.n_new, len(report.rejects)) == (0, 0)
    assert report.n_known == report.n_rows > 0


def test_a_foreign_upload_is_refused_in_one_sentence(small: Store, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed) as caught:
        views_evidence.import_upload(small, "../../photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00")
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_claim_of_the_matrix_has_a_head_of_its_own() -> None:
    assert set(views_evidence.SHORT) == set(views_evidence.claim_titles())
    assert len(set(views_evidence.SHORT.values())) == len(views_evidence.SHORT)
