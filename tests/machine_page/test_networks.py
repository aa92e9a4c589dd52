"""The page This machine in Streamlit's own harness: every network, trust, and stores that are damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from advisor.measure import machine
from advisor.predict import backtest_file
from tests.calibration_lab import Lab
from tests.conftest import ROOT
from tests.machine_page.pages import STORED, page, sentences, texts

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


# -- every network -------------------------------------------------------------------------------------


def test_every_network_is_listed_with_interval_and_evidence_and_can_be_searched(lab: Lab) -> None:
    lab.keep()
    app = page()
    table = app.dataframe[0].value
    measured = table[table["evidence"] == "measured"]
    assert set(lab.order[:5]) <= set(measured["architecture"])
    assert ((table["lo90_ms"] < table["p50_ms"]) & (table["p50_ms"] < table["hi90_ms"])).all()
    assert not table["architecture"].str.startswith("test_").any()
    app.text_input(key="zoo_text").set_value("regnet swsl").run()
    assert app.dataframe == [] or app.dataframe[0].value["architecture"].str.contains("regnet").all()
    app.text_input(key="zoo_text").set_value("RegNety_032").run()
    assert set(app.dataframe[0].value["architecture"]) == {"regnety_032"}
    app.text_input(key="zoo_text").set_value("no such network").run()
    assert "No network is called like that." in texts(app)


def test_the_networks_that_are_said_to_be_predicted_are_those_shown(lab: Lab) -> None:
    lab.keep()
    app = page()
    table = app.dataframe[0].value
    n = int((table["evidence"] == "predicted").sum())
    assert f"{n:,} networks and image sizes are predicted from" in texts(app)
    (row,) = [line for line in texts(app).splitlines() if line.startswith("| pytorch-eager fp32 |")]
    assert f"| {n:,} |" in row
    assert "of those predicted are expected to measure within" in texts(app)


def test_a_published_accuracy_that_changes_is_shown(lab: Lab, own_data: Path) -> None:
    lab.keep()
    app = page()
    before = app.dataframe[0].value.set_index(["architecture", "img_size"])["accuracy"]
    (path,) = own_data.rglob("timm-eval.accuracy.csv")
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows["value"] = [f"{float(value) - 1:.3f}" for value in rows["value"]]
    rows.to_csv(path, index=False)
    shown = app.run().dataframe[0].value.set_index(["architecture", "img_size"])["accuracy"]
    assert shown["resnet50", 224] == pytest.approx(before["resnet50", 224] - 1)


# -- how far to trust it -------------------------------------------------------------------------------


def test_the_stored_backtest_is_told_in_words_and_beside_baselines(own_data: Path) -> None:
    backtest_file.save(own_data, STORED, "2026-07-02")
    app = page()
    assert "| 3 CPUs |" not in texts(app)  # the tables come when asked for
    app.session_state["trust_open"] = True
    said = texts(app.run())
    assert "**3 CPUs**, each predicted from 20 of its networks" in said
    assert "half of the predictions were within 8.1 %, and 90 % of the true latencies lay within" in said
    assert "lost 0.04 points against the best possible in 76 cases on 3 CPUs" in said
    assert "takes each measurement as exact, so no measured answer can be over its budget there" in said
    rows = [line for line in said.splitlines() if line.startswith("| 3 CPUs |")]
    assert [row.split(" | ")[1] for row in rows] == [
        "this advisor", "MACs x constant", "this advisor: predict, then measure",
    ]  # fmt: skip
    assert "training" not in said.replace("with training too", "")
    assert "2026-07-02" in said and "python -m advisor backtest --save" in said


def test_one_device_is_not_told_in_the_plural(own_data: Path) -> None:
    alone = STORED | {"predictions": [one | {"n_devices": 1} for one in STORED["predictions"]]}
    backtest_file.save(own_data, alone, "2026-07-02")
    assert "**1 CPU**, each predicted" in texts(page())


def test_without_a_stored_backtest_there_is_the_command(own_data: Path) -> None:
    said = texts(page())
    assert "No backtest is stored." in said and "python -m advisor backtest --save" in said


@pytest.mark.parametrize("content", ["not JSON", "{}", json.dumps({"made_on": "x", "plan": {}})])
def test_a_broken_backtest_is_said_in_one_sentence(own_data: Path, content: str) -> None:
    (own_data / backtest_file.NAME).write_text(content, encoding="utf-8")
    (said,) = [w.value for w in page().warning]
    assert "is no stored backtest" in said and "Traceback" not in said


def test_later_measurements_are_held_against_their_predictions(lab: Lab) -> None:
    lab.keep(hour=10, n=6)
    assert "is held against its prediction" in texts(page())
    lab.keep(hour=11, n=10, prefix="")
    said = texts(page())
    assert "4 networks were measured here after being predicted" in said


# -- stores that are not as they should be -------------------------------------------------------------


def test_an_empty_store_says_so(own_data: Path) -> None:
    for path in own_data.rglob("*.csv"):
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    (sentence,) = sentences(page())
    assert "no results on any device" in sentence


def test_a_broken_store_says_so(lab: Lab) -> None:
    (lab.store.home / "local.duckdb").write_bytes(b"not a store" * 1000)
    (sentence,) = sentences(page())
    assert "local.duckdb" in sentence and "Traceback" not in sentence


def test_a_lost_data_folder_says_so(own_data: Path) -> None:
    shutil.rmtree(own_data)
    assert len(sentences(page())) == 1


def test_without_pytorch_it_says_what_to_install(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "offers", lambda _target: [])
    app = page()
    assert any("PyTorch and timm are not installed" in sentence for sentence in sentences(app))
    assert app.button(key="cal_go").disabled


def test_the_page_is_reached_through_the_app(lab: Lab) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/this_machine.py").run()
    assert app.title[0].value == "This machine"
    assert not app.exception
