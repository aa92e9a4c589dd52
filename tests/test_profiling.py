"""Counting cost profiles in a child process: resumed, bounded in time, and one sentence where it fails."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from advisor import workflows, workflows_predict
from advisor.cli import main
from advisor.errors import BadQuestion, ProfilesFailed, UnknownName
from advisor.evidence.store import Store
from advisor.predict import profile_files, profiling
from advisor.predict.profile import NotCounted, assemble
from tests.cost_profiles import BAD, LARGE, LARGE_AT_5, SMALL

PROFILES = {(p.architecture, p.img_size): p for p in (SMALL, LARGE, LARGE_AT_5)}
ASKED = [*PROFILES, ("odd", 7)]
LINES = {key: json.dumps(asdict(p)) for key, p in PROFILES.items()} | {("odd", 7): json.dumps(asdict(BAD))}


def worker(tmp_path: Path, *, then: str = "", dies_after: int = 99) -> list[str]:
    """A worker that notes what it is asked, answers so many networks of `LINES`, and does what is said."""
    script = (
        "import json, sys\n"
        f"lines = {LINES!r}\n"
        f"for n, line in enumerate(sys.stdin):\n"
        f"    if n == {dies_after}: sys.exit('out of luck')\n"
        "    key = tuple(json.loads(line))\n"
        f"    open({str(tmp_path / 'asked')!r}, 'a').write(key[0] + str(key[1]) + ' ')\n"
        "    print(lines[key], flush=True)\n"
        f"{then}"
    )
    return [sys.executable, "-c", script]


def build(tmp_path: Path, command: list[str], **options: Any) -> profiling.BuildReport:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    return profiling.build(ASKED, folder, journal=tmp_path / "home" / "j.part", command=command, **options)


def asked_for(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().split()


def test_build_writes_what_the_worker_counted_and_lists_the_rest(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    report = build(tmp_path, worker(tmp_path), progress=lambda *step: seen.append(step))
    assert (report.profiles, report.architectures, report.operators, report.resumed) == (3, 2, 3, 0)
    assert (report.counter, report.timm, report.not_counted) == ("counter 1", "1.0", (BAD,))
    assert seen == [(n + 1, 4, key[0]) for n, key in enumerate(ASKED)]
    found = profile_files.load(tmp_path / "data")
    np.testing.assert_array_equal(found.features, assemble(PROFILES.values()).features)
    assert found.not_counted == (BAD,)
    assert list((tmp_path / "home").iterdir()) == []


def test_a_stopped_build_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFailed, match="ended with code 1 \\(out of luck\\)"):
        build(tmp_path, worker(tmp_path, dies_after=2))
    with (tmp_path / "home" / "j.part").open("a") as journal:
        journal.write('{"architecture": "lar')  # killed in the middle of a line
    with pytest.raises(ProfilesFailed, match="out of luck"):
        build(tmp_path, worker(tmp_path, dies_after=1))
    assert build(tmp_path, worker(tmp_path)).resumed == 3
    assert asked_for(tmp_path) == ["small10", "large10", "large5", "odd7"]
    assert len(profile_files.load(tmp_path / "data")) == 3


def test_what_another_counter_had_counted_is_counted_again(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFailed):
        build(tmp_path, worker(tmp_path, dies_after=2))
    journal = tmp_path / "home" / "j.part"
    journal.write_text(journal.read_text().replace("torch ", "torch 1", 1))
    assert build(tmp_path, worker(tmp_path)).resumed == 0
    assert asked_for(tmp_path)[2:] == ["small10", "large10", "large5", "odd7"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([sys.executable, "-c", "print('hello')"], "printed what is no record: 'hello'"),
        ([sys.executable, "-c", 'print(\'{"architecture": "small"}\')'], "sent a record that cannot be used"),
        ([sys.executable, "-c", ""], "answered for 0 of 4 networks"),
        (["/nonexistent/python"], "could not be started"),
    ],
)
def test_a_broken_worker_is_one_sentence_and_the_old_files_stay(
    tmp_path: Path, command: list[str], message: str
) -> None:
    (tmp_path / "data").mkdir()
    profile_files.save(assemble([SMALL]), tmp_path / "data")
    with pytest.raises(ProfilesFailed, match=message) as caught:
        build(tmp_path, command)
    assert str(caught.value).endswith("the old profiles stay.")
    assert len(profile_files.load(tmp_path / "data")) == 1


def test_a_hung_worker_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFailed, match="stopped after 1 s"):
        build(tmp_path, worker(tmp_path, then="import time; time.sleep(600)"), time_limit_s=1.0)


def test_the_command_says_what_was_counted_and_what_was_not(monkeypatch: pytest.MonkeyPatch, shipped: Store) -> None:
    report = profiling.BuildReport(3, 2, 9, (BAD,), "counter 1", "1.0", resumed=1)
    monkeypatch.setattr(profiling, "build", lambda *_args, **_options: report)
    monkeypatch.setattr(workflows, "open_store", lambda: shipped)
    said = CliRunner().invoke(main, ["build-profiles"]).output
    assert "3 profiles of 2 architectures with 9 distinct operators, counted by counter 1 with timm 1.0, 1 of" in said
    assert BAD.reason in said
    as_json = json.loads(CliRunner().invoke(main, ["build-profiles", "--json"]).output)
    assert (as_json["profiles"], as_json["not_counted"][0]["architecture"]) == (3, "odd")


@pytest.mark.parametrize(
    ("name", "img_size", "error", "words"),
    [
        ("resnet5000", 224, UnknownName, "Unknown model 'resnet5000'"),
        ("../resnet50", 224, BadQuestion, "not a name that timm lists"),
        ("resnet50", 0, BadQuestion, "--img-size must be 8 to 8192 px, not 0"),
    ],
)
def test_bad_questions_start_no_worker(name: str, img_size: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        profiling.one(name, img_size, time_limit_s=0.0)


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([BAD], BadQuestion, "odd does not take images of 7 px"),
        ([], ProfilesFailed, "answered 0 times for one network"),
    ],
)
def test_a_network_that_was_not_counted_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, answers: list[NotCounted], error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(profiling, "counted", lambda _asked, **_options: iter(answers))
    with pytest.raises(error, match=words):
        profiling.one("resnet18", 100)


@pytest.mark.timm
def test_other_sizes_are_counted_when_asked_for_and_shipped_ones_are_not() -> None:
    shipped = profile_files.load()
    assert workflows_predict.profiles(("resnet18", 224)) is shipped
    found = workflows_predict.profiles(("resnet18", 72), ("resnet18", 224))
    assert len(found) == len(shipped) + 1
    small, native = found.models["macs"].to_numpy()[found.rows([("resnet18", 72), ("resnet18", 224)])]
    assert 0.08 < small / native < 0.16  # (72 / 224)^2 is 0.10; strides round up, and the classifier stays
