"""The verbs of measuring that pages and command line share: submit, watch, read, compare, delete."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from advisor import workflows
from advisor.advice.worth_measuring import worth_measuring
from advisor.errors import BadQuestion, UnknownName
from advisor.evidence.store import Store
from advisor.measure import comparison, lines, machine, models, nearest, rows, sweep
from advisor.measure.comparison import Comparison
from advisor.measure.job_problem import problem
from advisor.measure.job_state import JobState
from advisor.measure.jobs import Follow, Jobs
from advisor.measure.machine import Machine
from advisor.measure.nearest import Nearest
from advisor.measure.request import Request, default_time_limit_s, precisions_of, runtimes_on
from advisor.measure.run import Roof, Run
from advisor.measure.sweep import Drift, Plan
from advisor.records import Question

EVERY_RUNTIME = "all"
# above this many MACs one pass takes about a second on two cores, and one result half a minute
SWEEP_MAX_GMACS = 20.0
_RUNS_FOR_ESTIMATE = 2000
_ROOFS_KEPT = 3  # times that a roof is measured before the best of them is taken as it is
_PYTORCH_ONLY = ("train", "max-batch", "features", "operators")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The setup that a user asks for, before it is spread over networks and runtimes.

    Attributes:
        runtime: One of `request.RUNTIMES`, or "all" for every installed one.
        precision: None takes what each runtime is usually run at.
        time_limit_s: None takes `request.default_time_limit_s`.
    """

    target: str = "cpu"
    runtime: str = EVERY_RUNTIME
    precision: str | None = None
    layout: str = "nchw"
    batch_size: int = 1
    img_size: int | None = None
    threads: int | None = None
    extras: tuple[str, ...] = ()
    features_hw: tuple[int, int] | None = None
    time_limit_s: float | None = None


def requests(names: Sequence[str | tuple[str, int]], wanted: Wanted) -> list[Request]:
    """One request for each network and runtime, networks in the order given.

    Args:
        names: Architectures or weights of timm; with a size in px where it differs from `wanted.img_size`.

    Raises:
        UnknownName: A name that timm does not list.
        BadQuestion: A setup that no runtime offers, or a target that is not here.
    """
    machine.machine(wanted.target)  # refuses a target that is not here
    # what is wrong whatever the runtime is refused before it is left out where it does not apply
    Request(architecture="any", target=wanted.target, layout=wanted.layout, extras=wanted.extras)
    found: dict[str, Request] = {}
    for name in names:
        asked, size = (name, wanted.img_size) if isinstance(name, str) else name
        architecture = models.known(asked)
        extras = wanted.extras
        for runtime, precision in _runtimes(wanted):
            one = _request(architecture, size, runtime, precision, wanted, extras)
            found.setdefault(one.key, one)
            # with every runtime, what only PyTorch can do is measured once
            if wanted.runtime == EVERY_RUNTIME:
                extras = tuple(e for e in extras if e not in _PYTORCH_ONLY or e not in one.extras)
    missed = [e for e in wanted.extras if not any(e in one.extras for one in found.values())]
    if missed:
        raise BadQuestion(
            f"'{missed[0]}' is measured with PyTorch only, and none of its setups is asked for: add --runtime "
            "pytorch-eager, or leave it out."
        )
    return list(found.values())


def _runtimes(wanted: Wanted) -> list[tuple[str, str]]:
    if wanted.runtime != EVERY_RUNTIME:
        return [(wanted.runtime, wanted.precision or "fp32")]
    offered = machine.offers(wanted.target)
    if wanted.precision is None:
        return offered
    able = [r for r in dict.fromkeys(r for r, _ in offered) if wanted.precision in precisions_of(r)]
    if not able:
        raise BadQuestion(
            f"No installed runtime takes --precision {wanted.precision} on {wanted.target}; it has "
            f"{', '.join(dict.fromkeys(r for r, _ in offered))}."
        )
    return [(runtime, wanted.precision) for runtime in able]


def _request(
    architecture: str, size: int | None, runtime: str, precision: str, wanted: Wanted, extras: tuple[str, ...]
) -> Request:  # fmt: skip
    everywhere = wanted.runtime == EVERY_RUNTIME
    if everywhere and runtime != "pytorch-eager":
        extras = tuple(extra for extra in extras if extra not in _PYTORCH_ONLY)
    return Request(
        architecture=architecture, target=wanted.target, runtime=runtime, precision=precision,
        layout=wanted.layout if runtime.startswith("pytorch") or not everywhere else "nchw",
        batch_size=wanted.batch_size, img_size=size, threads=wanted.threads,
        extras=extras, features_hw=wanted.features_hw if "features" in extras else None,
        time_limit_s=default_time_limit_s(runtime, extras) if wanted.time_limit_s is None else wanted.time_limit_s,
    )  # fmt: skip


def sweep_networks(
    store: Store, top: int, *, families: Sequence[str], target: str = "cpu"
) -> list[str | tuple[str, int]]:
    """The networks that a sweep of `top` measures, with their image sizes.

    Raises:
        UnknownName: A family that is not known.
    """
    known = {f.lower(): f for f in workflows.families(store)}
    for name in families:
        if name.lower() not in known and name != "all":
            raise UnknownName("family", name, known.values(), hint="'all' takes every family.")
    chosen = None if "all" in families else [known[name.lower()] for name in families]
    most = SWEEP_MAX_GMACS if target == "cpu" else float("inf")
    return list(worth_measuring(store.frame("scored"), top, families=chosen, max_gmacs=most))


def shortlist(store: Store, question: Question) -> list[tuple[str, int]]:
    """The networks that an answer of Recommend names: the pick, the best of each family, the ties, the front."""
    answer = workflows.recommend(store, question)
    named = [answer.pick, *answer.by_family.values(), *answer.ties[:4], *answer.front]
    return list(dict.fromkeys((one.architecture, one.img_size) for one in named if one is not None))


# -- jobs --------------------------------------------------------------------------------------------


def jobs(store: Store) -> Jobs:
    """The queue of this process for that store; its results are saved there."""
    return _jobs(store.home, store.data)


@lru_cache(maxsize=8)
def _jobs(home: Path, data: Path) -> Jobs:
    store = Store(home, data)  # one of its own: jobs run in threads that outlive any page

    def save(run: Run) -> None:
        times = run.measured.latency.times_ms if run.measured else ()
        # a run that failed because its target is not here has no machine
        described = lines.plain(_described(run.request.target)) if run.device_id else None
        store.save_run(lines.plain(run), times, rows.speed_rows(run), described)

    def save_sweep(drift: Drift) -> None:
        store.save_sweep(lines.plain(drift))

    def roof_of(request: Request) -> Roof | None:
        known = _roofs(store, request.target, request.precision, request.threads or machine.usable_threads())
        # a busy moment gives a low roof, so the first processes that ask measure it again and the best counts
        return None if known.empty or int(known["n"].iloc[0]) < _ROOFS_KEPT else _roof(known)

    def save_roof(request: Request, found: Roof) -> None:
        store.save_roofs(machine.machine(request.target).device_id, [lines.plain(found)])

    return Jobs(home, save=save, save_sweep=save_sweep, roof_of=roof_of, save_roof=save_roof)


@lru_cache(maxsize=16)
def _described(target: str) -> Machine:
    """The machine as the store keeps it; its hardware does not change while the process lives."""
    return machine.machine(target)


def submit(
    store: Store, wanted: Sequence[Request], *, title: str, sweep_id: str = "", sentinel: Request | None = None,
    follow: Follow | None = None, n_expected: int = 0, budget_s: float | None = None,
    expected_s: float | None = None,
) -> str:  # fmt: skip
    """Queue requests in their order, and those that `follow` chooses from what was measured; the id of the job.

    The options are those of `Jobs.submit`.

    Raises:
        BadQuestion: There is nothing to measure, or no time for it.
    """
    return jobs(store).submit(
        wanted, title=title, sweep_id=sweep_id, sentinel=sentinel, follow=follow, n_expected=n_expected,
        budget_s=budget_s, expected_s=expected_s,
    )  # fmt: skip


def submit_once(store: Store, wanted: Sequence[Request], *, title: str) -> str:
    """As `submit`, but where a job of whatever process is to measure just these requests already, that one's id.

    Raises:
        BadQuestion: There is nothing to measure.
    """
    return jobs(store).submit_once(wanted, title=title)


def measure(store: Store, wanted: Sequence[Request], *, title: str, on_change: Callable[[JobState], None]) -> Finished:
    """Queue requests and wait for them; their runs in the order of the requests. An interrupt cancels the job."""
    return finished(store, submit(store, wanted, title=title), on_change)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a job came to.

    Attributes:
        runs: In the order of the requests, failed ones and those that the store could not take too.
        problem: What went wrong beside single runs, in one sentence, or empty.
    """

    runs: tuple[Run, ...]
    problem: str


def finished(store: Store, job_id: str, on_change: Callable[[JobState], None]) -> Finished:
    """Wait for a job; its runs. An interrupt cancels it and waits until it has ended."""
    queue = jobs(store)
    try:
        state = queue.wait(job_id, on_change)
    except BaseException:  # Ctrl-C above all: nothing may be left running
        queue.cancel(job_id)
        queue.wait(job_id)
        raise
    kept = {one.run_id: one for one in queue.unsaved_runs(job_id)}
    found = tuple(kept.get(run_id) or run(store, run_id) for run_id in state.run_ids)
    return Finished(found, problem(state, n_kept=len(kept)))


def estimate_s(store: Store, wanted: Sequence[Request]) -> float:
    """How long requests will take in seconds, from earlier runs here where there are some."""
    known = runs(store)
    known = known[known["status"] == "ok"].head(_RUNS_FOR_ESTIMATE)
    earlier = [
        (lines.request_of(json.loads(text)), float(seconds))
        for text, seconds in zip(known["request"], known["seconds"], strict=True)
    ]
    return sweep.estimate(wanted, earlier[::-1]).seconds


# -- sweeps --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep with what is left of it.

    Attributes:
        left: Requests without a good result under this sweep's id, in random order.
        done: Ids of the runs that are there already.
    """

    sweep_id: str
    plan: Plan
    left: tuple[Request, ...]
    done: tuple[str, ...]


def sweep_of(store: Store, plan: Plan) -> Sweep:
    """What is left of a plan on this machine with the installed packages; an interrupted one goes on."""
    targets = sorted({request.target for request in plan.requests})
    ids = [machine.machine(target).device_id for target in targets]
    sweep_id = sweep.sweep_id(plan, device_ids=ids, versions=machine.versions())
    known = runs(store)
    mine = known[(known["sweep_id"] == sweep_id) & (known["status"] == "ok")]
    asked = {request.key for request in plan.requests}
    done = mine[mine["request_key"].isin(asked)]["run_id"]
    return Sweep(sweep_id, plan, sweep.left(plan, set(mine["request_key"])), tuple(done))


def run_sweep(store: Store, what: Sweep, *, on_change: Callable[[JobState], None]) -> Finished:
    """Measure what is left of a sweep, its sentinel before and after, and wait; the new runs but the sentinel's."""
    title = f"Sweep of {len(what.plan.requests)}"
    job_id = submit(store, what.left, title=title, sweep_id=what.sweep_id, sentinel=what.plan.sentinel)
    asked = {request.key for request in what.left}
    found = finished(store, job_id, on_change)
    return replace(found, runs=tuple(one for one in found.runs if one.request.key in asked))


def drift(store: Store, sweep_id: str) -> str:
    """How far the sentinel of a sweep moved, in one sentence; empty where that is not known."""
    known = runs(store)
    moved = known[(known["sweep_id"] == sweep_id) & known["drift"].notna()]["drift"]
    if moved.empty:
        return ""
    word = "so its results are marked as noisy" if moved.max() > sweep.MAX_DRIFT else "so the machine was steady"
    return f"The sentinel drifted by {moved.max():.1%}, {word}."


def recover(store: Store) -> None:
    """Save what an earlier program could not, and record what it left behind when it was killed."""
    jobs(store).recover()


# -- what was measured ---------------------------------------------------------------------------------


def runs(store: Store, *, deleted: bool = False) -> pd.DataFrame:
    """The history of measurements, newest first."""
    return store.runs(with_deleted=deleted)


def run(store: Store, run_id: str) -> Run:
    """A stored measurement with every raw time; noisy also where only later runs have shown that it is.

    Raises:
        UnknownName: There is none of that id.
    """
    found = lines.run_of(store.run_content(run_id))
    listed = runs(store, deleted=True)
    told = listed.loc[listed["run_id"] == run_id, "later"]
    if found.measured is None or told.empty or not told.iloc[0]:
        return found
    earlier = found.verdict_reasons if found.verdict == "noisy" else ()
    return replace(found, verdict="noisy", verdict_reasons=(*earlier, str(told.iloc[0])))


def delete_runs(store: Store, run_ids: Sequence[str]) -> None:
    """Take runs out of history and advice; `restore_runs` brings them back."""
    store.delete_runs(list(run_ids))


def restore_runs(store: Store, run_ids: Sequence[str]) -> None:
    """Bring deleted runs back."""
    store.restore_runs(list(run_ids))


def compare_runs(store: Store, first: str, second: str) -> Comparison:
    """Two runs: whether one is faster, by how much, and what differs between them."""
    return comparison.compare(run(store, first), run(store, second))


def nearest_published(store: Store, one: Run) -> Nearest | None:
    """The published result that is nearest to a run, and what differs."""
    published = store.frame("speed_rows", device_ids=())
    same = published[(published["architecture"] == one.request.architecture) & (published["evidence"] == "published")]
    return nearest.nearest(one, same, store.frame("devices"))


# -- this machine --------------------------------------------------------------------------------------


def this_machine(target: str = "cpu") -> Machine:
    """This machine's CPU or GPU as a device of the store."""
    return machine.machine(target)


def _roofs(store: Store, target: str, precision: str, threads: int) -> pd.DataFrame:
    known = store.roofs(machine.machine(target).device_id)
    return known[(known["precision"] == precision) & (known["threads"] == threads)]


def _roof(known: pd.DataFrame) -> Roof:
    """The roof of a row of the query `roofs`."""
    row = known.iloc[0]
    return Roof(str(row["precision"]), int(row["threads"]), float(row["macs_per_s"]), float(row["bytes_per_s"]))


def machine_report(store: Store, target: str = "cpu") -> dict[str, Any]:
    """Everything known of this machine: hardware, state, what can be measured with, roofs, number of results."""
    here = machine.machine(target)
    found = runs(store)
    return {
        "device_id": here.device_id, "name": here.name, "kind": here.kind, "vendor": here.vendor,
        "memory_gb": here.memory_gb, "targets": list(machine.targets()),
        "usable_threads": machine.usable_threads(),
        "offers": [{"runtime": r, "precision": p} for r, p in machine.offers(target)],
        "runtimes": list(runtimes_on(target)),
        "n_runs": int((found["device_id"] == here.device_id).sum()),
        "roofs": store.roofs(here.device_id).to_dict("records"),
        "details": here.details, "environment": machine.environment(target),
    }  # fmt: skip
