"""Counting operators in a child process: the whole zoo for data/, or one network at any other image size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from advisor.errors import BadQuestion, ProfilesFailed
from advisor.evidence import child
from advisor.measure import models
from advisor.measure.request import Request
from advisor.predict import profile_files
from advisor.predict.profile import CostProfile, NotCounted, Profiles, assemble

BUILD_LIMIT_S = 3 * 3600.0  # the whole zoo takes 12 minutes of one free core
ONE_LIMIT_S = 120.0  # importing torch and timm takes 4 to 10 s, the largest networks 2 s
WORKER = (sys.executable, "-m", "advisor.predict.workers.profile_worker")
_WHAT = "The worker that counts operators"
# counts change with these files, so a journal of others is of no use
_COUNTING = (
    "measure/workers/operators.py", "measure/workers/operator_classes.py", "predict/signature.py",
    "predict/workers/profile_worker.py",
)  # fmt: skip

BuildProgress = Callable[[int, int, str], None]
Asked = tuple[str, int]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build has written.

    Attributes:
        resumed: Networks, counted or not, that an earlier build which was stopped had left.
    """

    profiles: int
    architectures: int
    operators: int
    not_counted: tuple[NotCounted, ...]
    counter: str
    timm: str
    resumed: int


def asked_of(architectures: Iterable[str], *frames: pd.DataFrame) -> list[Asked]:
    """Every (architecture, image size) that stands in any of the frames, sorted.

    Args:
        architectures: Only these.
        frames: With columns `architecture` and `img_size`; rows without a size are left out.
    """
    known = set(architectures)
    found: set[Asked] = set()
    for frame in frames:
        sized = frame[frame["architecture"].isin(known) & frame["img_size"].notna()]
        found |= set(zip(sized["architecture"], sized["img_size"].astype(int), strict=True))
    return sorted(found)


def one(architecture: str, img_size: int, *, time_limit_s: float = ONE_LIMIT_S) -> Profiles:
    """The profile of one network at any image size, counted now: 5 to 10 s, most of it to import torch and timm.

    Raises:
        UnknownName: timm lists no such architecture.
        BadQuestion: No sensible image size, or the network does not take it.
        ProfilesFailed: The worker died, was too slow, or answered what it should not.
    """
    asked = Request(architecture=models.known(architecture), img_size=img_size)
    answers = list(counted([(asked.architecture, img_size)], time_limit_s=time_limit_s))
    if len(answers) != 1:
        raise ProfilesFailed(f"{_WHAT} answered {len(answers)} times for one network: try again.")
    if isinstance(answers[0], NotCounted):
        raise BadQuestion(answers[0].reason)
    return assemble([answers[0]])


def counted(
    asked: Sequence[Asked], *, time_limit_s: float, command: Sequence[str] = WORKER
) -> Generator[CostProfile | NotCounted, None, None]:
    """Ask a worker for those profiles and yield its answers in order; close it to stop the worker."""
    with contextlib.closing(_records(asked, time_limit_s, command)) as records:
        yield from read(records)


def build(
    asked: Sequence[Asked], folder: Path, *, journal: Path, progress: BuildProgress = lambda _done, _total, _name: None,
    time_limit_s: float = BUILD_LIMIT_S, command: Sequence[str] = WORKER,
) -> BuildReport:  # fmt: skip
    """Count all those networks and write data/profiles.*; nothing is replaced unless all were answered.

    Args:
        folder: Where the files go.
        journal: Keeps what was counted so far: a build that was stopped goes on from there. Removed at the end.
        progress: Called with networks done, networks in all, and the name just done.

    Raises:
        ProfilesFailed: The worker died, was too slow, or answered what it should not.
        DataError: The files cannot be written.
    """
    wanted = set(asked)
    kept = _kept(journal)
    found = {key: kept[key] for key in asked if key in kept}
    resumed = len(found)
    missing = [key for key in asked if key not in found]
    if missing:
        records = _records(missing, time_limit_s, command)
        with contextlib.closing(_journalled(records, journal, goes_on=bool(kept))) as written:
            for answer in read(written):
                found[answer.architecture, answer.img_size] = answer
                progress(len(found), len(wanted), answer.architecture)
    if found.keys() != wanted:
        raise _failure(f"{_WHAT} answered for {len(found)} of {len(wanted)} networks")
    profiles = [answer for answer in found.values() if isinstance(answer, CostProfile)]
    if not profiles:
        raise _failure(f"No network could be counted of {len(wanted)}")
    whole = assemble(profiles, [answer for answer in found.values() if isinstance(answer, NotCounted)])
    profile_files.save(whole, folder)
    journal.unlink(missing_ok=True)
    first = profiles[0]
    names = {profile.architecture for profile in profiles}
    return BuildReport(
        len(whole), len(names), len(whole.operators), whole.not_counted, first.counter, first.timm, resumed
    )


# -- the worker's records ------------------------------------------------------------------------------


def read(records: Iterable[dict[str, Any]]) -> Iterator[CostProfile | NotCounted]:
    """Records of the worker as values.

    Raises:
        ProfilesFailed: One is not what it should be.
    """
    for record in records:
        try:
            if "reason" in record:
                yield msgspec.convert(record, NotCounted)
            else:
                yield msgspec.convert(record, CostProfile)
        except msgspec.ValidationError as exc:
            raise _failure(f"{_WHAT} sent a record that cannot be used ({exc})") from exc


def _records(asked: Sequence[Asked], time_limit_s: float, command: Sequence[str]) -> Generator[dict[str, Any]]:
    questions = "".join(json.dumps(key) + "\n" for key in asked)
    return child.answers(command, what=_WHAT, time_limit_s=time_limit_s, failure=_failure, asked=questions)


def _failure(what: str) -> ProfilesFailed:
    return ProfilesFailed(f"{what}; the old profiles stay.")


# -- the journal of a build ----------------------------------------------------------------------------


def _kept(journal: Path) -> dict[Asked, CostProfile | NotCounted]:
    """What a build that was stopped had counted, with the counter and the versions of now."""
    try:
        mark, *lines = journal.read_bytes().splitlines()
    except (FileNotFoundError, ValueError):
        return {}
    if mark.decode("utf-8", "replace").strip() != _counting():
        return {}
    records: list[dict[str, Any]] = []
    for line in lines:
        with contextlib.suppress(ValueError):  # where the build was killed a line is cut off
            records.append(json.loads(line))
    return {(answer.architecture, answer.img_size): answer for answer in read(records)}


def _journalled(records: Generator[dict[str, Any]], journal: Path, *, goes_on: bool) -> Generator[dict[str, Any]]:
    """The same records, each written to the journal before it is handed on."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(records), journal.open("a" if goes_on else "w", encoding="utf-8") as stream:
        # begins a line in any case: what an earlier build was writing when it was killed is half a line
        stream.write("\n" if goes_on else f"{_counting()}\n")
        for record in records:
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            yield record


def _counting() -> str:
    """What a count depends on: the versions of the libraries, and the code that counts."""
    package = Path(__file__).resolve().parents[1]
    code = hashlib.sha256(b"".join((package / name).read_bytes() for name in _COUNTING)).hexdigest()
    return f"timm {metadata.version('timm')}, torch {metadata.version('torch')}, counter {code}"
