"""Results out of the store and back in: what was exported comes back the same, and nothing foreign gets in."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import BadQuestion, ImportFailed, StoreUnusable, UnknownName
from advisor.evidence.exchange import as_csv, export_results, import_results, results
from advisor.evidence.schema import COLUMNS
from advisor.evidence.store import Store

HEADER = "source_id,model,architecture,tag,device_id,task,runtime,batch_size,img_size,latency_ms\n"
ROW = "mine,resnet50,resnet50,a1_in1k,my-board,infer,onnxruntime,1,224,12.5\n"


def write(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def own_speeds(store: Store) -> pd.DataFrame:
    rows = store.query("speed_rows", device_ids=[])
    return rows[rows["row_id"].str.startswith("own:")]


@pytest.fixture
def other(tmp_path: Path, small_data: Path) -> Store:
    """A second user's store, who lacks the published rows of the i7."""
    data = tmp_path / "other-data"
    shutil.copytree(small_data, data)
    speeds = data / "published" / "timm-benchmark.speed.csv"
    lines = speeds.read_text(encoding="utf-8").splitlines(keepends=True)
    speeds.write_text("".join(line for line in lines if "i7-12700h" not in line), encoding="utf-8")
    return Store(tmp_path / "other-home", data)


def test_csv_export_has_the_columns_of_the_schema_and_the_figures(small: Store, tmp_path: Path) -> None:
    report = export_results(small, tmp_path / "out.csv", device_ids=["coral-edgetpu"])
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert rows[0] == [*COLUMNS["speed"], "evidence"]
    assert report.n_rows == len(rows) - 1 == 3
    first = dict(zip(rows[0], rows[1], strict=True))
    assert {c: first[c] for c in ("model", "latency_ms", "batch_size", "throughput_per_s", "evidence")} == {
        "model": "mobilenetv2_100", "latency_ms": "3.0", "batch_size": "1", "throughput_per_s": "",
        "evidence": "published",
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["speed", "accuracy"])
def test_importing_the_own_export_changes_nothing(kind: str, ending: str, small: Store, tmp_path: Path) -> None:
    path = tmp_path / f"all.{ending}"
    exported = export_results(small, path, kind=kind)
    report = import_results(small, path)
    assert (report.kind, report.n_rows, report.n_new, report.rejects) == (kind, exported.n_rows, 0, ())
    assert report.n_known == exported.n_rows


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_anothers_export_brings_what_is_new_once(ending: str, small: Store, other: Store, tmp_path: Path) -> None:
    path = tmp_path / f"theirs.{ending}"
    import_results(small, write(tmp_path, HEADER + ROW))
    n_rows = export_results(small, path).n_rows
    first, second = import_results(other, path), import_results(other, path)
    # the other's data folder lacks the 26 rows of the i7: nobody's word makes them published there
    assert (first.n_new, first.n_known, len(first.rejects)) == (1, n_rows - 27, 26)
    assert {reject.reason.partition(":")[0] for reject in first.rejects} == {
        "evidence 'published' but not in data/published"
    }
    assert (second.n_new, second.n_known, second.rejects) == (0, n_rows - 26, first.rejects)
    columns = [*COLUMNS["speed"], "evidence"]
    ours, theirs = (own_speeds(s)[columns].reset_index(drop=True) for s in (small, other))
    pd.testing.assert_frame_equal(ours, theirs)


def test_plain_file_is_measured_and_its_device_becomes_known(small: Store, tmp_path: Path) -> None:
    report = import_results(small, write(tmp_path, HEADER + ROW))
    assert (report.n_rows, report.n_new, report.n_known, report.rejects) == (1, 1, 0, ())
    (row,) = own_speeds(small).to_dict("records")
    assert (row["evidence"], row["latency_ms"], row["precision"], row["suspect"]) == ("measured", 12.5, "", False)
    assert "my-board" in set(small.query("devices")["device_id"])


def test_without_an_architecture_column_the_model_names_the_weights(small: Store, tmp_path: Path) -> None:
    text = (
        "source_id,model,dataset,metric,value\nmine,resnet50.a1_in1k,my-test,top1,81.5\nmine,resmet50,my-test,top1,9\n"
    )
    report = import_results(small, write(tmp_path, text))
    assert (report.kind, report.n_new) == ("accuracy", 1)
    assert [reject.line for reject in report.rejects] == [3]
    rows = small.query("accuracy_rows")
    saved = rows[rows["dataset"] == "my-test"].iloc[0]
    assert (saved["architecture"], saved["tag"], saved["value"]) == ("resnet50", "a1_in1k", 81.5)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW.replace("12.5", "fast"), "latency_ms 'fast' is not a number"),
        (ROW.replace("12.5", "-1"), "latency_ms -1 is out of range"),
        (ROW.replace("12.5", ""), "neither throughput_per_s nor latency_ms is given"),
        (ROW.replace("infer", "guess"), "task 'guess' is neither infer nor train"),
        (ROW.replace("my-board", "My Board"), "device_id 'My Board'"),
        (ROW.replace("mine", "", 1), "source_id is empty"),
        (ROW.replace("resnet50,a1", "resnet51,a1"), "'resnet51.a1_in1k' is not in timm's catalogue; close names:"),
        (ROW.replace("a1_in1k", "a9_in1k"), "close names: resnet50.a1_in1k"),
        (ROW.replace("resnet50,a1_in1k", "../../etc/passwd,"), "architecture '../../etc/passwd' is not in"),
        (ROW.replace("12.5", "12.5,7"), "11 cells instead of 10"),
        (ROW.replace(",12.5", ""), "9 cells instead of 10"),
    ],
)  # fmt: skip
def test_bad_row_is_listed_and_the_good_ones_are_saved(row: str, reason: str, small: Store, tmp_path: Path) -> None:
    text = HEADER + ROW + "\n" + row + ROW.replace("12.5", "13.5")
    report = import_results(small, write(tmp_path, text))
    assert (report.n_rows, report.n_new, report.n_known) == (3, 2, 0)
    (reject,) = report.rejects
    assert reject.line == 4  # the blank line counts
    assert reason in reject.reason
    assert sorted(own_speeds(small)["latency_ms"]) == [12.5, 13.5]


def test_unknown_kind_of_evidence_is_rejected(small: Store, tmp_path: Path) -> None:
    text = HEADER.replace("\n", ",evidence\n") + ROW.replace("\n", ",guessed\n") + ROW.replace("\n", ",predicted\n")
    report = import_results(small, write(tmp_path, text))
    assert [r.reason for r in report.rejects] == [
        "evidence 'guessed' is neither published nor measured nor predicted",
        "predicted results are not imported: a results file has no place for their interval",
    ]
    assert own_speeds(small).empty


def test_repeated_rows_of_a_file_are_saved_once(small: Store, tmp_path: Path) -> None:
    report = import_results(small, write(tmp_path, HEADER + ROW * 3))
    assert (report.n_rows, report.n_new, report.n_known) == (3, 1, 2)


def test_line_of_a_reject_counts_cells_with_line_breaks(small: Store, tmp_path: Path) -> None:
    header, good = HEADER.replace("\n", ",note\n"), ROW.replace("\n", ',"two\nlines"\n')
    report = import_results(small, write(tmp_path, header + good + ROW.replace("12.5\n", "x,\n")))
    assert [reject.line for reject in report.rejects] == [4]
    assert list(own_speeds(small)["note"]) == ["two\nlines"]


@pytest.mark.parametrize(
    "content",
    ["\ufeff" + HEADER + ROW, (HEADER + ROW).replace("\n", "\r\n"), HEADER + ROW.rstrip("\n")],
    ids=["byte order mark", "Windows line ends", "no last line end"],
)
def test_habits_of_spreadsheets_are_taken(content: str, small: Store, tmp_path: Path) -> None:
    assert import_results(small, write(tmp_path, content)).n_new == 1


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "mine.csv", "mine.csv is empty"),
        (" \n\n", "mine.csv", "is empty"),
        (HEADER, "mine.csv", "has a header but no rows"),
        ((HEADER + ROW).replace(",", ";"), "mine.csv", "has ';' between its cells"),
        ((HEADER + ROW).replace(",", "\t"), "mine.csv", "has a tab between its cells"),
        (ROW * 2, "mine.csv", "lacks the column"),
        ("name,age\nAda,36\n", "mine.csv", "lacks the column 'source_id'"),
        ("source_id,model,metric,value,unit\na,b,gmacs,1,G\n", "mine.csv", "holds complexity rows"),
        (HEADER.replace("tag", "model") + ROW, "mine.csv", "has the column 'model' twice"),
        ((HEADER + ROW).encode("utf-16"), "mine.csv", "is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\xff\x00", "mine.csv", "is not UTF-8 text"),
        (b"abc\0def", "mine.csv", "is a binary file"),
        (b"PK\x03\x04rest", "mine.xlsx", "is a spreadsheet or an archive"),
        (HEADER + '"mine', "mine.csv", "line 2 is not CSV"),
        (HEADER + ROW, "mine.parquet", "is no whole Parquet file"),
        (b"PAR1" + b"x" * 50, "mine.parquet", "is no whole Parquet file"),
        ("<html><body>404</body></html>", "mine.csv", "lacks the column 'source_id'"),
    ],
)  # fmt: skip
def test_file_that_is_no_results_file_is_refused_in_one_sentence(
    content: str | bytes, name: str, reason: str, small: Store, tmp_path: Path
) -> None:
    with pytest.raises(ImportFailed) as failure:
        import_results(small, write(tmp_path, content, name))
    assert reason in str(failure.value)
    assert "\n" not in str(failure.value)
    assert not small.local_path.exists()


def test_missing_file_and_folder_are_refused(small: Store, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="No such file"):
        import_results(small, tmp_path / "absent.csv")
    with pytest.raises(ImportFailed, match="Is a directory"):
        import_results(small, tmp_path)


def test_formulas_are_defused_and_come_back_as_they_were(small: Store, tmp_path: Path) -> None:
    notes = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "'=already", "'plain", "a=b"]
    header = HEADER.replace("\n", ",note\n")
    rows = "".join(ROW.replace("\n", f",{note}\n").replace("12.5", f"{i + 1}") for i, note in enumerate(notes))
    import_results(small, write(tmp_path, header + rows.replace(",'=already", ",''=already")))
    assert sorted(own_speeds(small)["note"]) == sorted(notes)
    content = as_csv(results(small, device_ids=["my-board"])).decode()
    cells = [row["note"] for row in csv.DictReader(io.StringIO(content))]
    assert [cell for cell in cells if cell[0] in "=+-@"] == []
    again = import_results(small, write(tmp_path, content))
    assert (again.n_new, again.n_known) == (0, len(notes))


def test_negative_numbers_stay_numbers() -> None:
    assert as_csv(pd.DataFrame({"gain": [-1.5], "name": ["-x"]})) == b"gain,name\n-1.5,'-x\n"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
def test_any_text_survives_the_spreadsheet_guard(text: str) -> None:
    from advisor.evidence.exchange import _as_meant, _defused

    guarded = _defused(text)
    assert _as_meant(guarded) == text
    assert not guarded or guarded[0] not in "=+-@\t\r"


def test_export_can_be_narrowed_to_devices_and_evidence(small: Store, tmp_path: Path) -> None:
    import_results(small, write(tmp_path, HEADER + ROW))
    assert set(results(small, device_ids=["my-board", "coral-edgetpu"])["device_id"]) == {"my-board", "coral-edgetpu"}
    assert list(results(small, evidence="measured")["device_id"]) == ["my-board"]
    assert results(small, evidence="predicted").empty


def test_export_asked_for_nonsense_is_refused(small: Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean coral-edgetpu"):
        export_results(small, tmp_path / "x.csv", device_ids=["coral-edgetpo"])
    with pytest.raises(BadQuestion, match=r"ends in \.csv or \.parquet, not 'x\.xlsx'"):
        export_results(small, tmp_path / "x.xlsx")
    with pytest.raises(UnknownName, match="Known: speed, accuracy"):
        export_results(small, tmp_path / "x.csv", kind="complexity")
    with pytest.raises(BadQuestion, match="An accuracy has no device"):
        export_results(small, tmp_path / "x.csv", kind="accuracy", device_ids=["i7-12700h"])


def test_export_that_cannot_be_written_keeps_the_old_file(
    small: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "old", "out.csv")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreUnusable, match="No space left"):
            export_results(small, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.glob("out*")] == ["out.csv"]
    with pytest.raises(StoreUnusable, match="No such file"):
        export_results(small, tmp_path / "absent" / "out.csv")


def test_made_up_accuracy_never_stands_in_for_timms_own(small: Store, tmp_path: Path) -> None:
    """An import that borrows timm's name is measured evidence, and timm's own figure decides."""
    text = (
        "source_id,model,dataset,metric,value,img_size\n"
        "timm-eval,mobilenetv4_conv_small.e2400_r224_in1k,imagenet-1k,top1,99.9,224\n"
    )
    assert import_results(small, write(tmp_path, text)).n_new == 1
    scored = small.query("scored").set_index(["weights", "img_size"])
    assert scored.loc[("mobilenetv4_conv_small.e2400_r224_in1k", 224), "top1"] == 73.8
