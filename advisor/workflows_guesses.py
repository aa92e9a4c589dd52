"""What is predicted for a device: of this machine from its calibrations, of a published one from its own results."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from advisor import workflows_holes
from advisor.advice.predicted import HIGH, LOW, Guesses
from advisor.evidence.store import Store
from advisor.predict.hole_files import SETUP
from advisor.records import Candidate, Device, Question

if TYPE_CHECKING:
    from advisor.predict.calibration import Asked
    from advisor.predict.known import Known


def guesses(store: Store, device: Device, question: Question) -> Guesses | None:
    """What is predicted for a device, and whether it may win; None where nothing is, or nothing shall be.

    Predictions of this machine may win, since it can confirm them at once. Those of a published device stand beside
    what is published, unless the question lets them win.
    """
    if question.evidence == "known":
        return None
    if device.measured_here:
        found = rows_here(store, device) if question.task == "infer" else pd.DataFrame()
        return Guesses(found, may_win=True, here=True) if len(found) else None
    if device.kind == "own":  # known from imported results alone
        return None
    found = workflows_holes.holes_of(store, device.device_id, question.task)
    refused = workflows_holes.refusal(store, question)
    return Guesses(found, may_win=question.evidence == "all", here=False, refused=refused) if refused else None


def rows_here(store: Store, device: Device) -> pd.DataFrame:
    """What is predicted for a device of this machine, as rows of the query `runs`; none where it is not calibrated."""
    found = _known(store, device)
    return _rows_here(found) if found else pd.DataFrame()


def target_of(device_id: str) -> str | None:
    """The target of this machine that is that device; None where it is another machine's."""
    from advisor.measure import machine  # reads the hardware, which other questions need not wait for

    return next((name for name in machine.targets() if machine.machine(name).device_id == device_id), None)


def confirming(store: Store, device: Device, one: Candidate) -> Asked | None:
    """The setup to measure a predicted candidate in; None where this machine cannot."""
    if one.evidence != "predicted" or not device.measured_here:
        return None
    return next((known.asked for known in _known(store, device) if _same_setup(known, one)), None)


def command(asked: Asked, one: Candidate) -> str:
    """The command that measures a candidate in that setup."""
    from advisor.measure.machine import usable_threads

    options = {
        "--img-size": one.img_size, "--runtime": asked.runtime, "--precision": asked.precision,
        "--layout": asked.layout if asked.layout != "nchw" else None,
        "--batch-size": asked.batch_size if asked.batch_size != 1 else None,
        "--device": asked.target if asked.target != "cpu" else None,
        "--threads": asked.threads if asked.threads != usable_threads() else None,
    }  # fmt: skip
    said = [f"{name} {value}" for name, value in options.items() if value is not None]
    return " ".join(["python -m advisor measure", one.architecture, *said])


def _known(store: Store, device: Device) -> tuple[Known, ...]:
    from advisor import workflows_known

    target = target_of(device.device_id)
    return () if target is None else tuple(workflows_known.known(store, target, batch_size=None))


def _same_setup(known: Known, one: Candidate) -> bool:
    return all(getattr(known.setup, name) == getattr(one, name) for name in SETUP)


@functools.lru_cache(maxsize=4)
def _rows_here(found: tuple[Known, ...]) -> pd.DataFrame:
    return pd.concat([_rows(one) for one in found], ignore_index=True)


def _moment(one: Known) -> str:
    slow = one.slower
    return f", for the machine {slow.words} slower than at its full pace, as it was last" if slow.told else ""


def _rows(one: Known) -> pd.DataFrame:
    """The predicted networks of a setup; those that were measured in it are runs already."""
    frame = one.frame()
    frame = frame[frame["evidence"] == "predicted"].reset_index(drop=True)
    setup = {name: getattr(one.setup, name) for name in SETUP}
    p50 = frame["p50_ms"].to_numpy(np.float64)
    made = frame[["architecture", "img_size"]].assign(
        **setup, latency_ms=p50, throughput_per_s=one.setup.batch_size * 1000 / p50,
        note=f"predicted from {one.n_probes} networks measured here in this setup{one.caveat}{_moment(one)}",
        **{LOW: frame["lo90_ms"], HIGH: frame["hi90_ms"]},
    )  # fmt: skip
    return workflows_holes.as_runs(made)
