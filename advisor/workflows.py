"""The verbs that pages and command line share. Each opens the store, decides with pure code, and returns values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from advisor.advice import claims, rules
from advisor.advice.explain import Explanation, explain_beside
from advisor.advice.explain import explain as explained
from advisor.advice.predicted import Guesses
from advisor.advice.quantised import published_effect
from advisor.advice.recommend import beside_answer, candidates
from advisor.advice.recommend import recommend as answer
from advisor.advice.setups import choose_runs
from advisor.errors import BadQuestion, StoreUnusable, UnknownName
from advisor.evidence import catalogue, exchange
from advisor.evidence import refresh as refreshing
from advisor.evidence.published import Progress
from advisor.evidence.refresh import RefreshReport
from advisor.evidence.store import Store
from advisor.records import Candidate, ClaimResult, Device, Question, Reason, Recommendation

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data"


def home() -> Path:
    """The folder of the user's own store: ADVISOR_HOME, or data/local in the checkout."""
    asked = os.environ.get("ADVISOR_HOME") or str(DATA / "local")
    try:
        return Path(os.fsencode(asked).decode("utf-8")).expanduser()
    except (RuntimeError, ValueError) as exc:
        raise StoreUnusable(
            f"ADVISOR_HOME {asked!r} is no folder's path ({exc}): set it to one you can write."
        ) from exc


def open_store() -> Store:
    """The user's store; nothing is opened until something is asked of it."""
    return Store(home(), DATA)


def devices(store: Store) -> list[Device]:
    """Every device, most models first."""
    return list(_devices(store, store.version()))


@lru_cache(maxsize=4)
def _devices(store: Store, version: str) -> tuple[Device, ...]:
    return tuple(
        Device(
            device_id=str(row["device_id"]), name=str(row["name"]), kind=str(row["kind"]),
            vendor=str(row["vendor"] or ""), n_models=int(row["n_models"]), n_decidable=int(row["n_decidable"]),
            n_rows=int(row["n_rows"]), accelerators=int(row["accelerators"]), notes=str(row["notes"] or ""),
            measured_here=bool(row["measured_here"]),
            memory_gb=None if pd.isna(row["memory_gb"]) else float(row["memory_gb"]),
        )
        for row in store.frame("devices").to_dict("records")
    )  # fmt: skip


def advisable(store: Store) -> list[Device]:
    """Devices to choose from: one accelerator and a timm architecture; `n_decidable` says how much can decide."""
    return [d for d in devices(store) if d.accelerators == 1 and d.n_models > 0]


def device(store: Store, name: str) -> Device:
    """The device of that id; an unambiguous ending of an id ('galaxy-s24') will do.

    'this-machine' (or 'this machine') is the CPU of this machine, 'this-machine:cuda:0' its first GPU.

    Raises:
        UnknownName: No such device, with close names.
        BadQuestion: A multi-accelerator entry, which is for training cost only; or this machine, of which nothing
            was measured yet.
    """
    known = devices(store)
    wanted = name.strip().lower()
    if (target := _target_here(wanted)) is not None:
        return _this_machine(known, target)
    found = [d for d in known if d.device_id == wanted] or [
        d for d in known if d.device_id.endswith(f"-{wanted}") or d.name.lower() == wanted
    ]
    if len(found) != 1:
        hint = "List them with 'python -m advisor devices'."
        raise UnknownName("device", name, (d.device_id for d in known), hint=hint)
    if found[0].accelerators > 1:
        single = found[0].device_id.partition("x-")[2]
        raise BadQuestion(
            f"'{found[0].device_id}' sums over {found[0].accelerators} accelerators and is for training cost only; "
            f"ask for a single device such as '{single}'."
        )
    return found[0]


def _target_here(name: str) -> str | None:
    """The target of 'this-machine' or 'this-machine:TARGET'; None where another device is meant."""
    here, _, target = name.replace(" ", "-").partition(":")
    return (target or "cpu") if here == "this-machine" else None


def _this_machine(known: Sequence[Device], target: str) -> Device:
    from advisor.measure.machine import machine  # reads the hardware, which other questions need not wait for

    here = machine(target)
    for one in known:
        if one.device_id == here.device_id and one.n_models:
            return one
    raise BadQuestion(
        f"Nothing was measured on this machine ({here.name}) yet, so there is nothing to answer from: run 'python -m "
        "advisor calibrate', which takes a minute and predicts every model, or 'python -m advisor measure MODEL', or "
        "open This machine or Measure in the app."
    )


def setups(store: Store, device_id: str | None = None) -> pd.DataFrame:
    """Setups of one device or of all, most models first, with how many models each has."""
    frame = store.frame("setups")
    return frame if device_id is None else frame[frame["device_id"] == device_id]


def resolve(store: Store, question: Question) -> Question:
    """The question with its device and families in the store's own spelling.

    Raises:
        UnknownName: A device or family that is not known.
    """
    known = device(store, question.device_id)
    return replace(question, device_id=known.device_id, families=_families(store, question.families))


def recommend(store: Store, question: Question) -> Recommendation:
    """Answer a question; `question.device_id` may be any name that `device` understands.

    Raises:
        UnknownName: Device or family that is not known.
        BadQuestion: A setup that the device has no results for.
    """
    asked = resolve(store, question)
    known = device(store, asked.device_id)

    def speak(pick: Candidate | None) -> tuple[Reason, ...]:
        spoken = rules.speak(asked, known.kind, claims_on(store, known.device_id), pick)
        return (*published_effect(pick, store.frame("accuracy_rows")), *spoken)

    runs = store.frame("runs", device_id=known.device_id, task=asked.task)
    predicted = guesses(store, known, asked)
    found = answer(store.frame("scored"), runs, asked, known.name, guesses=predicted, speak=speak)
    return replace(found, confirm=confirm_command(store, known, found.pick))


def guesses(store: Store, known: Device, question: Question) -> Guesses | None:
    """What is predicted for a device, and whether it may win; None where nothing is, or nothing shall be."""
    from advisor import workflows_guesses  # builds on this module

    return workflows_guesses.guesses(store, known, question)


def confirm_command(store: Store, known: Device, one: Candidate | None) -> str:
    """The command that measures a candidate that is only predicted; empty where there is none."""
    if one is None or one.evidence != "predicted":
        return ""
    from advisor import workflows_guesses

    asked = workflows_guesses.confirming(store, known, one)
    return "" if asked is None else workflows_guesses.command(asked, one)


def families(store: Store) -> list[str]:
    """All families of candidates, by name."""
    return sorted(store.frame("scored")["family"].unique())


def _families(store: Store, names: Sequence[str]) -> tuple[str, ...]:
    if "all" in names:
        return ("all",)
    known = {f.lower(): f for f in families(store)}
    for name in names:
        if name.strip().lower() not in known:
            raise UnknownName("family", name, known.values(), hint="'all' takes every family.")
    return tuple(dict.fromkeys(known[name.strip().lower()] for name in names))


def claims_on(store: Store, device_id: str) -> tuple[ClaimResult, ...]:
    """Every claim checked on one device, in the order of the registry."""
    return _claims_on(store, store.version(), device_id)


@lru_cache(maxsize=512)
def _claims_on(store: Store, version: str, device_id: str) -> tuple[ClaimResult, ...]:
    shared = _background(store, version)
    infer, train = (store.frame("runs", device_id=device_id, task=task) for task in ("infer", "train"))
    prepared = claims.prepare(shared.networks, infer, train)
    return tuple(claims.check_prepared("all", device(store, device_id), prepared, shared))


@lru_cache(maxsize=2)
def _background(store: Store, version: str) -> claims.Background:
    extra = claims.Extra(
        accuracy=store.frame("accuracy_rows"),
        training_cost=store.query("training_cost"),
        complexity=store.query("complexity"),
    )
    return claims.background(store.frame("scored"), extra)


def all_claims(store: Store) -> list[ClaimResult]:
    """Every claim on every device to choose from, and once each those that no device decides."""
    return list(_all_claims(store, store.version()))


@lru_cache(maxsize=2)
def _all_claims(store: Store, version: str) -> tuple[ClaimResult, ...]:
    shared = _background(store, version)
    infer, train = (store.frame("runs", device_id=None, task=task) for task in ("infer", "train"))
    prepared = claims.prepare_each(shared.networks, infer, train)
    without_runs = claims.prepare(shared.networks, infer[:0], train[:0])
    found: list[ClaimResult] = []
    for known in advisable(store):
        checked = claims.check_prepared("all", known, prepared.get(known.device_id, without_runs), shared)
        found += [result for result in checked if result.device_id != claims.ANY_DEVICE]
    return (*found, *shared.anywhere.values())


def explain(store: Store, question: Question, name: str) -> tuple[Explanation, ...]:
    """Why those weights (or every weights of that architecture) are, or are not, the answer.

    Raises:
        UnknownName: Nothing of that name in timm's catalogue.
        BadQuestion: They have no accuracy and speed at one image size on that device.
    """
    resolved = resolve(store, question)
    weights = known_weights(store, name)
    known = device(store, resolved.device_id)
    runs = store.frame("runs", device_id=known.device_id, task=resolved.task)
    predicted = guesses(store, known, resolved)
    chosen = choose_runs(runs, resolved, known.name, predicted.joining if predicted else None)
    if chosen.missing is not None:
        raise BadQuestion(chosen.missing)
    frame = candidates(store.frame("scored"), chosen, resolved)
    found = explained(frame, resolved, recommend(store, resolved), weights)
    beside = beside_answer(store.frame("scored"), frame, resolved, chosen.axis, known.name, predicted)
    if beside is not None:
        found = (*found, *explain_beside(beside, resolved, chosen.axis, weights))
    if not found:
        raise BadQuestion(
            f"{weights} has no accuracy and speed at one image size on {known.name} in the setup asked for; "
            "drop --runtime, --precision, --layout or --batch-size, or ask for another device."
        )
    return found


def known_weights(store: Store, name: str) -> str:
    """A name of timm's catalogue, weights or architecture; only these can be named.

    Raises:
        UnknownName: With the closest names of the catalogue.
    """
    listed = store.frame("catalogue")
    wanted = name.strip()
    names = {*listed["weights"], *listed["architecture"]}
    if wanted not in names:
        raise UnknownName("model", name, names, hint="Search with 'python -m advisor models --search TEXT'.")
    return wanted


def models(
    store: Store,
    *,
    search: str = "",
    family: str | None = None,
    licence: str = "any",
    device_id: str | None = None,
) -> pd.DataFrame:
    """timm's weights with what the catalogue knows, by name; `device_id` keeps those with a speed there."""
    frame = store.frame("catalogue")
    if search:
        frame = frame[frame["weights"].str.contains(search.strip(), case=False, regex=False)]
    if family is not None:
        (wanted,) = _families(store, [family])
        frame = frame[frame["family"] == wanted] if wanted != "all" else frame
    if licence == "commercial":
        frame = frame[frame["commercial"].fillna(False).astype(bool)]
    if device_id is not None:
        rows = store.query("speed_rows", device_ids=[device(store, device_id).device_id])
        frame = frame[frame["architecture"].isin(set(rows["architecture"]))]
    return frame


def import_results(store: Store, path: Path) -> exchange.ImportReport:
    """Add the valid rows of a results file to the user's own store."""
    return exchange.import_results(store, path)


def export_results(
    store: Store, path: Path, *, kind: str = "speed", device_id: str | None = None
) -> exchange.ExportReport:
    """Write results to a Parquet or CSV file, those of one device or all."""
    device_ids = (device(store, device_id).device_id,) if device_id else ()
    return exchange.export_results(store, path, kind=kind, device_ids=device_ids)


def refresh(store: Store, *, url: str | None = None, progress: Progress = lambda _share, _what: None) -> RefreshReport:
    """Fetch newer timm tables, validate them, and put them in place in one step."""
    return refreshing.refresh(store, url=url or refreshing.UPSTREAM, progress=progress)


def build_catalogue(progress: catalogue.BuildProgress) -> catalogue.BuildReport:
    """Build data/catalogue.csv and data/architectures.csv from the installed timm, in a child process."""
    return catalogue.build(DATA / "catalogue.csv", architectures=DATA / "architectures.csv", progress=progress)
