"""The turn to measure: one at a time across homes, and nobody is kept from measuring by a file of somebody else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from advisor.measure.turn import Turn


def test_one_turn_at_a_time_on_a_machine_across_homes(tmp_path: Path) -> None:
    one, other = (Turn(tmp_path / name, tmp_path / "machine") for name in ("one", "other"))
    with one:
        assert one.take()
        assert not other.take()
        assert not other.taken
    with other:
        assert other.take()
        assert not one.take()


def test_one_turn_at_a_time_in_a_home_whatever_the_temporary_folder(tmp_path: Path) -> None:
    one, other = (Turn(tmp_path / "home", tmp_path / name) for name in ("one", "other"))
    with one, other:
        assert [one.take(), other.take()] == [True, False]


def test_every_user_may_take_the_lock_of_the_machine(tmp_path: Path) -> None:
    with Turn(tmp_path / "home", tmp_path / "machine") as turn:
        assert turn.take()
        assert stat.S_IMODE((tmp_path / "machine").stat().st_mode) == 0o666


@pytest.mark.parametrize("blocked", ["a folder", "a link", "nowhere"])
def test_a_lock_of_the_machine_that_cannot_be_used_stops_nobody(tmp_path: Path, blocked: str) -> None:
    machine = tmp_path / "machine"
    if blocked == "a folder":
        machine.mkdir()
    elif blocked == "a link":
        machine.symlink_to(tmp_path / "file of another")
    else:
        machine = tmp_path / "absent" / "machine"
    with Turn(tmp_path / "home", machine) as turn:
        assert turn.take()
        assert not Turn(tmp_path / "home", machine).take()
    assert not (tmp_path / "file of another").exists()


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(OSError, match="home"):
        Turn(tmp_path / "home" / "device.lock", tmp_path / "machine").take()
