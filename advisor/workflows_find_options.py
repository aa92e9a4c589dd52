"""What a search chooses from: every network that passes the question's other limits, in every setup known here.

Pure: frames and what is known of setups in, arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.advice import limits
from advisor.advice.predicted import HIGH, LOW
from advisor.advice.recommend import candidates
from advisor.advice.setups import Chosen
from advisor.measure.rows import speed_rows
from advisor.measure.run import Run
from advisor.measure.stretches import Stretch
from advisor.predict.known import Known
from advisor.predict.pace import slowdown, stretch_of
from advisor.predict.search import Outcome
from advisor.records import Question

PREDICTION = "own-prediction"  # the source of a predicted speed
_SETUP = ("device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout", "batch_size")
_LICENCE_UNKNOWN = ("", "unknown")
_NARROW = ("fp16", "bf16")
_BY_ACCURACY = ["accuracy", "licence_unknown", "extra_data_rank", "weights"]


@dataclass(frozen=True, slots=True)
class Result:
    """The run that speaks for an option: its median with the 95 % interval in ms, and what an answer says of it.

    Attributes:
        measured_at: When it was begun, UTC without a zone; None where that is not known.
        stretch: The run beside the machine's pulse; None where its pace is not known.
    """

    run_id: str
    p50: float
    ci95: tuple[float, float]
    verdict: str
    peak_memory_mb: float | None = None
    note: str = ""
    source_id: str = ""
    measured_at: datetime | None = None
    stretch: Stretch | None = None

    @classmethod
    def of_run(cls, run: Run) -> Result:
        """The result of a run that worked."""
        assert run.measured is not None
        row = speed_rows(run).iloc[0]
        timed = run.measured.latency
        began = datetime.fromisoformat(run.started_at).astimezone(UTC).replace(tzinfo=None)
        return cls(
            run.run_id, timed.p50, timed.ci95, run.verdict or "", run.peak_memory_mb, str(row["note"]),
            str(row["source_id"]), began, stretch_of(run.measured),
        )  # fmt: skip

    def tested(self, question: Question, known: Known, suffers: float) -> Outcome:
        """What the search is to know of it.

        Args:
            known: The setup it was measured in.
            suffers: What its network suffers there of a slow machine.
        """
        most = question.max_memory_mb
        allowed = most is None or (self.peak_memory_mb is not None and self.peak_memory_mb <= most)
        slower = slowdown(self.p50, self.stretch, known.full_ms, suffers)
        return Outcome(self.p50, self.ci95[1], self.verdict == "steady", 1, allowed, slower)


@dataclass(frozen=True, eq=False)
class Options:
    """Networks in setups, and the candidates that each stands for.

    Attributes:
        candidates: One row for weights x image size x setup within the other limits, with the columns of `Candidate`
            and `option`; its speeds are predictions from before the search.
        known: Shape (n,): which of the setups.
        row: Shape (n,): which row of that setup's profiles.
        accuracy: Shape (n,): of the most accurate weights of the network.
        leader: Shape (n,): the row of `candidates` of those weights.
        considered: How many weights x image sizes have an accuracy and a prediction.
        rejected: Limit -> how many of them break it; latency is no such limit here.
        everything, broken: All candidates, also those outside the limits, and which limit each breaks.
    """

    candidates: pd.DataFrame
    known: NDArray[np.intp]
    row: NDArray[np.intp]
    accuracy: NDArray[np.float64]
    leader: NDArray[np.intp]
    considered: int
    rejected: dict[str, int]
    everything: pd.DataFrame
    broken: pd.DataFrame

    def __len__(self) -> int:
        return len(self.known)

    def named(self, option: int) -> tuple[str, int]:
        """Architecture and image size of an option."""
        one = self.candidates.iloc[self.leader[option]]
        return str(one["architecture"]), int(one["img_size"])

    def of(self, known: int, architecture: str, img_size: int) -> int | None:
        """The option of a network in a setup; None where it is none."""
        found = self.candidates
        here = (found["known"] == known) & (found["architecture"] == architecture) & (found["img_size"] == img_size)
        return int(found.loc[here, "option"].iloc[0]) if here.any() else None

    def with_larger_images(self, option: int) -> NDArray[np.intp]:
        """The options of the same network in the same setup at larger image sizes: none of them is faster."""
        leaders = self.candidates.iloc[self.leader]
        one = leaders.iloc[option]
        same = (self.known == self.known[option]) & (leaders["architecture"] == one["architecture"]).to_numpy()
        return np.flatnonzero(same & (leaders["img_size"] > one["img_size"]).to_numpy())


def options(scored: pd.DataFrame, knowns: Sequence[Known], question: Question) -> Options:
    """Everything that could be measured to answer a question.

    The limits are those of a recommendation but for latency, which the search is about, and memory, which only a
    measurement tells: for it a network is left out only where its parameters alone are too large.

    Args:
        scored: Weights x image size with all accuracies, as the query `scored` gives them.
    """
    frames = [candidates(scored, Chosen(_rows(k, one), "latency_ms", ""), question) for k, one in enumerate(knowns)]
    frame = pd.concat(frames, ignore_index=True)
    broken = limits.broken(frame, other_limits(question))
    if question.max_memory_mb is not None:
        bytes_each = np.where(frame["precision"].isin(_NARROW), 2, 4)
        broken["max_memory_mb"] = frame["params_m"].to_numpy(float) * bytes_each > question.max_memory_mb
    kept = frame[~broken.any(axis=1)].copy()
    kept["option"] = kept.groupby(["known", "row"], sort=True).ngroup()
    kept["licence_unknown"] = kept["licence"].isin(_LICENCE_UNKNOWN)
    kept = kept.sort_values(["option", *_BY_ACCURACY], ascending=[True, False, True, True, True])
    kept = kept.reset_index(drop=True)
    leaders = kept.drop_duplicates("option")
    same = [frame["weights"], frame["img_size"]]
    return Options(
        candidates=kept, known=leaders["known"].to_numpy(np.intp), row=leaders["row"].to_numpy(np.intp),
        accuracy=leaders["accuracy"].to_numpy(np.float64), leader=leaders.index.to_numpy(np.intp),
        considered=len(frame.drop_duplicates(["weights", "img_size"])),
        rejected={str(name): int(broken[name].groupby(same).all().sum()) for name in broken},
        everything=frame, broken=broken,
    )  # fmt: skip


def other_limits(question: Question) -> Question:
    """The question without the limits that a search meets by measuring."""
    return replace(question, max_latency_ms=None, min_throughput=None, max_memory_mb=None)


def _rows(place: int, one: Known) -> pd.DataFrame:
    """Every profile in a setup as the query `runs` has measured ones, all of them predicted."""
    low, middle, high = one.posterior.quantiles().T
    models = one.profiles.models
    names = models["architecture"].to_numpy(object)
    return pd.DataFrame({
        "model": names, "architecture": names, "img_size": models["img_size"].to_numpy(), "known": place,
        "row": np.arange(len(models)), **{name: getattr(one.setup, name) for name in _SETUP}, "latency_ms": middle,
        "throughput_per_s": one.setup.batch_size * 1000 / middle, "peak_memory_mb": np.nan, "note": "",
        "evidence": "predicted", "source_id": PREDICTION, "verdict": "", "ci95_low_ms": np.nan,
        "ci95_high_ms": np.nan, LOW: low, HIGH: high, "row_id": "", "measured_at": pd.NaT,
    })  # fmt: skip


def known_results(one: Known, runs: pd.DataFrame) -> dict[int, Result]:
    """What was measured in a setup before the search, by row of its profiles.

    Args:
        runs: The device's runs, as the query `runs` gives them: memory, note and day of each, where it is the one
            that speaks there too.
    """
    mine = np.ones(len(runs), dtype=bool)
    for name in _SETUP:
        mine &= (runs[name].fillna("") == getattr(one.setup, name)).to_numpy(bool)
    told = {(row["architecture"], row["img_size"], row["latency_ms"]): row for row in runs[mine].to_dict("records")}
    keys = list(one.profiles.positions)
    found = {}
    for row, here in one.measured.items():
        more: dict[Any, Any] = told.get((*keys[row], here.p50), {})
        memory, began = more.get("peak_memory_mb"), more.get("measured_at")
        found[row] = Result(
            here.run_id, here.p50, here.ci95, here.verdict, None if pd.isna(memory) else memory,
            str(more.get("note") or ""), str(more.get("source_id") or ""),
            None if pd.isna(began) else began.to_pydatetime(), here.stretch,
        )  # fmt: skip
    return found
