"""What is known of this machine: which calibrations there are, whether they hold, and what every network takes here."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from advisor import workflows_measure, workflows_predict
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure import gpu, machine, models, rows
from advisor.measure.cpu import has_matrix_units
from advisor.measure.request import IMG_SIZES, RUNTIMES
from advisor.measure.stretches import Stretch
from advisor.measure.sweep import SENTINEL
from advisor.predict import calibration as calibrating
from advisor.predict import suffering
from advisor.predict.calibration import Calibration
from advisor.predict.columns import Setup
from advisor.predict.known import Known, MeasuredHere, Prediction
from advisor.predict.pace import least_ms, stored_stretch, together
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles, joined
from advisor.predict.slowness import FULL_PACE, of_last
from advisor.predict.staleness import in_a_sentence

if TYPE_CHECKING:
    from advisor.predict.history import History

_SETUP = ("device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout", "batch_size")


def calibrations(store: Store) -> list[Calibration]:
    """Every calibration of which a probe worked and was not deleted, newest first; those of other machines too."""
    found = _calibrations(store, store.version())
    if not any(one.status in ("stopped", "too few") for one in found):
        return list(found)
    active = {job.sweep_id for job in workflows_measure.jobs(store).states() if not job.ended}
    return [replace(one, status="running") if one.calibration_id in active else one for one in found]


def calibration_of(store: Store, job_id: str) -> Calibration | None:
    """The calibration that a job makes or has made; None as long as no probe has worked."""
    sweep_id = workflows_measure.jobs(store).state(job_id).sweep_id
    return next((one for one in calibrations(store) if one.calibration_id == sweep_id), None)


def stale_calibrations(store: Store) -> list[tuple[Calibration, tuple[str, ...]]]:
    """Calibrations that do not hold any more, or never did on this machine, newest first, with the reasons."""
    now = {one.asked.target: _now(one.asked.target) for one in calibrations(store)}
    told = [(one, calibrating.staleness(one.fingerprint, now[one.asked.target])) for one in calibrations(store)]
    return [(one, reasons) for one, reasons in told if reasons]


@functools.lru_cache(maxsize=4)
def _calibrations(store: Store, _version: str) -> tuple[Calibration, ...]:
    from advisor.predict.predictor import MIN_PROBES

    listed = workflows_measure.runs(store, deleted=True)
    listed = listed[listed["sweep_id"].str.startswith(calibrating.PREFIX)]
    own = own_latencies(store)
    own = own[own["run_id"].isin(set(listed["run_id"]))]
    setups = dict(zip(own["run_id"], own["setup"], strict=True))
    named = dict(zip(own["run_id"], own["device"], strict=True))
    fingerprints = {
        run_id: calibrating.fingerprint(setup.device_id, named[run_id], setup.software, _json(detail["environment"]))
        for run_id, detail in _details(store, setups).items()
        for setup in [setups[run_id]]
    }
    made = [calibrating.calibration(runs, setups, fingerprints, least=MIN_PROBES)
            for _, runs in listed.groupby("sweep_id")]  # fmt: skip
    newest = sorted((one for one in made if one is not None), key=lambda one: one.run_ids[0], reverse=True)
    return tuple(newest)


def own_latencies(store: Store) -> pd.DataFrame:
    """The query `own_latencies` with the setup of each, what its device is called, and `stretch` as a `Stretch`."""
    found = store.frame("own_latencies")
    devices = store.frame("devices").set_index("device_id")
    kinds, names = devices["kind"].to_dict(), devices["name"].to_dict()
    parts = found[list(_SETUP)].fillna({"threads": "", "unit": "", "software": "", "layout": ""})
    setups = [Setup(kinds[values[0]], *cast(Any, values)) for values in parts.itertuples(index=False, name=None)]
    columns = (found[name] for name in ("latency_ms", "stretch", "series", "pulses_ms"))
    stretches = [stored_stretch(*told) for told in zip(*columns, strict=True)]
    return found.assign(
        setup=pd.Series(setups, index=found.index, dtype=object), device=found["device_id"].map(names),
        stretch=pd.Series(stretches, index=found.index, dtype=object),
    )  # fmt: skip


def _details(store: Store, run_ids: Iterable[str]) -> dict[str, dict[Any, Any]]:
    """By run, the row of the query `run_details`."""
    found = store.query("run_details", run_ids=sorted(run_ids))
    return {str(row["run_id"]): row for row in found.to_dict("records")}


def _json(text: str | None) -> dict[str, Any]:
    return (json.loads(text) if isinstance(text, str) else None) or {}


def _now(target: str) -> dict[str, str]:
    """The fingerprint of this machine with what is installed now; of a target that is not here it says so."""
    try:
        here = machine.machine(target)
    except BadQuestion:
        return {"device_id": "", "machine": f"a machine without {target}"}
    library = gpu.nvml() if target.startswith("cuda") else None
    driver = None if library is None else library.ask("nvmlSystemGetDriverVersion")
    environment = {"usable_threads": machine.usable_threads(), "gpu": {"driver": driver}}
    installed = {"versions": machine.versions()}
    software = ", ".join(dict.fromkeys(rows.software(runtime, installed) for runtime in RUNTIMES))
    return calibrating.fingerprint(here.device_id, here.name, software, environment)


def least_pulses_ms(store: Store, target: str) -> list[float]:
    """The fastest pulse of every own run on a target of this machine, newest first."""
    own = own_latencies(store)
    here = own["device_id"] == machine.machine(target).device_id
    return least_ms(own.loc[here, "stretch"].tolist())


# -- what is known -------------------------------------------------------------------------------------


def known(
    store: Store, target: str = "cpu", *, runtime: str | None = None, precision: str | None = None,
    batch_size: int | None = 1, before: str | None = None,
) -> list[Known]:  # fmt: skip
    """What is known of every setup of a target that has a calibration that holds, in order of setup.

    All own runs with the software that is installed now are probes, whoever asked for them, and all setups of the
    device are learned together, so that what is asked for changes no prediction.

    Args:
        precision: Asked for or really used.
        batch_size: None takes all.
        before: A run's id: only runs before it count, as when that one was about to be made. None takes all.

    Raises:
        BadQuestion: The target is not here.
    """
    machine.machine(target)
    found = _known(store, store.version(), target, _state(target), (), before)
    return _only(found, runtime, precision, batch_size)


def _only(
    found: Sequence[Known], runtime: str | None, precision: str | None, batch_size: int | None
) -> list[Known]:  # fmt: skip
    return [
        one for one in found
        if runtime in (None, one.setup.runtime) and batch_size in (None, one.setup.batch_size)
        and precision in (None, one.setup.precision, one.asked.precision)
    ]  # fmt: skip


def _state(target: str) -> tuple[tuple[str, str], ...]:
    return tuple(_now(target).items())


@functools.lru_cache(maxsize=4)
def _known(
    store: Store, version: str, target: str, state: tuple[tuple[str, str], ...], also: tuple[tuple[str, int], ...],
    before: str | None = None,
) -> tuple[Known, ...]:  # fmt: skip
    from advisor.predict.deviations import key_of  # loads scipy, which no other command needs
    from advisor.predict.predictor import MIN_PROBES, Predictor

    made: dict[Setup, list[Calibration]] = {}
    for one in _calibrations(store, version):
        if one.asked.target == target and not calibrating.staleness(one.fingerprint, dict(state)):
            made.setdefault(one.setup, []).append(one)
    if not made:
        return ()
    past, prior = workflows_predict.published(store)
    past = _widened(store, past, also) if also else past
    own = own_latencies(store)
    own = own if before is None else own[own["run_id"] < before]
    runs = {setup: own[own["setup"] == setup] for setup in sorted(made)}
    measured = {setup: _measured(here, past.profiles) for setup, here in runs.items()}
    measured = {setup: found for setup, found in measured.items() if _n_networks(found, past.profiles) >= MIN_PROBES}
    if not measured:
        return ()
    powers = powers_of(pd.concat([runs[setup] for setup in measured]), past.profiles)
    counted = {setup: _once(runs[setup], past.profiles, powers[setup].usual) for setup in measured}
    probes = {setup: tuple(probes_of(store, found, powers).values()) for setup, found in counted.items()}
    predictor = Predictor(past, prior).fit(probes)
    slowness = of_last(own.loc[own["setup"].isin(probes), "stretch"], predictor.full_ms_)
    return tuple(
        Known(
            setup=setup, asked=best.asked, calibration=best, stale=(), n_probes=len(found),
            posterior=predictor.posterior(setup), profiles=past.profiles, measured=found, probes=probes[setup],
            full_ms=predictor.full_ms_, slowness=slowness,
            powers=predictor.suffers(setup),
            elsewhere=tuple(past.deviations.get(key_of(setup), ())),
        )
        for setup, found in measured.items()
        for best in [min(made[setup], key=lambda one: one.status != "complete")]  # newest first among equals
    )  # fmt: skip


def _measured(own: pd.DataFrame, profiles: Profiles) -> dict[int, MeasuredHere]:
    """By row of the profiles, ascending: the newest steady run of each network, else its newest noisy one.

    Args:
        own: Rows of one setup of the query `own_latencies`, newest first.
    """
    found: dict[int, MeasuredHere] = {}
    for one in own.to_dict("records"):
        row = profiles.positions.get((one["architecture"], one["img_size"]))
        better = row not in found or (found[row].verdict == "noisy" and one["verdict"] == "steady")
        if row is None or not better:
            continue
        ci95 = (float(one["ci95_low_ms"]), float(one["ci95_high_ms"]))
        found[row] = MeasuredHere(
            str(one["run_id"]), float(one["latency_ms"]), ci95, str(one["verdict"]), one["stretch"]
        )
    return dict(sorted(found.items()))


def _n_networks(found: Iterable[int], profiles: Profiles) -> int:
    """How many were measured beside the sentinel, which is measured whether a probe works or not."""
    names = profiles.models["architecture"].to_numpy()
    return sum(names[row] != SENTINEL for row in found)


def _once(own: pd.DataFrame, profiles: Profiles, suffers: float) -> pd.DataFrame:
    """Of every network with a profile one run, with what all say: see `pace.together`; `own` is as of `_measured`."""
    networks = list(zip(own["architecture"], own["img_size"], strict=True))
    own = own[[network in profiles.positions for network in networks]]
    noisy = own["verdict"] == "noisy"
    kept = [network for network in networks if network in profiles.positions]
    told = together(kept, own["latency_ms"].tolist(), own["stretch"].tolist(), noisy.tolist(), suffers=suffers)
    stretches = pd.Series([one for _, one in told], dtype=object)
    chosen = own.iloc[[row for row, _ in told]]
    return chosen.assign(stretch=stretches.set_axis(chosen.index))


def probes_of(
    store: Store, own: pd.DataFrame, powers: Mapping[Setup, suffering.Suffering] | None = None
) -> dict[str, Probe]:  # fmt: skip
    """By run, those rows of `own_latencies` as probes, in their order.

    Args:
        powers: What networks of each setup suffer of a slow machine; None learns it from these runs.
    """
    details = _details(store, own["run_id"])
    if powers is None:
        powers = powers_of(own, workflows_predict.profiles())
    return {
        one["run_id"]: _probe(one, details[one["run_id"]], powers[one["setup"]]) for one in own.to_dict("records")
    }  # fmt: skip


def powers_of(own: pd.DataFrame, profiles: Profiles) -> dict[Setup, suffering.Suffering]:
    """By setup, what its networks suffer of a slow machine, as those runs tell."""
    return {
        cast(Setup, setup): suffering.learned(*told_of(runs, profiles))
        for setup, runs in own.groupby("setup", sort=False)
    }


def told_of(
    runs: pd.DataFrame, profiles: Profiles
) -> tuple[list[tuple[str, int]], list[Stretch | None], list[float]]:  # fmt: skip
    """What `suffering.learned` learns from: of each of those rows of `own_latencies` network, stretch, operators."""
    networks = list(zip(runs["architecture"], runs["img_size"], strict=True))
    rows = [profiles.positions.get(network) for network in networks]
    counts = [np.nan if row is None else float(profiles.n_operators[row]) for row in rows]
    return networks, runs["stretch"].tolist(), counts


def _probe(one: Mapping[Any, Any], detail: Mapping[Any, Any], powers: suffering.Suffering) -> Probe:
    operators = calibrating.operators_of(detail["operators"])
    on_tiles = one["setup"].precision != "fp32" and has_matrix_units(_json(detail["environment"]).get("isa") or ())
    return Probe(
        one["architecture"], int(one["img_size"]), float(one["latency_ms"]), operators, one["stretch"],
        one["verdict"] == "noisy", suffering.by_operators(operators) if on_tiles else None,
        suffering.UNKNOWN if on_tiles else powers, on_tiles,
    )  # fmt: skip


@functools.lru_cache(maxsize=4)
def _widened(store: Store, past: History, also: tuple[tuple[str, int], ...]) -> History:
    """The same over more profiles: those of other sizes, counted now, seconds each."""
    from advisor.predict.history import history

    counted = workflows_predict.profiles(*also)
    profiles = joined(past.profiles, counted.only(counted.rows(also)))
    return workflows_predict.with_deviations(store, history(profiles, [pattern.column for pattern in past.patterns]))


def predict(
    store: Store, names: Sequence[str], *, img_size: int | None = None, target: str = "cpu",
    runtime: str | None = None, precision: str | None = None, batch_size: int | None = 1,
) -> list[Prediction]:  # fmt: skip
    """What networks take in every calibrated setup, by name in the order given, then by setup.

    Args:
        names: Architectures or weights of timm.
        img_size: Side in px; each network's native size if None. Another one than those shipped is counted first.

    Raises:
        UnknownName: A name that timm does not list.
        BadQuestion: Nothing is calibrated, or a network does not take that size.
    """
    _check_size(img_size)
    listed = models.load()
    architectures = dict.fromkeys(models.known(name) for name in names)
    wanted = [(name, listed[name].img_size if img_size is None else img_size) for name in architectures]
    found = known(store, target, runtime=runtime, precision=precision, batch_size=batch_size)
    if not found:
        raise BadQuestion(nothing_known(store, target, runtime=runtime, precision=precision, batch_size=batch_size))
    if also := tuple(key for key in wanted if key not in found[0].profiles.positions):
        found = _only(
            _known(store, store.version(), target, _state(target), also), runtime, precision, batch_size
        )  # fmt: skip
    told = [one.frame() for one in found]
    return [_prediction(one, frame, key) for key in wanted for one, frame in zip(found, told, strict=True)]


def _prediction(one: Known, frame: pd.DataFrame, key: tuple[str, int]) -> Prediction:
    row = one.profiles.positions[key]
    values, here = frame.iloc[row], one.measured.get(row)
    return Prediction(
        *key, float(values["p50_ms"]), float(values["lo90_ms"]), float(values["hi90_ms"]), values["evidence"],
        one.setup, one.calibration.calibration_id, None if here is None else here.run_id,
        None if here is None else here.verdict, one.slower if here is None else FULL_PACE,
    )  # fmt: skip


def nothing_known(
    store: Store, target: str, *, runtime: str | None = None, precision: str | None = None,
    layout: str | None = None, batch_size: int | None = 1,
) -> str:  # fmt: skip
    """One sentence for where nothing is known of a setup: why, and the command that mends it.

    Raises:
        BadQuestion: No runtime offers such a setup.
    """
    among = (runtime,) if runtime else dict.fromkeys((*(name for name, _ in machine.offers(target)), *RUNTIMES))
    asked = calibrating.offered(tuple(among), target, precision, layout, batch_size)
    options = {
        "--device": target, "--runtime": runtime or asked.runtime, "--precision": precision, "--layout": layout,
        "--batch-size": batch_size,
    }  # fmt: skip
    usual = {"--device": "cpu", "--batch-size": 1, "--runtime": None if runtime else "pytorch-eager"}
    command = " ".join(
        ["python -m advisor calibrate"]
        + [f"{name} {value}" for name, value in options.items() if value not in (None, usual.get(name))]
    )
    wanted = {"runtime": runtime, "precision": precision, "layout": layout, "batch_size": batch_size, "target": target}
    for one, reasons in stale_calibrations(store):
        if all(value in (None, getattr(one.asked, name)) for name, value in wanted.items()):
            return f"The calibration of {one.asked.label} does not hold: {in_a_sentence(reasons)} with '{command}'."
    narrowed = [runtime, precision, layout, None if batch_size in (None, 1) else f"batch {batch_size}"]
    setup = " ".join(str(part) for part in narrowed if part) or "any setup"
    there = ", ".join(one.asked.label for one in known(store, target, batch_size=None))
    beside = f" (only for {there})" if there else ""
    return f"This machine is not calibrated for {setup} yet{beside}: run '{command}' first, which takes about a minute."


def _check_size(img_size: int | None) -> None:
    least, most = IMG_SIZES
    if img_size is not None and not least <= img_size <= most:
        raise BadQuestion(f"--img-size must be {least} to {most} px, not {img_size}.")
