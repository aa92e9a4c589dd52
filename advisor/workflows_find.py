"""The verbs of finding the best network on this machine, that pages and command line share: predict, then confirm."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from advisor import workflows, workflows_find_probing, workflows_known, workflows_measure, workflows_predict
from advisor.advice import limits
from advisor.advice.setups import QUANTISED
from advisor.errors import BadQuestion, UnknownName
from advisor.evidence.store import Store
from advisor.measure import machine
from advisor.measure.job_state import JobState
from advisor.measure.request import RUNTIMES, Request
from advisor.measure.run import Run
from advisor.predict.calibration import Asked
from advisor.predict.known import Known
from advisor.predict.staleness import in_a_sentence
from advisor.records import Question

if TYPE_CHECKING:  # these load scipy, which other commands need not wait for
    from advisor.workflows_find_answer import FindAnswer
    from advisor.workflows_find_play import Believer, Case

BEST = "best"
CONFIRM = 5
MAX_CONFIRM = 100
BUDGET_S = 300.0
PREFIX = "find-"  # how the sweep ids of searches begin, and nothing else's


def find(
    store: Store, question: Question, *, runtime: str = BEST, precision: str | None = None, confirm: int = CONFIRM,
    budget_s: float | None = BUDGET_S, on_change: Callable[[JobState], None] = lambda _state: None,
) -> FindAnswer:  # fmt: skip
    """The most accurate network within a latency budget on this machine: predicted, then measured, then answered.

    An interrupt (Ctrl-C) ends the measuring; what was measured stays, and the answer so far is given.

    Args:
        question: `device_id` is a target (cpu, cuda:N, mps) or any name of this machine; `max_latency_ms` must be set.
        runtime: One of `request.RUNTIMES`, or "best" to choose among all setups that are calibrated and all runtimes
            that are installed: where nothing is known of one, a few networks are measured with it first.
        confirm: Most measurements.
        budget_s: No measurement is begun after so many seconds; None does not limit them.

    Raises:
        BadQuestion: Nothing is calibrated, no latency is asked for, or an option that makes no sense.
        UnknownName: A family or runtime that is not known.
    """
    before = submit_probes(store, question, runtime=runtime, precision=precision)
    job_id = submit_find(
        store, question, runtime=runtime, precision=precision, confirm=confirm, budget_s=budget_s
    )  # fmt: skip
    try:
        for one in (*before, job_id):
            workflows_measure.finished(store, one, on_change)
    except KeyboardInterrupt:  # what was measured is an answer too
        for one in (*before, job_id):
            workflows_measure.jobs(store).cancel(one)
        workflows_measure.jobs(store).wait(job_id)
    return answer_of(store, question, job_id, runtime=runtime, precision=precision)


def submit_probes(
    store: Store, question: Question, *, runtime: str = BEST, precision: str | None = None
) -> list[str]:  # fmt: skip
    """Queue a few probes of each installed runtime of which nothing is known yet, where the runtime is left open.

    A search that is submitted after them takes these runtimes in.

    Returns:
        The ids of the jobs, in order.

    Raises:
        As `find`.
    """
    case_of(store, question, runtime=runtime, precision=precision)  # refuses what cannot be answered
    return workflows_find_probing.submit_probes(store, unprobed(store, question, runtime=runtime, precision=precision))


def unprobed(
    store: Store, question: Question, *, runtime: str = BEST, precision: str | None = None,
    knowns: Sequence[Known] | None = None,
) -> list[Asked]:  # fmt: skip
    """The setups that a search would give a few probes first: of each installed runtime of which nothing is known.

    Args:
        knowns: What is known of the target, in all setups, where that was learned already: it takes a second.

    Raises:
        BadQuestion: The device is not here, or the question is none of a search.
        UnknownName: A runtime that is not known.
    """
    target = target_of(question.device_id)
    runtime, precision = _checked(question, runtime, precision)
    if runtime != BEST or question.layout not in (None, workflows_find_probing.LAYOUT):
        return []
    return workflows_find_probing.unprobed(
        store, target, workflows_known.known(store, target, batch_size=None) if knowns is None else knowns,
        batch_size=question.batch_size or 1, threads=machine.usable_threads(), precision=precision,
    )  # fmt: skip


def submit_find(
    store: Store, question: Question, *, runtime: str = BEST, precision: str | None = None, confirm: int = CONFIRM,
    budget_s: float | None = BUDGET_S,
) -> str:  # fmt: skip
    """Queue the measurements of a search, each chosen from those before; the id of the job. As `find`."""
    from advisor.workflows_find_play import next_request

    if not 0 <= confirm <= MAX_CONFIRM:
        raise BadQuestion(f"--confirm must be 0 to {MAX_CONFIRM}, not {confirm}.")
    case_of(store, question, runtime=runtime, precision=precision)  # refuses what cannot be answered
    case: list[Case] = []

    def follow(runs: tuple[Run, ...]) -> Request | None:
        if not case:  # only now, when what was queued before is there
            case.append(case_of(store, question, runtime=runtime, precision=precision))
        return next_request(case[0], runs, confirm=confirm)

    unique = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    return workflows_measure.submit(
        store, [], title=f"Find the best within {question.max_latency_ms:g} ms",
        sweep_id=f"{PREFIX}{_digits(question, runtime, precision)}-{unique}",
        follow=follow, n_expected=confirm, budget_s=budget_s,
    )  # fmt: skip


def answer_of(
    store: Store, question: Question, job_id: str, *, runtime: str = BEST, precision: str | None = None
) -> FindAnswer:
    """What a search has come to so far, from the runs of its job; the arguments are those that it was asked with.

    Raises:
        UnknownName: There is no such job.
        BadQuestion: The job is no search, or answers another question.
    """
    from advisor.workflows_find_answer import Ending, answer
    from advisor.workflows_find_play import play

    state = workflows_measure.jobs(store).state(job_id)
    if not answers(state, question, runtime=runtime, precision=precision):
        raise BadQuestion(f"Job {job_id} ({state.title}) answers another question: ask this one anew.")
    case = case_of(store, question, runtime=runtime, precision=precision, before=(*state.run_ids, None)[0])
    ending = Ending(
        state.status, state.seconds, job_id, out_of_time=state.out_of_time,
        unfinished=state.status in ("failed", "interrupted") and state.n_left > 0, problem=_problem(state),
    )  # fmt: skip
    return answer(case, play(case, _runs(store, state)), ending, earlier=lambda run_id: _run(store, run_id))


def answers(state: JobState, question: Question, *, runtime: str = BEST, precision: str | None = None) -> bool:
    """Whether a job is a search for the answer to that question, asked in that way."""
    return state.sweep_id.startswith(f"{PREFIX}{_digits(question, runtime, precision)}-")


def budget_ms(question: Question) -> float:
    """The most that one forward pass may take: the stricter of the limits on latency and on throughput."""
    return limits.latency_limit_ms(question)


def _runs(store: Store, state: JobState) -> list[Run]:
    """The runs of a job in order; those that the store did not take too, but not what was deleted."""
    unsaved = {run.run_id: run for run in workflows_measure.jobs(store).unsaved_runs(state.job_id)}
    found = []
    for run_id in state.run_ids:
        with suppress(UnknownName):
            found.append(unsaved.get(run_id) or workflows_measure.run(store, run_id))
    return found


def _run(store: Store, run_id: str) -> Run | None:
    """A stored run; None where it was deleted."""
    with suppress(UnknownName):
        return workflows_measure.run(store, run_id)
    return None


def _problem(state: JobState) -> str:
    if n := len(state.unsaved):
        return f"{n} result{' is' if n == 1 else 's are'} not in the store: {state.unsaved_reason}"
    return state.last_reason if state.status in ("failed", "interrupted") else ""


def _digits(question: Question, runtime: str, precision: str | None) -> str:
    """8 hex digits of everything that is asked."""
    asked: dict[str, Any] = {**asdict(question), "find": [runtime, precision]}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


# -- what is known before the search -------------------------------------------------------------------


def case_of(
    store: Store, question: Question, *, runtime: str = BEST, precision: str | None = None, before: str | None = None
) -> Case:
    """A question with everything that is known of its answer before anything is measured for it.

    Args:
        before: A run's id: only what was measured before it counts. None takes all.

    Raises:
        As `find`.
    """
    return _case(store, store.version(), question, runtime, precision, before)


@lru_cache(maxsize=8)
def _case(
    store: Store, _version: str, question: Question, runtime: str, precision: str | None, before: str | None
) -> Case:
    from advisor.workflows_find_options import known_results, options
    from advisor.workflows_find_play import Case

    target = target_of(question.device_id)
    runtime, precision = _checked(question, runtime, precision)
    here = machine.machine(target)
    everything = workflows_known.known(store, target, batch_size=None, before=before)
    knowns = _considered(everything, question, runtime, precision)
    if not knowns:
        asked = None if runtime == BEST else runtime
        raise BadQuestion(workflows_known.nothing_known(
            store, target, runtime=asked, precision=precision, layout=question.layout,
            batch_size=1 if question.batch_size is None else question.batch_size,
        ))  # fmt: skip
    asked_here = workflows.resolve(store, replace(question, device_id=here.device_id))
    chosen = options(store.frame("scored"), knowns, asked_here)
    runs = store.frame("runs", device_id=here.device_id, task="infer")
    by_row = [known_results(one, runs) for one in knowns]
    places = zip(chosen.known.tolist(), chosen.row.tolist(), strict=True)
    results = {option: by_row[k][row] for option, (k, row) in enumerate(places) if row in by_row[k]}
    return Case(
        question=asked_here, target=target, device_name=here.name, knowns=knowns, options=chosen, results=results,
        believer=_believer(store, everything, knowns),
        notes=_left_out(store, target, everything, runtime, precision, question), any_runtime=runtime == BEST,
        slowness=knowns[0].slowness,
    )  # fmt: skip


def target_of(device_id: str) -> str:
    """The target that a name of this machine means: cpu, this-machine, this-machine:cuda:0, the device's id.

    Raises:
        BadQuestion: It is not on this machine; lists what is.
    """
    wanted = device_id.strip().lower().replace(" ", "-")
    if wanted == "this-machine":
        return "cpu"
    target = wanted.removeprefix("this-machine:")
    for there in machine.targets():
        if target == there or wanted == machine.machine(there).device_id:
            return there
    machine.machine(target)  # says what is there
    return target


def _checked(question: Question, runtime: str, precision: str | None) -> tuple[str, str | None]:
    """Runtime and precision asked for, be it beside the question or in it."""
    if question.max_latency_ms is None:
        raise BadQuestion("A search needs --max-latency-ms: the most that one forward pass of one batch may take.")
    if question.task != "infer":
        raise BadQuestion("A search is about inference: ask 'recommend' with --task train and --min-throughput.")
    runtime = question.runtime or BEST if runtime == BEST else runtime
    if runtime != BEST and runtime not in RUNTIMES:
        raise UnknownName("runtime", runtime, (BEST, *RUNTIMES), hint=f"Known: {', '.join((BEST, *RUNTIMES))}.")
    return runtime, precision or question.precision


def _considered(
    everything: Sequence[Known], question: Question, runtime: str, precision: str | None
) -> tuple[Known, ...]:
    """The setups that may answer. Quantised ones only where they are asked for: the accuracies are of float weights."""
    return tuple(
        one for one in everything
        if one.setup.batch_size == (question.batch_size or 1)
        and runtime in (BEST, one.setup.runtime)
        and question.layout in (None, one.setup.layout)
        and (precision in (one.setup.precision, one.asked.precision) if precision
             else one.setup.precision not in QUANTISED)
    )  # fmt: skip


def _left_out(
    store: Store, target: str, everything: Sequence[Known], runtime: str, precision: str | None, question: Question
) -> tuple[str, ...]:
    """Installed setups of which nothing is known, each with the command that mends it."""
    batch = question.batch_size or 1
    there = {(one.setup.runtime, word) for one in everything if one.setup.batch_size == batch
             for word in (one.setup.precision, one.asked.precision)}  # fmt: skip
    stale = {
        (one.asked.runtime, one.asked.precision): why
        for one, why in reversed(workflows_known.stale_calibrations(store))
        if (one.asked.target, one.asked.batch_size) == (target, batch)
    }
    found = []
    for name, word in machine.offers(target):
        if (name, word) in there or runtime not in (BEST, name) or precision not in (None, word):
            continue
        options = {"--device": target, "--runtime": name, "--precision": word, "--batch-size": batch}
        usual = {"--device": "cpu", "--runtime": "pytorch-eager", "--precision": "fp32", "--batch-size": 1}
        command = " ".join(["python -m advisor calibrate", *(f"{o} {v}" for o, v in options.items() if v != usual[o])])
        why = "it is installed but not calibrated: run"
        asked = Asked(target, name, word, workflows_find_probing.LAYOUT, batch, machine.usable_threads())
        if (name, word) in stale:
            why = f"its calibration does not hold: {in_a_sentence(stale[name, word])} with"
        elif reason := workflows_find_probing.failure(store, asked):
            why = f"too few of its probes worked ({reason.removesuffix('.')}): to try again, run"
        found.append(f"{name} {word} was not considered, since {why} '{command}'.")
    return tuple(found)


def _believer(store: Store, everything: Sequence[Known], knowns: Sequence[Known]) -> Believer:
    from advisor.workflows_find_believer import FittedBeliever

    past, prior = workflows_predict.published(store)
    return FittedBeliever(past, prior, {one.setup: one.probes for one in everything}, knowns)
