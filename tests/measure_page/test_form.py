"""The form of the Measure page: what is chosen for the user, what is refused and how, stores that are no use."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.measure_page.pages import STREAMLITS_WARNINGS, page, sentences, texts, through_the_app

pytestmark = STREAMLITS_WARNINGS


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
