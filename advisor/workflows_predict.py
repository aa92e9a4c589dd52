"""The verbs of prediction that pages and command line share."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from advisor.errors import BadQuestion, DataError
from advisor.evidence import catalogue
from advisor.evidence.store import Store
from advisor.predict import deviation_files, profile_files, profiling
from advisor.predict.backtest_plan import MIN_ROWS, Plan
from advisor.predict.columns import columns
from advisor.predict.profile import Profiles, joined
from advisor.predict.profiling import BuildReport
from advisor.workflows import DATA, home

if TYPE_CHECKING:
    from advisor.predict.backtest import Backtest, Progress
    from advisor.predict.history import History
    from advisor.predict.predictor import Prior

_TASKS = ("infer", "train")
_JOURNAL = "profiles.part.jsonl"


def build_profiles(store: Store, progress: profiling.BuildProgress) -> BuildReport:
    """Count the operators of all timm architectures and write data/profiles.*, in a child process.

    At their native sizes, at those that timm tests weights at, and at those with a published speed or accuracy; what
    the user measured or imported does not count, so that everyone builds the same files.
    """
    weights = store.frame("catalogue")
    tested = weights.assign(img_size=weights["test_img_size"])
    results = (store.query("speed_rows", device_ids=[]), store.query("accuracy_rows"))
    published = (rows[(rows["evidence"] == "published") & ~rows["suspect"].astype(bool)] for rows in results)
    native = [(row.architecture, row.img_size) for row in catalogue.load_architectures(DATA / "architectures.csv")]
    sized = profiling.asked_of((name for name, _ in native), weights, tested, *published)
    asked = sorted({*native, *sized})
    return profiling.build(asked, profile_files.FOLDER, journal=home() / _JOURNAL, progress=progress)


def profiles(*also: tuple[str, int]) -> Profiles:
    """The shipped cost profiles, with those of other (architecture, image size) counted now, seconds each.

    Raises:
        DataError: The shipped files are missing or broken.
        UnknownName: timm lists no such architecture.
        BadQuestion: A network does not take that size.
    """
    found = profile_files.load()
    for architecture, img_size in also:
        if (architecture, img_size) not in found.positions:
            found = joined(found, profiling.one(architecture, img_size))
    return found


def published_history(store: Store, *, min_rows: int = MIN_ROWS) -> History:
    """What every published setup with at least `min_rows` profiled networks says; 3 s."""
    from advisor.predict.history import history  # loads scipy, which no other command needs

    runs = pd.concat([store.query("runs", device_id=None, task=task) for task in _TASKS], ignore_index=True)
    known = store.query("devices")
    kinds = dict(zip(known["device_id"], known["kind"], strict=True))
    shipped = profiles()
    return history(shipped, columns(runs[runs["evidence"] == "published"], kinds, shipped, min_rows=min_rows))


def published(store: Store) -> tuple[History, Prior]:
    """What every published device says, what was learned by leaving each of them out, and how networks deviate.

    Shipped; after a refresh worked out anew, which takes some 5 s, and kept in the user's home.

    Raises:
        DataError: A shipped file is missing or broken.
    """
    return _published(store, _made_from(store), deviation_files.stamp(store.data))


def published_devices(store: Store) -> tuple[History, Prior]:
    """The same without how networks deviate, which is worked out from this, whatever is shipped of it."""
    return _devices(store, _made_from(store))


def _made_from(store: Store) -> str:
    return store.published_hash() + profile_files.content_hash()


@functools.lru_cache(maxsize=2)
def _published(store: Store, made_from: str, _stamp: int) -> tuple[History, Prior]:
    past, prior = _devices(store, made_from)
    return with_deviations(store, past), prior


def with_deviations(store: Store, past: History) -> History:
    """The same with how networks deviate from the sum of their steps, as far as that is shipped.

    Raises:
        DataError: The shipped file is broken.
    """
    from advisor.predict.deviations import DeviationsBySetup  # loads scipy, which no other command needs

    return replace(past, deviations=DeviationsBySetup(past.profiles, deviation_files.load(store.data)))


@functools.lru_cache(maxsize=2)
def _devices(store: Store, made_from: str) -> tuple[History, Prior]:
    from advisor.predict import history_files

    shipped = profiles()
    for folder in (store.data, store.home):
        found = history_files.load(folder / history_files.NAME, shipped, made_from=made_from)
        if found is not None:
            return found
    with contextlib.suppress(DataError):  # worked out anew the next time
        return _build_history(store, store.home, made_from)
    return _worked_out(store)


def build_history(store: Store) -> tuple[History, Prior]:
    """Write data/history.npz from the published results and the shipped cost profiles.

    Raises:
        DataError: It cannot be written.
    """
    return _build_history(store, store.data, _made_from(store))


def _build_history(store: Store, folder: Path, made_from: str) -> tuple[History, Prior]:
    from advisor.predict import history_files

    path = folder / history_files.NAME
    past, prior = _worked_out(store)
    history_files.save(path, past, prior, made_from=made_from)
    # as every later question finds it: the file rounds
    return history_files.load(path, past.profiles, made_from=made_from) or (past, prior)


def _worked_out(store: Store) -> tuple[History, Prior]:
    from advisor.predict.priors import learned

    past = published_history(store)
    return past, learned(past)


def backtest(store: Store, plan: Plan, progress: Progress) -> Backtest:
    """Predictions and advice for every published device, held out whole; some minutes.

    Raises:
        BadQuestion: Fewer than two published devices have enough networks.
    """
    from advisor.predict.backtest import backtest as hold_out  # loads scipy, which no other command needs

    past = published_history(store)
    if len(past.device_ids) < 2:
        raise BadQuestion(
            f"{len(past.device_ids)} published devices have {MIN_ROWS} profiled networks in one setup, and "
            "holding one out needs two: restore data/ or refresh it."
        )
    positions = past.profiles.positions
    scored = store.frame("scored").dropna(subset=["top1", "img_size"])
    best = scored.groupby(["architecture", "img_size"])["top1"].max()
    top1 = {positions[key]: float(value) for key, value in best.items() if key in positions}
    return hold_out(past, top1, plan, progress=progress)
