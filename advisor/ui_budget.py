"""The budget of the Recommend page: widgets in the sidebar, kept in step with the link in the address bar.

The link is the question: it is read when the page opens or the user steps back, and rewritten after each change.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from advisor import ui, ui_limits, views, workflows
from advisor.evidence.store import Store
from advisor.links import from_link, to_link
from advisor.metrics import METRICS
from advisor.records import Device, Question

_FIELDS = (
    "device_id", "task", "families", "accuracy", "licence", "pretraining", "runtime", "precision", "layout",
    "batch_size", "min_accuracy", "max_params_m", "max_file_mb", "max_memory_mb", "max_img_size", "evidence",
)  # fmt: skip
_SETUP = ("runtime", "precision", "layout", "batch_size")
_WORDS = {
    "infer": "Inference", "train": "Training", "latency_ms": "Latency", "throughput_per_s": "Throughput",
}  # fmt: skip
# what predicted speeds may do on this machine, which can confirm them, and on published devices
_PREDICTED_HERE = {"auto": "May win", "known": "Left out"}
_PREDICTED = {"auto": "Shown apart", "all": "May win", "known": "Left out"}


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def ask(store: Store) -> Question:
    """Draw the budget and give the question it makes.

    Raises:
        BadQuestion: A limit that makes no sense.
    """
    known = ui.devices(store)
    _follow_link(store, list(known))
    with st.container(key="hint"):  # the style shows it only where the sidebar starts closed
        st.caption("The budget and the other pages open with » at the top left.")
    with st.sidebar:
        _what(store, known)
        _limit(store)
        ui_limits.which_models(store, "rec_", on_change=_touched)
        second = ("min_throughput",) if st.session_state["rec_judge"] == "latency_ms" else ()
        ui_limits.more("rec_", (*ui_limits.FIELDS, *second), on_change=_touched)
        _setup(store)
        _predicted(store, known[st.session_state["rec_device_id"]])
        st.button("Start over", on_click=set_question, args=(store, None), type="tertiary", icon=":material/undo:")
    question = _question()
    link = to_link(question)
    if st.query_params.to_dict() != link:
        st.query_params.from_dict(link)
    st.session_state["rec_link"] = link
    return question


def complaints() -> None:
    """Say which values of the link could not be used."""
    for sentence in st.session_state.get("rec_complaints", ()):
        st.warning(sentence, icon=":material/link_off:")


def set_question(store: Store, question: Question | None) -> None:
    """Put a question into the widgets, the first one if None: for buttons, before the page runs again."""
    known = list(ui.devices(store))
    opened = from_link(to_link(question) if question else {}, devices=known, families=workflows.families(store))
    _seed(store, opened.question)
    st.session_state["rec_touched"] = True


def _touched() -> None:
    """A change by the user wins over the link, which is rewritten; old complaints are settled."""
    st.session_state["rec_touched"] = True
    st.session_state["rec_complaints"] = ()


def _follow_link(store: Store, devices: list[str]) -> None:
    state = st.session_state
    params = st.query_params.to_dict()
    touched = state.pop("rec_touched", False)
    if "rec_device_id" in state and (touched or params == state.get("rec_link")):
        return
    opened = from_link(
        params or state.get("rec_link", {}), devices=devices, families=workflows.families(store),
        device_of=lambda name: workflows.device(store, name).device_id,
    )  # fmt: skip
    _seed(store, opened.question)
    state["rec_complaints"] = opened.complaints


def _seed(store: Store, question: Question) -> None:
    for field in _FIELDS:
        value = getattr(question, field)
        ui.give(f"rec_{field}", list(value) if isinstance(value, tuple) else value)
    judged = question.axis or (views.axes_published(store, question.device_id, question.task) or ("latency_ms",))[0]
    ui.give("rec_judge", judged)
    ui.give("rec_limit", question.max_latency_ms if judged == "latency_ms" else question.min_throughput)
    ui.give("rec_min_throughput", question.min_throughput if judged == "latency_ms" else None)


def _new_speed(store: Store) -> None:
    """After another judge: a limit in the middle of the device's published results."""
    state = st.session_state
    state["rec_limit"] = views.middle_speed(store, state["rec_device_id"], state["rec_task"], state["rec_judge"])
    state["rec_min_throughput"] = None
    _touched()


def _new_device(store: Store) -> None:
    """After another device or task: the limit stays where the device's published results can be judged by it."""
    state = st.session_state
    device_id, task, judged = state["rec_device_id"], state["rec_task"], state["rec_judge"]
    for field in _SETUP:
        state[f"rec_{field}"] = None
    state["rec_evidence"] = "auto"
    axes = views.axes_published(store, device_id, task) or ("throughput_per_s",)
    if judged in axes and views.within_speeds(store, device_id, task, judged, state["rec_limit"]):
        state["rec_min_throughput"] = None
        _touched()
        return
    state["rec_judge"] = axes[0]
    _new_speed(store)


def _from_slider() -> None:
    st.session_state["rec_limit"] = st.session_state["rec_slide"]
    _touched()


def _what(store: Store, known: dict[str, Device]) -> None:
    st.selectbox(
        "Device", list(known), format_func=lambda d: ui.device_label(known[d]), key="rec_device_id",
        on_change=_new_device, args=(store,), filter_mode="contains",
        help="Grouped by kind, most results first; type to search by name, kind or id.",
    )  # fmt: skip
    st.segmented_control(
        "Task", ["infer", "train"], format_func=_word, key="rec_task", required=True,
        on_change=_new_device, args=(store,), width="stretch",
    )  # fmt: skip


def _limit(store: Store) -> None:
    state = st.session_state
    device_id, task = state["rec_device_id"], state["rec_task"]
    axes = views.axes_published(store, device_id, task)
    if len(axes) > 1:
        st.segmented_control(
            "Judge by", list(axes), format_func=_word, key="rec_judge", required=True,
            on_change=_new_speed, args=(store,), width="stretch",
        )  # fmt: skip
    elif axes and task == "infer":
        st.caption(f"Only {_WORDS[axes[0]].lower()} is known for this device.")
    judged = state["rec_judge"]
    steps = views.speed_steps(store, device_id, task, judged)
    options: list[float | None] = [*steps, None] if judged == "latency_ms" else [None, *steps]
    current = state["rec_limit"]
    state["rec_slide"] = None if current is None else views.nearest_step(current, steps)
    label = "Throughput at least"
    if judged == "latency_ms":
        label = f"Latency at most (batch {state['rec_batch_size'] or 1})"
    slide, number = st.columns([2, 1], vertical_alignment="bottom", gap="small", wrap=False)
    slide.select_slider(
        label, options, key="rec_slide", on_change=_from_slider,
        format_func=lambda v: "no limit" if v is None else METRICS[judged].show(v),
    )  # fmt: skip
    number.number_input(
        METRICS[judged].unit, key="rec_limit", value=None, format="%g", step=None, placeholder="no limit",
        on_change=_touched, help="The exact limit; empty means none.",
    )  # fmt: skip


def _setup(store: Store) -> None:
    state = st.session_state
    published = workflows.setups(store, state["rec_device_id"])
    published = published[published["task"] == state["rec_task"]]
    chosen = [str(state[f"rec_{field}"]) for field in _SETUP if state[f"rec_{field}"] is not None]
    with st.expander(f"Setup: {', '.join(chosen) or 'best per model'}", key="rec_setup", on_change="rerun") as opened:
        if not opened.open:
            return
        for field in _SETUP:
            values = views.choices(published[field])
            linked = state[f"rec_{field}"]
            if linked is not None and linked not in values:
                values.append(linked)
            st.selectbox(
                field.replace("_", " ").capitalize(), [None, *values], key=f"rec_{field}", on_change=_touched,
                persist_state="page", format_func=lambda v: "best" if v is None else str(v),
            )  # fmt: skip


def _predicted(store: Store, device: Device) -> None:
    """What predicted speeds may do, where there are any."""
    state = st.session_state
    if not views.has_predictions(store, device.device_id, state["rec_task"]):
        return
    words = _PREDICTED_HERE if device.measured_here else _PREDICTED
    if state["rec_evidence"] not in words:
        state["rec_evidence"] = "auto"
    st.segmented_control(
        "Predicted speeds", list(words), format_func=words.__getitem__, key="rec_evidence", required=True,
        on_change=_touched, width="stretch", persist_state="page",
        help="A predicted speed keeps a limit where its 95 % quantile does, and never looks measured.",
    )  # fmt: skip


def _question() -> Question:
    state = st.session_state
    fields: dict[str, Any] = {field: state[f"rec_{field}"] for field in _FIELDS}
    fields["families"] = ("all",) if "all" in fields["families"] else tuple(fields["families"])
    if state["rec_judge"] == "latency_ms":
        fields |= {"max_latency_ms": state["rec_limit"], "min_throughput": state.get("rec_min_throughput")}
    else:
        fields["min_throughput"] = state["rec_limit"]
    return Question(**fields)
