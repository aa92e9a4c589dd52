"""The verbs of the holes of published devices: predict them once, for data/, and give those of a device."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from advisor import workflows_predict
from advisor.advice.predicted import HIGH, LOW
from advisor.advice.setups import describe_setup, meant
from advisor.errors import BadQuestion, DataError
from advisor.evidence.store import Store
from advisor.predict import hole_files, profile_files
from advisor.predict.columns import columns
from advisor.predict.hole_files import SETUP, Holes
from advisor.records import Question

Progress = Callable[[int, int, str], None]
SOURCE_ID = "prediction"
# setups that differ in their batch size alone: what is published at another one was too large for this one, or was not
# asked for
_BUT_BATCH = [name for name in SETUP if name != "batch_size"]
_SPEEDS = ("latency_ms", "throughput_per_s")
_WITHIN = NormalDist().inv_cdf(0.95)
_NARROWED = ("runtime", "precision", "layout")
_OUTDATED = (
    "what is predicted was made from other published results than those in use: run 'python -m advisor build-holes'"
)


@dataclass(frozen=True, slots=True)
class HolesReport:
    """What a build came to.

    Attributes:
        setups: One record a setup, as `data/holes.csv` has it.
        n_predicted: Networks in setups.
    """

    setups: tuple[dict[Any, Any], ...]
    n_honest: int
    n_predicted: int


def build_holes(store: Store, progress: Progress) -> HolesReport:
    """Write data/holes.*: hold out the families of every published setup, and predict what is honest; two minutes.

    Raises:
        BadQuestion: Fewer than two published devices have enough networks.
        DataError: The files cannot be written.
    """
    from advisor.predict.holes import filled  # loads scipy, which no other command needs

    past, prior = workflows_predict.published(store)
    if len(past.device_ids) < 2:
        raise BadQuestion(
            f"{len(past.device_ids)} published devices have enough networks in one setup, and predicting the holes of "
            "one needs another: restore data/ or refresh it."
        )
    runs = pd.concat([store.query("runs", device_id=None, task=t) for t in ("infer", "train")], ignore_index=True)
    runs = runs[runs["evidence"] == "published"].fillna({"threads": "", "unit": "", "software": "", "layout": ""})
    devices = store.query("devices")
    kinds = dict(zip(devices["device_id"], devices["kind"], strict=True))
    speeds = runs.groupby(list(SETUP))[list(_SPEEDS)].count()
    known = _published_anywhere(runs)
    decidable = _decidable(store, past.profiles.positions)
    listed = columns(runs, kinds, past.profiles, min_rows=hole_files.MIN_ROWS)
    found = []
    for done, column in enumerate(listed):
        progress(done, len(listed), column.setup.device_id)
        key = tuple(getattr(column.setup, name) for name in SETUP)
        elsewhere = known[tuple(getattr(column.setup, name) for name in _BUT_BATCH)]
        wanted = [row for name, row in decidable.items() if name not in elsewhere]
        stated = " ".join(name for name in _SPEEDS if speeds.loc[key, name])
        found.append((filled(past, prior, column, np.array(wanted, dtype=np.intp)), stated))
    progress(len(listed), len(listed), "")
    made = hole_files.save(found, past.profiles, store.data, made_from=made_from(store))
    honest = int((made.verdicts["refused"] == "").sum())
    return HolesReport(tuple(made.verdicts.to_dict("records")), honest, len(made.predictions))


def made_from(store: Store) -> str:
    """The hash of what the predictions are made from."""
    return _made_from(store, store.version(), profile_files.content_hash())


def _published_anywhere(runs: pd.DataFrame) -> dict[tuple[object, ...], set[tuple[str, int]]]:
    """By setup but for its batch size: the networks that are published there."""
    return {
        key: set(zip(rows["architecture"], rows["img_size"].astype(int), strict=True))
        for key, rows in runs.groupby(_BUT_BATCH)
    }


def _decidable(store: Store, positions: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Networks with an accuracy, without which no speed decides, and their rows in the profiles."""
    scored = store.query("scored")
    keys = sorted(set(zip(scored["architecture"], scored["img_size"].astype(int), strict=True)))
    return {key: positions[key] for key in keys if key in positions}


# -- of a device ---------------------------------------------------------------------------------------


def holes_of(store: Store, device_id: str, task: str) -> pd.DataFrame:
    """What is predicted for a published device, as rows of the query `runs`.

    None where nothing honest is, or where what is predicted was made from other results than those in use.
    """
    found = hole_files.load(store.data)
    if found.verdicts.empty or not _current(store, found):
        return pd.DataFrame()
    return _holes_of(found, device_id, task)


def _current(store: Store, found: Holes) -> bool:
    """Whether holes were made from the published results and cost profiles in use: a refresh changes the former."""
    with contextlib.suppress(DataError):  # no profiles: they are told of where they are needed
        return found.made_from == made_from(store)
    return False


@functools.lru_cache(maxsize=4)
def _made_from(store: Store, _version: str, profiles_hash: str) -> str:
    return store.published_hash() + profiles_hash


@functools.lru_cache(maxsize=16)
def _holes_of(holes: Holes, device_id: str, task: str) -> pd.DataFrame:
    verdicts = holes.verdicts
    here = verdicts[(verdicts["device_id"] == device_id) & (verdicts["task"] == task) & (verdicts["n_predicted"] > 0)]
    rows = holes.predictions[holes.predictions["setup"].isin(here.index)]
    setups = here.loc[rows["setup"], [*SETUP, "quantities", "n_rows", "coverage", "median_error"]]
    p50, deviation = (rows[name].to_numpy(float) for name in ("p50_ms", "deviation"))
    batch = setups["batch_size"].to_numpy(float)
    stated = [setups["quantities"].str.contains(name).to_numpy(bool) for name in _SPEEDS]
    found = setups[[*SETUP]].reset_index(drop=True).assign(
        architecture=rows["architecture"].to_numpy(object), img_size=rows["img_size"].to_numpy(int), batch_size=batch,
        latency_ms=np.where(stated[0], p50, np.nan), throughput_per_s=np.where(stated[1], batch * 1000 / p50, np.nan),
        note=[_note(row) for row in setups.to_dict("records")],
        **{LOW: p50 * np.exp(-_WITHIN * deviation), HIGH: p50 * np.exp(_WITHIN * deviation)},
    )  # fmt: skip
    return as_runs(found)


def as_runs(found: pd.DataFrame) -> pd.DataFrame:
    """Predicted speeds with all columns of the query `runs` that they lack.

    Args:
        found: Setup, `architecture`, `img_size`, speeds, `note`, and the ends of the interval.
    """
    ids = zip(found["architecture"], found["img_size"], *(found[name] for name in SETUP), strict=True)
    return found.assign(
        row_id=["predicted:" + "|".join(map(str, key)) for key in ids], source_id=SOURCE_ID,
        model=found["architecture"], evidence="predicted", verdict=None, peak_memory_mb=np.nan,
        ci95_low_ms=np.nan, ci95_high_ms=np.nan, measured_at=pd.Series(pd.NaT, found.index, dtype="datetime64[us]"),
    )  # fmt: skip


def _note(setup: dict[object, object]) -> str:
    return (
        f"predicted from {setup['n_rows']} published results of this setup; of families held out "
        f"{_percent(setup['coverage'])} were within the 90 % interval, median error {_percent(setup['median_error'])}"
    )


def _percent(share: object) -> str:
    return f"{float(str(share)):.0%}".replace("%", " %")


def refusal(store: Store, question: Question) -> str:
    """Why nothing is predicted for a family that is not published on a device; empty where that is not known.

    The setup with the most networks among those asked for speaks.
    """
    found = hole_files.load(store.data)
    verdicts = found.verdicts
    if verdicts.empty:
        return ""
    if not _current(store, found):
        return f"None is predicted either: {_OUTDATED}."
    here = verdicts[(verdicts["device_id"] == question.device_id) & (verdicts["task"] == question.task)]
    for name in _NARROWED:
        if (asked := getattr(question, name)) is not None:
            here = here[here[name].isin(meant(asked, here[name].unique()))]
    if question.batch_size is not None:
        here = here[here["batch_size"] == question.batch_size]
    if here.empty:
        fewer = f"fewer than {hole_files.MIN_ROWS} networks are published there in one setup"
        return f"None is predicted either: not enough evidence, {fewer}."
    if (here["refused"] == "").any():
        beyond = "not enough evidence beyond the kinds and sizes of networks that are published there"
        return f"None is predicted either: {beyond}."
    most = here.sort_values("n_rows", ascending=False, kind="stable").iloc[0]
    words = describe_setup({name: most[name] or None for name in SETUP})
    return f"None is predicted either: not enough evidence ({words}): {most['refused']}."
