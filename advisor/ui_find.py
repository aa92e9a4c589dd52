"""This machine, second part: find the best network within a budget by predicting all and measuring the few that count.

The link is the question, as on Recommend: it is read when the page opens, and rewritten after each change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from advisor import (
    charts_predict,
    ui,
    ui_answer,
    ui_job,
    ui_limits,
    ui_runs,
    views_find,
    workflows,
    workflows_find,
    workflows_find_probing,
    workflows_measure,
)
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.links import from_link, to_link
from advisor.measure import machine
from advisor.measure.job_state import JobState
from advisor.metrics import METRICS
from advisor.predict.known import Known
from advisor.records import NearestMiss, Question

if TYPE_CHECKING:
    from advisor.workflows_find_answer import FindAnswer

_LIMIT_MS = 25.0
# limits that a click may move, with their units
_RELAXED = {"max_latency_ms": "ms", "max_memory_mb": "MB", "min_throughput": "images/s"}
_FIELDS = (
    "max_latency_ms", "runtime", "precision", "batch_size", "families", "accuracy", "licence", "pretraining",
    "min_throughput", *ui_limits.FIELDS,
)  # fmt: skip
_ELSEWHERE = {"layout", "task", "evidence"}  # fields of a question that have no widget here


def started(store: Store) -> bool:
    """Whether what this session started last is a search; in a new session, whether one runs."""
    state = st.session_state
    if "mac_panel" not in state:
        going_on = [job for job in workflows_measure.jobs(store).states() if not job.ended]
        state["mac_panel"] = "find" if any(views_find.is_search(job) for job in going_on) else "calibrate"
    return bool(state["mac_panel"] == "find")


def ask(store: Store, target: str, found: Sequence[Known]) -> Question | None:
    """Draw the limits and the button; the question that they make, None where they make none."""
    st.subheader("Find the best here")
    _follow_link(store, target)
    sizes, precisions = _of_setup(found)
    of_setup = [2] * (bool(sizes) + bool(precisions))
    places = iter(st.columns([2, 2, *of_setup, 3, 2, 2], vertical_alignment="bottom"))
    state = st.session_state
    next(places).number_input(
        "Latency at most (ms)", key="fnd_max_latency_ms", value=None, format="%g", step=None, on_change=_touched,
        placeholder="such as 25", help="Of one forward pass of one batch, at the upper end of its 95 % interval.",
    )  # fmt: skip
    batch = state["fnd_batch_size"] or 1
    _choice(next(places), "Runtime", "fnd_runtime", views_find.runtimes(found, batch), "best of all installed")
    if precisions:
        _choice(next(places), "Precision", "fnd_precision", precisions, "any")
    if sizes:
        next(places).selectbox(
            "Batch size", sizes, index=None, placeholder="1", key="fnd_batch_size", on_change=_touched,
            persist_state="page",
        )  # fmt: skip
    with next(places):
        ui_limits.families(store, "fnd_", on_change=_touched)
    with next(places):
        ui_limits.accuracy("fnd_", on_change=_touched)
    next(places).number_input(
        "Measurements at most", key="fnd_confirm", min_value=0, max_value=workflows_find.MAX_CONFIRM, step=1,
        on_change=_touched, help="Each candidate that could win is measured before it may be the answer.",
    )  # fmt: skip
    ui_limits.more("fnd_", (*ui_limits.FIELDS, "min_throughput"), on_change=_touched, n_columns=4)
    question, wrong = _asked(target)
    _start(store, question, found)
    for sentence in (*state.get("fnd_complaints", ()), *([wrong] if wrong else [])):
        st.warning(sentence, icon=":material/link_off:") if sentence != wrong else st.error(
            sentence, icon=":material/error:"
        )
    if complaint := state.pop("fnd_complaint", None):
        st.error(complaint, icon=":material/error:")
    return question


def _choice(place: Any, label: str, key: str, options: list[str], empty: str) -> None:
    kept = st.session_state[key]
    place.selectbox(
        label, options if kept in (None, *options) else [*options, kept], index=None, key=key, placeholder=empty,
        on_change=_touched, persist_state="page",
    )  # fmt: skip


def _of_setup(found: Sequence[Known]) -> tuple[list[int], list[str]]:
    """Batch sizes and precisions to choose from; none of what only one is calibrated of."""
    state = st.session_state
    sizes = sorted({one.setup.batch_size for one in found} | {state["fnd_batch_size"] or 1})
    able = views_find.precisions(found, state["fnd_batch_size"] or 1, state["fnd_runtime"])
    if kept := state["fnd_precision"]:
        able = sorted({*able, kept})
    return sizes if len(sizes) > 1 else [], able if len(able) > 1 or kept else []


def _start(store: Store, question: Question | None, found: Sequence[Known]) -> None:
    state = st.session_state
    lacking = views_find.lacking_words(found, state["fnd_batch_size"] or 1)
    with st.container(horizontal=True, vertical_alignment="center", key="fnd_start"):
        st.button(
            "Find", type="primary", icon=":material/search:", key="fnd_go", on_click=_submit, args=(store, question),
            disabled=question is None or bool(lacking),
        )  # fmt: skip
        st.markdown(lacking or _takes(store, question, found), width="content")


def _takes(store: Store, question: Question | None, found: Sequence[Known]) -> str:
    """What a click measures, and about how long that takes."""
    each_s = views_find.usual_s(ui_job.history(store))
    takes = views_find.estimate_words(_confirm(), each_s, workflows_find.BUDGET_S)
    if question is not None and (asked := workflows_find.unprobed(store, question, knowns=found)):
        return f"{views_find.probing_words(asked, workflows_find_probing.expected_s(asked))}; then {takes}"
    return takes


def _confirm() -> int:
    given = st.session_state["fnd_confirm"]
    return workflows_find.CONFIRM if given is None else int(given)


def _submit(store: Store, question: Question) -> None:
    """Before the page runs again: start the search; one for the same question that is under way is shown instead."""
    state = st.session_state
    try:
        same = _job_of(store, workflows_measure.jobs(store).states(), question)
        if same is None or same.ended:
            workflows_find.submit_probes(store, question)
            ui_job.follow(workflows_find.submit_find(store, question, confirm=_confirm()))
        else:
            ui_job.follow(same.job_id)
        state["mac_panel"] = "find"
    except AdvisorError as exc:
        state["fnd_complaint"] = views_find.in_words(str(exc))


# -- the question and its link -------------------------------------------------------------------------


def _touched() -> None:
    """A change by the user wins over the link, which is rewritten; old complaints are settled."""
    st.session_state["fnd_touched"] = True
    st.session_state["fnd_complaints"] = ()


def _follow_link(store: Store, target: str) -> None:
    state = st.session_state
    params = {name: value for name, value in st.query_params.to_dict().items() if name not in ("on", "confirm")}
    touched = state.pop("fnd_touched", False)
    if "fnd_max_latency_ms" in state and (touched or params == state.get("fnd_link")):
        return
    strange = _ELSEWHERE.intersection(params)
    known = {name: value for name, value in params.items() if name not in strange}
    opened = from_link(
        known or state.get("fnd_link", {}), devices=[target], families=workflows.families(store),
        default=Question(target, max_latency_ms=_LIMIT_MS),
    )  # fmt: skip
    for field in _FIELDS:
        value = getattr(opened.question, field)
        ui.give(f"fnd_{field}", list(value) if isinstance(value, tuple) else value)
    state["fnd_complaints"] = (*opened.complaints, *views_find.strangers(strange))
    confirm = st.query_params.get("confirm", "")
    usable = confirm.isdecimal() and int(confirm) <= workflows_find.MAX_CONFIRM
    ui.give("fnd_confirm", int(confirm) if usable else workflows_find.CONFIRM)


def _asked(target: str) -> tuple[Question | None, str]:
    """The question of the widgets, which becomes the link; None and one sentence where they contradict each other."""
    state = st.session_state
    fields: dict[str, Any] = {field: state.get(f"fnd_{field}") for field in _FIELDS}
    fields["families"] = ("all",) if "all" in fields["families"] else tuple(fields["families"])
    try:
        question = Question(target, **fields)
    except AdvisorError as exc:
        return None, views_find.in_words(str(exc))
    link = {name: value for name, value in to_link(question).items() if name != "device"}
    state["fnd_link"] = link
    shown = link | ({"on": target} if target != machine.targets()[0] else {})
    shown |= {"confirm": str(_confirm())} if _confirm() != workflows_find.CONFIRM else {}
    if st.query_params.to_dict() != shown:
        st.query_params.from_dict(shown)
    if question.max_latency_ms is None:
        return None, "Say how long one forward pass may take at most: 'Latency at most' is empty."
    return question, ""


def _relax(limit: str, to: float) -> None:
    st.session_state[f"fnd_{limit}"] = to
    _touched()


# -- the answer ----------------------------------------------------------------------------------------


def _job_of(store: Store, jobs: Sequence[JobState], question: Question) -> JobState | None:
    """The newest search for a question."""
    return next((job for job in jobs if workflows_find.answers(job, question)), None)


@st.cache_resource(show_spinner=False, max_entries=16)
def _answer(_store: Store, version: str, status: str, question: Question, job_id: str) -> FindAnswer:
    """Kept until a job has ended; `version` is the store's then."""
    return workflows_find.answer_of(_store, question, job_id)


def result(store: Store, jobs: Sequence[JobState], question: Question, version: str) -> None:
    """What the newest search for the question has come to; while it goes on, what it has measured.

    An answer takes seconds of the cores that are being timed, so none is worked out before the search has ended.

    Args:
        version: Of the store when the last job ended.
    """
    job = _job_of(store, jobs, question)
    if job is None:
        return
    if not job.ended:
        _so_far(store, job, question)
        return
    try:
        with st.spinner("Working out the answer"):
            answer = _answer(store, version, job.status, question, job.job_id)
    except AdvisorError as exc:
        st.info(views_find.in_words(str(exc)), icon=":material/info:")
        return
    found = answer.recommendation
    if found.pick is not None:
        ui_answer.headline(store, found, workflows.device(store, found.question.device_id))
        _use(store, answer.pick_run_id)
    elif found.nearest_miss is not None:
        _miss(found.nearest_miss)
    lines = [views_find.missed_words(answer)]
    if answer.runtime_worth is not None:
        lines.append(f"**What the runtime alone is worth:** {views_find.in_words(answer.runtime_worth.text)}")
    told = ("most-accurate-measured", "what-may-be-missed")
    lines += [views_find.in_words(one.text) for one in found.reasons if one.rule not in told]
    st.markdown("\n".join(f"- {line}" for line in lines))
    _path(answer, question)
    if answer.not_considered:
        st.caption(views_find.left_out(answer.not_considered))


def _so_far(store: Store, job: JobState, question: Question) -> None:
    runs = ui_job.history(store)
    runs = runs[runs["job_id"] == job.job_id]
    st.markdown(f":blue-badge[:material/search: searching] {views_find.SEARCHING}")
    if len(runs):
        st.markdown(ui.evidence_badge("measured"))
        ui_runs.text_table(views_find.so_far_table(runs, workflows_find.budget_ms(question)), key="so_far")


def _use(store: Store, run_id: str | None) -> None:
    with st.container(horizontal=True, key="fnd_use"):
        if run_id is not None and st.button("See this run", icon=":material/timer:", key="fnd_run"):
            st.session_state["mea_chosen"] = [run_id]
            st.switch_page(ui.routes()["Measure"], query_params={"part": "history"})


def _miss(miss: NearestMiss) -> None:
    st.warning(views_find.in_words(miss.text), icon=":material/block:")
    for limit, to in miss.relax:
        if limit in _RELAXED and not isinstance(to, str):
            st.button(f"Allow {to:g} {_RELAXED[limit]}", on_click=_relax, args=(limit, to), key=f"fnd_relax_{limit}")


def _path(answer: FindAnswer, question: Question) -> None:
    """What was tried, as a chart and as a table, and what may still be worth a try."""
    points = views_find.points(answer)
    if len(points):
        figure = charts_predict.search_figure(
            points, METRICS[question.accuracy].title, workflows_find.budget_ms(question)
        )
        ui_runs.chart(figure, key="fnd_chart", alt="What was predicted and measured, over latency and accuracy.")
    if answer.path:
        ui_runs.text_table(views_find.path_table(answer.path), key="path")
    st.caption(views_find.counted(answer))
    lines = views_find.promising_words(answer)
    if lines:
        with st.expander("What promises most of what was not measured", key="fnd_open", on_change="rerun") as opened:
            if opened.open:
                st.markdown("\n".join(f"- {ui.evidence_badge('predicted')} {line}" for line in lines))
