"""The files of cost profiles: nothing is lost in them, and damaged ones are one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from advisor.errors import DataError
from advisor.predict import profile_files
from advisor.predict.profile import assemble
from tests.cost_profiles import BAD, LARGE, LARGE_AT_5, SMALL

FILES = [profile_files.MODELS, profile_files.NOT_COUNTED, profile_files.OPERATORS, profile_files.COUNTS]


def test_files_give_back_what_was_written(tmp_path: Path) -> None:
    written = assemble([SMALL, LARGE, LARGE_AT_5], [BAD])
    profile_files.save(written, tmp_path)
    found = profile_files.load(tmp_path)
    pd.testing.assert_frame_equal(found.models, written.models)
    pd.testing.assert_frame_equal(
        found.operators.astype({"name": "str", "kind": "str"}), written.operators.astype({"name": "str", "kind": "str"})
    )
    assert (found.counts != written.counts).nnz == 0
    assert found.not_counted == written.not_counted
    np.testing.assert_array_equal(found.features, written.features)


def test_operators_counts_by_class_can_be_read_in_the_csv(tmp_path: Path) -> None:
    profile_files.save(assemble([LARGE]), tmp_path)
    row = pd.read_csv(tmp_path / profile_files.MODELS).iloc[0]
    assert (row["n dense k x k"], row["n pointwise"], row["n element-wise"], row["n attention"]) == (3, 1, 4, 0)


def test_a_new_build_is_read_at_once(tmp_path: Path) -> None:
    profile_files.save(assemble([SMALL]), tmp_path)
    assert len(profile_files.load(tmp_path)) == 1
    profile_files.save(assemble([SMALL, LARGE]), tmp_path)
    assert len(profile_files.load(tmp_path)) == 2


@pytest.mark.parametrize("name", FILES)
def test_files_of_different_builds_are_refused(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    profile_files.save(assemble([LARGE]), other)
    profile_files.save(assemble([SMALL], [BAD]), tmp_path)
    (other / name).replace(tmp_path / name)
    with pytest.raises(DataError, match=r"was not built with profiles\.csv .*build-profiles"):
        profile_files.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "noise"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    profile_files.save(assemble([SMALL, LARGE], [BAD]), tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "noise": b"\x93\x00\xff" * 50}[damage])
    with pytest.raises(DataError) as caught:
        profile_files.load(tmp_path)
    assert "build-profiles" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be written"):
        profile_files.save(assemble([SMALL]), tmp_path / "none")
