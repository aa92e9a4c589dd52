"""Results and history on the Measure page: the newest at once, each tab, two compared, deleted and brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor import ui_history, workflows_measure
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.measure.lines import plain
from advisor.measure.machine import machine
from tests.measure_page.pages import STREAMLITS_WARNINGS, page, sentences, texts, through_the_app
from tests.measured_runs import ROOF, STEADY
from tests.run_data import run, save

pytestmark = STREAMLITS_WARNINGS


def test_an_empty_history_says_what_to_do(home: Path) -> None:
    app = page()
    assert app.title[0].value == "Measure"
    assert not app.exception
    assert not sentences(app)
    assert "Press **Measure on this machine**" in texts(app)
    assert app.multiselect(key="measure").value == ["mobilenetv3_large_100"]
    assert not app.button(key="mea_go").disabled
    app.segmented_control(key="part").set_value("history").run()
    assert not app.exception
    assert "Press **Measure on this machine**" in texts(app)


def test_the_newest_result_is_there_at_once(measured: Store) -> None:
    app = page()
    assert not app.exception
    said = texts(app)
    assert "Fastest here: **openvino bf16** with **2 ms**, 6.00x faster than eager fp32." in said
    assert "✗ pytorch-compile fp32: torch.compile found no C++ compiler." in said
    assert "steady] " + STEADY in said
    assert "<b>2 ms (1.99–2.01)</b>" in said


def test_another_setup_of_the_network_is_one_click_away(measured: Store) -> None:
    app = page()
    (pills,) = [p for p in app.pills if "pytorch-eager fp32" in p.options]
    pills.set_value("run-3").run()
    assert "<b>12 ms (11.94–12.06)</b>" in texts(app)
    assert {"Why this fast", "Batch sweep", "Training and memory", "End to end"} <= {t.label for t in app.tabs}


def test_only_tabs_with_content_are_there(measured: Store) -> None:
    assert {tab.label for tab in page().tabs} == {
        "Raw times",
        "Training and memory",
        "Against published",
        "Environment",
    }


@pytest.mark.parametrize(
    ("tab", "says"),
    [
        ("Raw times", "120 samples after 12 passes of warm-up, which settled"),
        ("Why this fast", "Depthwise convolution takes 50 % of the time"),
        ("Batch sweep", "The sweep ended: no longer rising."),
        ("Training and memory", "512 (460 with 10 % headroom)"),
        ("End to end", "forward is 60 % of it"),
        ("Against published", "The nearest published setup: Core i7-12700H"),
        ("Environment", "steady]"),
    ],
)
def test_each_tab_of_a_full_run_is_drawn(measured: Store, tab: str, says: str) -> None:
    measured.save_roofs(machine("cpu").device_id, [{**plain(ROOF), "precision": "bf16"}, plain(ROOF)])
    app = page()
    (pills,) = [p for p in app.pills if "pytorch-eager fp32" in p.options]
    app.session_state["mea_tabs_7_sweep_why"] = tab
    pills.set_value("run-3").run()
    assert not app.exception
    assert not sentences(app)
    assert says in texts(app)


def test_history_lists_every_run_and_is_filtered(measured: Store) -> None:
    app = page(part="history")
    assert len(app.dataframe[0].value) == 7
    app.text_input(key="mea_h_text").set_value("resnet").run()
    assert list(app.dataframe[0].value["model"]) == ["resnet50", "resnet50"]
    app.multiselect(key="mea_h_ended").set_value(["failed"]).run()
    assert "No run is like that" in texts(app)


def select(monkeypatch: pytest.MonkeyPatch, *run_ids: str) -> None:
    """As if these rows of the history were ticked, which the harness cannot do."""
    monkeypatch.setattr(ui_history, "_table", lambda found: [r for r in found["run_id"] if r in run_ids])


def test_one_selected_run_is_shown_in_full(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "run-1")
    app = page(part="history")
    assert not app.exception
    assert "`resnet50` at 224 px" in texts(app)
    assert "<b>40 ms (39.8–40.2)</b>" in texts(app)
    assert "noisy] Other processes took 0.70 cores" in texts(app)


def test_two_selected_runs_are_compared(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "run-5", "run-3")
    app = page(part="history")
    assert not app.exception
    said = texts(app)
    assert "A is 3.00x faster" in said  # ONNX Runtime, the newer one, stands above
    assert "| runtime | onnxruntime | pytorch-eager |" in said


def test_deleted_runs_come_back_with_undo(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "run-1", "run-2")
    app = page(part="history")
    app.button(key="mea_delete").click().run()
    assert set(measured.runs()["architecture"]) == {"mobilenetv3_large_100"}
    assert "2 runs deleted" in texts(app)
    app.button(key="mea_undo").click().run()
    assert not app.exception
    assert len(measured.runs()) == 7
    assert "2 runs deleted" not in texts(app)


def test_every_deletion_can_be_undone_the_last_one_first(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(part="history")
    for run_id in ("run-1", "run-2"):
        select(monkeypatch, run_id)
        app.run().button(key="mea_delete").click().run()
    assert "1 earlier deletion can be undone after it." in texts(app)
    app.button(key="mea_undo").click().run()
    assert len(measured.runs()) == 6
    app.button(key="mea_undo").click().run()
    assert not app.exception
    assert len(measured.runs()) == 7


def test_an_undo_that_fails_can_be_tried_again(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        raise AdvisorError("Another program holds the store.")

    select(monkeypatch, "run-1")
    app = page(part="history")
    app.button(key="mea_delete").click().run()
    with monkeypatch.context() as broken:
        broken.setattr(workflows_measure, "restore_runs", locked)
        app.button(key="mea_undo").click().run()
    assert sentences(app) == ["Another program holds the store."]
    app.button(key="mea_undo").click().run()
    assert len(measured.runs()) == 7


def test_the_selection_stays_with_its_run_when_another_arrives(measured: Store) -> None:
    app = page(part="history")
    app.session_state["mea_chosen"] = ["run-1"]
    app.segmented_control(key="part").set_value("result").run()
    app.segmented_control(key="part").set_value("history").run()
    assert "<b>40 ms (39.8–40.2)</b>" in texts(app)
    save(
        measured,
        run("run-9", architecture="gate_net", device_id=machine("cpu").device_id),
        machine=plain(machine("cpu")),
    )
    app.run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 8
    assert "1 selected of 8." in texts(app)
    assert "<b>40 ms (39.8–40.2)</b>" in texts(app)


def test_what_a_filter_hides_stays_selected(measured: Store) -> None:
    app = page(part="history")
    app.session_state["mea_chosen"] = ["run-1"]
    app.text_input(key="mea_h_text").set_value("mobilenet").run()
    assert not app.exception
    assert "1 selected, 1 of them hidden by the filters." in texts(app)
    assert "<b>40 ms (39.8–40.2)</b>" in texts(app)
    app.text_input(key="mea_h_text").set_value("no such network").run()
    app.text_input(key="mea_h_text").set_value("").run()
    assert "1 selected of 7." in texts(app)
    assert "<b>40 ms (39.8–40.2)</b>" in texts(app)


def test_a_hidden_run_is_compared_with_one_in_sight_until_it_is_unselected(
    measured: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    select(monkeypatch, "run-2")
    app = page(part="history")
    app.session_state["mea_chosen"] = ["run-3"]
    app.text_input(key="mea_h_text").set_value("resnet").run()
    assert "2 selected, 1 of them hidden by the filters." in texts(app)
    assert "**A** `mobilenetv3_large_100`" in texts(app)
    app.button(key="mea_unselect").click().run()
    assert not app.exception
    assert "1 selected of 2." in texts(app)
    assert "`resnet50` at 224 px" in texts(app)


def test_an_older_run_is_told_from_the_newer_one_of_its_setup(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "run-1")
    app = page(part="history")
    (pills,) = [p for p in app.pills if p.key and p.key.startswith("mea_setup")]
    assert list(pills.options) == [f"pytorch-eager fp32, started 2026-07-01 10:0{minute}:00" for minute in (1, 2)]


def test_what_was_not_timed_has_no_badge_of_evidence(measured: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "run-4")
    said = texts(page(part="history"))
    assert "Nothing of `mobilenetv3_large_100` could be measured" in said
    assert "badge[" not in said


def test_this_machine_tells_what_is_installed(measured: Store) -> None:
    app = page(part="machine")
    assert not app.exception
    assert machine("cpu").device_id in texts(app)
    assert "python -m advisor measure" in texts(app)


def test_recommend_answers_from_the_measured_results(measured: Store) -> None:
    app = through_the_app().switch_page("pages/measure.py").run()
    (use,) = [b for b in app.button if b.label == "Use in the advisor"]
    use.click().run()
    assert app.title[0].value == "Recommend"
    assert not app.exception
    assert app.query_params["device"] in ([machine("cpu").device_id], machine("cpu").device_id)
    # of the two networks resnet50 (80.2 %) is the more accurate one
    headline = next(m.value for m in app.markdown if m.value.startswith("#### "))
    assert "`resnet50.fb_swsl_ig1b_ft_in1k`" in headline  # the most accurate weights of what was measured
    assert machine("cpu").name in headline
