"""The shipped data files: every row accounted for, sourced, and in range."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from advisor.evidence import published, schema
from tests.conftest import ROOT

PUBLISHED = ROOT / "data" / "published"
REPORT = pd.read_csv(PUBLISHED / "import-report.csv", keep_default_na=False)


def rows(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def test_import_report_names_every_data_file_and_no_other() -> None:
    files = {p.name for p in PUBLISHED.glob("*.csv")} - {"import-report.csv"}
    assert set(REPORT["file"]) == files


@pytest.mark.parametrize("line", REPORT.to_dict("records"), ids=lambda line: line["file"])
def test_import_report_accounts_for_every_row_of_a_file(line: dict[str, object]) -> None:
    path = PUBLISHED / str(line["file"])
    assert line["rows_in_source"] == int(line["imported"]) + int(line["left_out"])
    assert rows(path) == line["imported"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == line["sha256"]
    assert bool(line["reason"]) == (line["left_out"] > 0)


def test_import_report_totals_are_those_of_the_transcription() -> None:
    """The counts that the transcription states for itself: 41,169 speed, 28,281 accuracy, 230 training cost."""
    kind = REPORT["file"].str.extract(r"\.(\w+)\.csv$")[0]
    by_hand = REPORT["file"] == "paddleclas-readme.speed.csv"
    totals = REPORT[~by_hand].groupby(kind)["rows_in_source"].sum()
    assert (totals["speed"], totals["accuracy"], totals["training_cost"]) == (41_169, 28_281, 230)
    from_timm = REPORT.set_index("file").loc["timm-benchmark.complexity.csv", "rows_in_source"]
    assert totals["complexity"] - from_timm == 2_589


@pytest.mark.parametrize("kind", schema.KINDS)
def test_every_row_has_a_listed_source_and_device(kind: str) -> None:
    sources = set(tomllib.loads((PUBLISHED / "sources.toml").read_text(encoding="utf-8")))
    devices = set(published.read_text(PUBLISHED / "devices.csv")["device_id"])
    for path in sorted(PUBLISHED.glob(f"*.{kind}.csv")):
        frame = published.read_results(path, kind)
        assert set(frame["source_id"]) == {path.name.removesuffix(f".{kind}.csv")} <= sources
        if "device_id" in frame:
            assert set(frame["device_id"]) - {""} <= devices


def test_every_source_says_title_version_or_date_and_licence_or_nothing() -> None:
    sources = published.read_sources(PUBLISHED / "sources.toml")
    assert (sources["title"] != "").all()
    assert len(sources) == 50
    assert set(sources.columns) >= {"authors", "url", "licence", "version", "date"}


def test_a_version_after_at_becomes_software() -> None:
    frame = published.read_results(PUBLISHED / "timm-benchmark.speed.csv", "speed")
    assert not frame["runtime"].str.contains("@").any()
    old = frame[frame["software"] == "torch 1.13, CUDA 11.7"]
    assert set(old["runtime"]) == {"pytorch-eager"}
    assert len(old) == 1_861  # rows that name pytorch-eager@1.13


def test_networks_that_only_look_like_timms_have_no_architecture(shipped) -> None:  # type: ignore[no-untyped-def]
    near = shipped.query("near_timm")
    speed = shipped.query("speed_rows", device_ids=[])
    merged = speed.merge(near, on=["source_id", "model"])
    assert len(merged) > 0
    assert set(merged["architecture"]) == {""}


def test_suspect_rows_are_marked() -> None:
    frame = published.read_results(PUBLISHED / "ncnn-benchmark.speed.csv", "speed")
    assert frame["suspect"].sum() == 17
    assert set(frame[frame["suspect"]]["device_id"]) == {"station-m3-rk3588s-gpu"}
