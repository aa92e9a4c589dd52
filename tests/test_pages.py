"""Every page in Streamlit's own test harness: with a full store, an empty one, a broken one, a locked one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from advisor import workflows
from tests import run_data
from tests.conftest import ROOT

HERE = run_data.MACHINE["device_id"]
PAGES = ("Recommend", "Explore", "Compare", "Evidence")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_data: Path) -> Path:
    """A home over the small data folder; the pages open it as they would the user's own."""
    home = tmp_path / "home"
    monkeypatch.setenv("ADVISOR_HOME", str(home))
    monkeypatch.setattr(workflows, "DATA", small_data)
    return home


@pytest.fixture
def empty(full: Path, small_data: Path) -> Path:
    """A data folder whose files have heads but no rows."""
    for path in small_data.rglob("*.csv"):
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    return full


def page(title: str, **link: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    if title != "Recommend":
        app.run()
        app.switch_page(f"pages/{title.lower()}.py")
        for name, value in link.items():
            app.query_params[name] = value
    return app.run()


def sentences(app: AppTest) -> list[str]:
    return [e.value for e in app.error]


def link_of(app: AppTest) -> dict[str, str]:
    """The query parameters; the harness gives those that the app wrote as text, those it was given as lists."""
    return {name: v if isinstance(v, str) else v[0] for name, v in app.query_params.items()}


def answer(app: AppTest) -> str:
    return next(m.value for m in app.markdown if m.value.startswith("#### "))


@pytest.mark.parametrize("title", PAGES)
def test_page_renders_with_a_full_store(full: Path, title: str) -> None:
    app = page(title)
    assert app.title[0].value == title
    assert not app.exception
    assert not sentences(app)


@pytest.mark.parametrize("title", PAGES)
def test_page_says_that_an_empty_store_has_no_device(empty: Path, title: str) -> None:
    app = page(title)
    assert app.title[0].value == title
    assert not app.exception
    (sentence,) = sentences(app)
    assert "no results on any device" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("title", PAGES)
def test_page_says_that_the_data_folder_is_gone(full: Path, small_data: Path, title: str) -> None:
    shutil.rmtree(small_data)
    app = page(title)
    assert not app.exception
    assert len(sentences(app)) == 1


@pytest.mark.parametrize("title", PAGES)
def test_page_says_that_the_store_is_broken(full: Path, title: str) -> None:
    full.mkdir()
    (full / "local.duckdb").write_bytes(b"not a store" * 1000)
    app = page(title)
    assert app.title[0].value == title
    assert not app.exception
    (sentence,) = sentences(app)
    assert "local.duckdb" in sentence
    assert "Traceback" not in sentence


def test_page_says_who_holds_a_locked_store(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full.mkdir()
    holder = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(full / "local.duckdb")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        (sentence,) = sentences(page("Recommend"))
        process.stdin.close()
    assert "held by another process" in sentence
    assert f"PID {process.pid}" in sentence


def test_page_refuses_a_newer_store_in_one_sentence(full: Path) -> None:
    workflows.open_store().migrate()
    with duckdb.connect(str(full / "local.duckdb")) as con:
        con.execute("INSERT INTO migrations VALUES (999, 'from the future')")
    (sentence,) = sentences(page("Recommend"))
    assert "newer version" in sentence


def test_first_screen_answers_already(full: Path) -> None:
    app = page("Recommend")
    assert answer(app) == (  # regnety_032 at 224 px takes 20 ms; all that is more accurate takes longer
        "#### Use `regnety_032.ra_in1k` at 224 px: **81.30%** ImageNet top-1 **in 20 ms** on Core i7-12700H."
    )
    assert link_of(app)["device"] == "i7-12700h"
    assert link_of(app)["max_latency_ms"] == "20"


def test_a_typed_limit_changes_the_answer_and_the_link(full: Path) -> None:
    app = page("Recommend")
    app.number_input(key="rec_limit").set_value(4.0).run()
    assert "mobilenetv4_conv_small" in answer(app)  # 3 ms; regnetx_002 takes 4 ms and is less accurate
    assert link_of(app)["max_latency_ms"] == "4"
    assert app.select_slider(key="rec_slide").value == 4.0


def test_slider_moves_the_typed_limit(full: Path) -> None:
    app = page("Recommend")
    app.select_slider(key="rec_slide").set_value(8.0).run()
    assert app.number_input(key="rec_limit").value == 8.0
    assert link_of(app)["max_latency_ms"] == "8"


def test_a_shared_link_gives_the_same_answer(full: Path) -> None:
    first = page("Recommend")
    first.selectbox(key="rec_device_id").select("rtx-4090").run()
    first.multiselect(key="rec_families").set_value(["ResNet", "RegNet"]).run()
    link = link_of(first)
    second = page("Recommend", **link)
    assert answer(second) == answer(first)
    assert link_of(second) == link


def test_a_device_with_throughput_only_gets_a_throughput_limit(full: Path) -> None:
    app = page("Recommend")
    app.selectbox(key="rec_device_id").select("rtx-4090").run()
    assert not app.exception
    assert "max_latency_ms" not in app.query_params
    assert float(link_of(app)["min_throughput"]) > 0
    assert "img/s" in answer(app)


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ({"device": "i7-12700"}, "The link's device 'i7-12700' is not a known device (close: i7-12700h)"),
        ({"device": "rtx-4090", "max_latency_ms": "soon"}, "The link's max_latency_ms 'soon' is not a number"),
        ({"device": "rtx-4090", "families": "<script>"}, "names no known family '<script>'"),
        ({"device": "rtx-4090", "task": "train", "max_latency_ms": "3"}, "contradicts"),
    ],
)
def test_a_garbled_link_is_answered_with_one_sentence(full: Path, link: dict[str, str], says: str) -> None:
    app = page("Recommend", **link)
    assert not app.exception
    (warning,) = [w.value for w in app.warning if w.value.startswith("The link")]
    assert says in warning


def test_an_unpublished_setup_in_a_link_is_said(full: Path) -> None:
    app = page("Recommend", device="i7-12700h", runtime="tensorrt")
    assert not app.exception
    assert "no infer results with runtime 'tensorrt'" in " ".join(sentences(app))


def test_a_negative_limit_is_refused_in_one_sentence(full: Path) -> None:
    app = page("Recommend")
    app.number_input(key="rec_limit").set_value(-5.0).run()
    assert not app.exception
    assert sentences(app) == ["--max-latency-ms must be a number above 0, not -5."]


def test_an_infeasible_budget_names_the_nearest_miss_and_can_be_relaxed(full: Path) -> None:
    app = page("Recommend", device="i7-12700h", max_latency_ms="1")
    (miss,) = [w.value for w in app.warning]
    assert "nearest miss" in miss
    app.button[0].click().run()
    assert answer(app)


def test_a_what_if_is_one_click_away(full: Path) -> None:
    app = page("Recommend")
    before = answer(app)
    change = app.button(key="rec_whatif_0")
    change.click().run()
    assert answer(app) != before
    assert not app.exception


def test_switching_pages_keeps_the_question(full: Path) -> None:
    app = page("Recommend")
    app.number_input(key="rec_limit").set_value(4.0).run()
    app.switch_page("pages/explore.py").run()
    app.query_params.clear()
    app.switch_page("pages/recommend.py").run()
    assert link_of(app)["max_latency_ms"] == "4"


@pytest.mark.parametrize("view", ["models", "devices", "recipes", "two-devices"])
def test_each_view_of_compare_renders(full: Path, view: str) -> None:
    app = page("Compare", view=view)
    assert not app.exception
    assert not sentences(app)
    assert app.dataframe or app.table


@pytest.mark.parametrize("show", ["claims", "sources", "exchange"])
def test_each_view_of_evidence_renders(full: Path, show: str) -> None:
    app = page("Evidence", show=show)
    assert not app.exception
    assert not sentences(app)


def test_explore_names_what_a_link_got_wrong(full: Path) -> None:
    app = page("Explore", devices="rtx-4090,atari", x="latency_ms")
    assert not app.exception
    assert [w.value for w in app.warning] == ["The link's devices 'atari' is not known; it is left out."]
    assert app.multiselect(key="devices").value == ["rtx-4090"]


def test_contradictions_are_listed_when_asked_for(full: Path) -> None:
    app = page("Explore")
    app.session_state["exp_contra"] = True
    assert not app.run().exception


def test_the_app_imports_neither_torch_nor_timm(full: Path) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; app = AppTest.from_file('app.py', default_timeout=60); "
        "pages = ('this_machine', 'measure', 'explore', 'compare', 'evidence'); "
        "[app.run()] + [app.switch_page(f'pages/{p}.py').run() for p in pages]; "
        "assert not app.exception; print(sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_one_click_leaves_a_question_that_no_published_setup_answers(full: Path) -> None:
    """The RTX 4090 has large-batch throughput only: the latency limit goes, and there is an answer."""
    app = page("Recommend", device="rtx-4090", max_latency_ms="10")
    (relax,) = [button for button in app.button if button.label.startswith("Relax")]
    relax.click().run()
    assert "img/s" in answer(app)
    assert "max_latency_ms" not in link_of(app)


@pytest.mark.parametrize(
    ("title", "link"),
    [
        ("Recommend", {"device": HERE, "max_latency_ms": "20", "families": "all"}),
        ("Explore", {"devices": HERE, "x": "latency_ms"}),
        ("Compare", {"view": "two-devices", "a": HERE, "b": "i7-12700h"}),
        ("Evidence", {"show": "sources"}),
    ],
)
def test_pages_show_what_was_measured_here(full: Path, title: str, link: dict[str, str]) -> None:
    store = workflows.open_store()
    run_data.save(store, run_data.run("r1", 9.0, architecture="efficientnet_b0"), run_data.run("r2", 12.0))
    app = page(title, **link)
    assert not app.exception
    assert not sentences(app)
    shown = " ".join([*(m.value for m in app.markdown), *(c.value for c in app.caption)])
    assert ("would take on this machine stands on the page *This machine*" in shown) == (
        title in ("Explore", "Compare")
    )
    shown += " ".join(frame.value.to_csv() for frame in app.dataframe)
    assert "TestChip, 2 cores" in shown or "Measured by you with this advisor" in shown
    if title == "Recommend":
        assert answer(app).endswith("**in 12 ms** on TestChip, 2 cores.")
        assert "Answers from 2 models measured there." in shown
        assert "Chosen among the 2 models measured on TestChip, 2 cores" in shown
