"""The Measure page in Streamlit's own harness: stored runs, live jobs of a measuring process without torch, faults."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from advisor import ui_history, workflows, workflows_measure
from advisor.errors import AdvisorError
from advisor.evidence.catalogue import Architecture
from advisor.evidence.store import Store
from advisor.measure import models
from advisor.measure.job_files import JobFiles
from advisor.measure.job_state import JobState
from advisor.measure.jobs import Jobs
from advisor.measure.lines import plain
from advisor.measure.machine import machine
from advisor.measure.request import Request
from tests.conftest import ROOT
from tests.measured_runs import ROOF, STEADY, history
from tests.run_data import run, save
from tests.small_data import write_small_data
from tests.test_host import FAKE
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
_NETS = ("gate_net", "ok_net", "refuse_net")  # what the measuring process of the tests knows


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Jobs]]:
    """The queues that pages open: their measuring process has no torch, and is ended with the test."""
    opened: list[Jobs] = []

    def fake(home: Path, **options: object) -> Jobs:
        opened.append(Jobs(home, host_command=FAKE, **options))  # type: ignore[arg-type]
        return opened[-1]

    listed = models.load() | {name: Architecture(name, "Fake", 224, 1.0, False) for name in _NETS}
    monkeypatch.setattr(models, "_load", lambda _path: listed)
    monkeypatch.setattr(workflows_measure, "Jobs", fake)
    monkeypatch.setenv("FAKE_DIR", str(tmp_path))
    yield opened
    for queue in opened:
        queue.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small data folder and a home with its store; tests copy the home and leave the data as they are."""
    folder = tmp_path_factory.mktemp("built")
    Store(folder / "home", write_small_data(folder / "data")).ensure()
    return folder / "data", folder / "home"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: tuple[Path, Path], queues: list[Jobs]) -> Path:
    """A home without measurements."""
    shutil.copytree(built[1], tmp_path / "home")
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(workflows, "DATA", built[0])
    return tmp_path / "home"


@pytest.fixture
def measured(home: Path, built: tuple[Path, Path]) -> Store:
    """The same with the history of `tests.measured_runs`, of this machine."""
    store, here = Store(home, built[0]), machine("cpu")
    save(store, *history(here.device_id), machine=plain(here))
    return store


@pytest.fixture
def own_data(home: Path, monkeypatch: pytest.MonkeyPatch, small_data: Path) -> Path:
    """A data folder that the test may spoil."""
    monkeypatch.setattr(workflows, "DATA", small_data)
    return small_data


def page(**link: str) -> AppTest:
    """The page as the app runs it, without the pages before it."""
    app = AppTest.from_file(str(ROOT / "pages" / "measure.py"), default_timeout=60)
    app.session_state["app_routed"] = True
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def through_the_app() -> AppTest:
    """Recommend, where the app opens."""
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()


def texts(app: AppTest) -> str:
    """Everything that the page says, one element a line."""
    alerts = [*app.info, *app.warning, *app.success]
    return "\n".join([*(m.value for m in (*app.markdown, *app.caption, *alerts)), *(h.value for h in app.html)])


def sentences(app: AppTest) -> list[str]:
    return [e.value for e in app.error]


def choose(app: AppTest, *names: str, runtime: str = "pytorch-eager") -> AppTest:
    app.multiselect(key="measure").set_value(list(names))
    return app.selectbox(key="mea_runtime").set_value(runtime).run()


def ended(queue: Jobs) -> JobState:
    """The newest job once it has ended."""
    return until(lambda: next((s for s in queue.states()[:1] if s.ended), None), "the job to end")  # type: ignore[return-value]


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


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet51", "Unknown model 'resnet51'."),
        ("hf-hub:someone/model", "paths, URLs and hub ids are refused"),
        ("../../etc/passwd", "paths, URLs and hub ids are refused"),
        ("resnet50@4", "Image size must be 8 to 8192 px, not 4."),
        ("resnet50@²", "The image size '²' of 'resnet50' is not a whole number of px"),
        ("resnet50@", "The image size '' of 'resnet50' is not a whole number of px"),
    ],
)
def test_a_model_that_cannot_be_measured_is_refused_in_one_sentence(home: Path, name: str, says: str) -> None:
    app = page(measure=f"resnet18,{name}")
    assert not app.exception
    (sentence,) = sentences(app)
    assert says in sentence
    assert "--" not in sentence
    assert app.button(key="mea_go").disabled
    assert app.multiselect(key="measure").value == ["resnet18", name]  # nothing is lost


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("mea_batch", 0, "Batch size must be 1 to 65536, not 0."),
        ("mea_size", 100_000, "Image size must be 8 to 8192 px, not 100000."),
        ("mea_threads", -2, "Threads must be 1 to 1024, not -2."),
        ("mea_limit", 0.1, "Time limit must be 1 to 86400 s, not 0.1."),
    ],
)
def test_a_bad_value_is_said_beside_the_button_and_kept(home: Path, key: str, value: float, says: str) -> None:
    app = page()
    app.session_state["mea_advanced"] = True  # the harness forgets an open box between runs
    app.run()
    app.number_input(key=key).set_value(value).run()
    assert not app.exception
    assert sentences(app) == [says]
    assert app.session_state[key] == value
    assert app.button(key="mea_go").disabled


def test_the_shortlist_of_recommend_fills_the_models(home: Path) -> None:
    app = page()
    app.button(key="mea_short").click().run()
    assert not app.exception
    chosen = app.multiselect(key="measure").value
    assert chosen[0] == "regnety_032@224"  # the pick of the first question; with its size, whatever Advanced says
    assert all(re.fullmatch(r"\w+@[0-9]+", name) for name in chosen)
    assert 4 <= len(chosen) <= 12
    assert "setups of" in texts(app)


def test_the_pick_of_recommend_is_preselected(home: Path) -> None:
    app = through_the_app()
    app.number_input(key="rec_limit").set_value(4.0).run()
    app.switch_page("pages/measure.py").run()
    assert app.multiselect(key="measure").value == ["mobilenetv4_conv_small"]


def test_one_click_measures_and_the_result_appears(home: Path, queues: list[Jobs], tmp_path: Path) -> None:
    app = choose(page(), "gate_net")
    app.button(key="mea_go").click().run()
    (queue,) = queues
    until(lambda: queue.states()[0].now and queue.states()[0].now.stage == "timing", "the timing")  # type: ignore[union-attr]
    app.run()
    assert not app.exception
    assert "**gate_net, pytorch-eager**" in texts(app)
    assert [p.text for p in app.get("progress")] == ["gate_net, pytorch-eager fp32: timing 1/100"]
    (tmp_path / "gate_net.open").touch()
    assert ended(queue).status == "done"
    app.run()
    assert not app.exception
    assert "**pytorch-eager fp32** takes **10 ms**" in texts(app)
    assert "✓ gate_net, pytorch-eager · done: 1 of 1 measured" in texts(app)
    assert not app.get("progress")


def test_a_second_click_does_not_measure_twice(home: Path, queues: list[Jobs]) -> None:
    app = choose(page(), "gate_net")
    for _ in range(2):
        app.button(key="mea_go").click().run()
    (queue,) = queues
    assert len(queue.states()) == 1
    choose(app, "ok_net").button(key="mea_go").click().run()
    assert len(queue.states()) == 2  # something else is another job


def test_how_each_job_ended_is_told(home: Path, queues: list[Jobs], tmp_path: Path) -> None:
    app = choose(page(), "gate_net")
    app.button(key="mea_go").click().run()
    choose(app, "refuse_net").button(key="mea_go").click().run()
    (tmp_path / "gate_net.open").touch()
    ended(queues[0])
    app.run()
    assert "✓ gate_net, pytorch-eager · done" in texts(app)
    assert "✗ refuse_net, pytorch-eager · failed" in texts(app)


def test_a_job_that_cannot_be_cancelled_says_so(
    home: Path, queues: list[Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AdvisorError("The disk is full.")

    app = choose(page(), "gate_net")
    app.button(key="mea_go").click().run()
    with monkeypatch.context() as broken:
        broken.setattr(Jobs, "cancel", refuse)
        (cancel,) = [b for b in app.button if b.label == "Cancel"]
        cancel.click().run()
    assert sentences(app) == ["The disk is full."]
    assert sentences(app.run()) == ["The disk is full."]  # the panel is drawn anew all the time
    (cancel,) = [b for b in app.button if b.label == "Cancel"]
    cancel.click().run()
    assert not sentences(app)


def test_a_second_tab_finds_the_running_job_and_can_cancel_it(home: Path, queues: list[Jobs]) -> None:
    first = choose(page(), "gate_net")
    first.button(key="mea_go").click().run()
    (queue,) = queues
    until(lambda: queue.states()[0].current, "the job to run")
    second = page()
    (cancel,) = [b for b in second.button if b.label == "Cancel"]
    cancel.click().run()
    assert ended(queue).status == "cancelled"
    second.run()
    assert not second.exception
    assert "gate_net, pytorch-eager · cancelled" in texts(second)


def test_failures_are_told_in_one_sentence(home: Path, queues: list[Jobs]) -> None:
    app = choose(page(), "refuse_net", "ok_net")
    app.button(key="mea_go").click().run()
    ended(queues[0])
    app.run()
    assert not app.exception
    assert "refuse_net, pytorch-eager fp32: The image size 7 px is too small for it." in texts(app)
    assert "1 of 2 measured" in texts(app)


def test_an_interrupted_job_can_be_taken_up_again(home: Path, queues: list[Jobs]) -> None:
    files = JobFiles(home)
    _, lock = files.create(
        [Request(architecture="ok_net")], title="ok_net, pytorch-eager", sweep_id="", sentinel=None,
        created_at="2026-07-01T09:00:00+00:00",
    )  # fmt: skip
    lock.release()  # as when its program was killed
    app = page()
    assert "interrupted] **ok_net, pytorch-eager**" in texts(app)
    (again,) = [b for b in app.button if b.label == "Measure it again"]
    again.click().run()
    assert ended(queues[0]).status == "done"
    app.run()
    assert not app.exception
    assert "interrupted]" not in texts(app)
    assert "**pytorch-eager fp32** takes **10 ms**" in texts(app)


def test_an_interrupted_job_is_taken_up_once(home: Path, queues: list[Jobs]) -> None:
    files = JobFiles(home)
    _, lock = files.create(
        [Request(architecture="gate_net")], title="gate_net, pytorch-eager", sweep_id="", sentinel=None,
        created_at="2026-07-01T09:00:00+00:00",
    )  # fmt: skip
    lock.release()
    tabs = [page(), page()]
    for app in tabs:
        (again,) = [b for b in app.button if b.label == "Measure it again"]
        again.click().run()
        assert not app.exception
    assert [state.status == "interrupted" for state in queues[0].states()] == [False, True]


def test_advanced_keeps_its_name_and_counts_what_is_changed(home: Path) -> None:
    app = page()
    app.session_state["mea_advanced"] = True
    app.run()
    assert "not at the default" not in texts(app)
    app.number_input(key="mea_batch").set_value(4).run()
    assert "1 advanced setting is not at the default." in texts(app)
    assert [box.label for box in app.expander] == ["Advanced"]
    app.session_state["mea_batch"] = None
    app.session_state["mea_threads"] = 1
    app.run()
    assert "1 advanced setting is not at the default." in texts(app)  # an emptied batch size is 1


def test_an_empty_store_says_so(own_data: Path) -> None:
    for path in own_data.rglob("*.csv"):
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    app = page()
    assert app.title[0].value == "Measure"
    assert not app.exception
    (sentence,) = sentences(app)
    assert "no results on any device" in sentence


def test_a_broken_store_says_so(home: Path) -> None:
    (home / "local.duckdb").write_bytes(b"not a store" * 1000)
    app = page()
    assert not app.exception
    (sentence,) = sentences(app)
    assert "local.duckdb" in sentence
    assert "Traceback" not in sentence


def test_a_lost_data_folder_says_so(own_data: Path) -> None:
    shutil.rmtree(own_data)
    app = page()
    assert not app.exception
    assert len(sentences(app)) == 1
