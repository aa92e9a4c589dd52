"""What to measure: the form of the Measure page, its advanced part, and what this machine is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from advisor import ui, ui_answer, ui_job, ui_runs, views_jobs, views_machine, workflows, workflows_measure
from advisor.errors import AdvisorError, BadQuestion
from advisor.evidence.store import Store
from advisor.links import FIRST_QUESTION, from_link
from advisor.measure import machine, models
from advisor.measure.request import LAYOUTS, PRECISIONS, Request, precisions_of, runtimes_on
from advisor.records import Question
from advisor.workflows_measure import EVERY_RUNTIME, Wanted

FIRST_MODEL = "mobilenetv3_large_100"
_MOST_OF_SHORTLIST = 12  # more than that is a sweep, which the command line does better
_LOAD_WINDOW_S = 0.3
_EXTRAS = {
    "operators": "operator classes (why it is fast or slow)", "throughput": "batch sweep", "train": "training step",
    "max-batch": "largest batch", "end-to-end": "end to end from a JPEG", "features": "backbone features",
}  # fmt: skip
_LAYOUTS = {"nchw": "channels first", "nhwc": "channels last"}
# widget -> what it is before anyone has touched it
_DEFAULTS: dict[str, Any] = {
    "mea_family": None, "mea_runtime": EVERY_RUNTIME, "mea_target": "cpu", "mea_precision": None,
    "mea_layout": LAYOUTS[0], "mea_batch": 1, "mea_size": None, "mea_threads": None,
    "mea_limit": None, "mea_extras": ["operators"], "mea_height": None, "mea_width": None,
}  # fmt: skip


def ask(store: Store) -> None:
    """The form: models, runtime, the button that starts, how long it will take, and what is wrong with it."""
    _seed(store)
    first, second, third = st.columns([5, 2, 2])
    with first:
        _models()
    second.selectbox(
        "Family", _families(), index=None, key="mea_family", placeholder="All families",
        persist_state="session", filter_mode="contains", help="Narrows the list of models.",
    )  # fmt: skip
    third.selectbox(
        "Runtime", [EVERY_RUNTIME, *runtimes_on(st.session_state["mea_target"])], key="mea_runtime",
        persist_state="session", format_func=lambda r: "every installed runtime" if r == EVERY_RUNTIME else r,
        help="Side by side, each at the precisions that it is usually run at.",
    )  # fmt: skip
    _start(store)
    _advanced()
    if changed := _changed():
        st.caption(f"{changed} advanced setting{'s are' if changed > 1 else ' is'} not at the default.")
    if complaint := st.session_state.pop("mea_complaint", None):
        st.error(complaint, icon=":material/error:")


def _seed(store: Store) -> None:
    state = st.session_state
    ui.give_first(_DEFAULTS)
    if "measure" not in state:
        linked = [name for name in st.query_params.get("measure", "").split(",") if name]
        ui.give("measure", linked or [_picked(store)])
    if state["mea_target"] not in machine.targets():
        state["mea_target"] = "cpu"
    if state["mea_runtime"] not in (EVERY_RUNTIME, *runtimes_on(state["mea_target"])):
        state["mea_runtime"] = EVERY_RUNTIME


def _picked(store: Store) -> str:
    """The pick of the Recommend page if it was asked in this session, else a small well-known network."""
    if "rec_link" in st.session_state:
        try:
            answer, _, _ = ui_answer.answered(store, store.version(), _question(store))
            if answer.pick is not None and answer.pick.architecture in models.load():
                return _option(answer.pick.architecture, answer.pick.img_size)
        except AdvisorError:
            pass
    return FIRST_MODEL


def _question(store: Store) -> Question:
    """What the Recommend page asks now, or would ask first."""
    link = st.session_state.get("rec_link", {})
    known = list(ui.devices(store))
    return from_link(link, devices=known, families=workflows.families(store), default=FIRST_QUESTION).question


def _option(architecture: str, img_size: int) -> str:
    """A network as the list names it, with its size where that is not the native one."""
    native = models.load()[architecture].img_size
    return architecture if img_size == native else f"{architecture}@{img_size}"


def _families() -> list[str]:
    return sorted({one.family for one in models.load().values()})


def _models() -> None:
    family, chosen = st.session_state["mea_family"], st.session_state["measure"]
    listed = [name for name, one in models.load().items() if family in (None, one.family)]
    st.multiselect(
        "Models", list(dict.fromkeys([*chosen, *listed])), key="measure", persist_state="session",
        filter_mode="contains", accept_new_options=True, placeholder="Type a part of a name",
        format_func=lambda name: name.replace("@", " · ") + (" px" if "@" in name else ""), select_all=False,
        help="All networks that timm lists; speed does not depend on the weights. 'resnet50@160' means 160 px.",
    )  # fmt: skip


def _start(store: Store) -> None:
    """The button, the estimate beside it, and the shortlist of the other page."""
    requests, wrong = _requests()
    with st.container(horizontal=True, vertical_alignment="center", key="mea_start"):
        st.button(
            "Measure on this machine", type="primary", icon=":material/timer:", key="mea_go",
            on_click=_submit, args=(store,), disabled=not requests,
        )  # fmt: skip
        if requests:
            st.markdown(views_jobs.estimate_words(ui_job.estimate_s(store, requests), requests))
        st.button(
            "Take the shortlist from Recommend", type="tertiary", icon=":material/playlist_add:", key="mea_short",
            on_click=_take_shortlist, args=(store,),
        )  # fmt: skip
    if wrong:
        st.error(wrong, icon=":material/error:")


def _requests() -> tuple[list[Request], str]:
    """What the form asks for; nothing and one sentence where it makes no sense."""
    state = st.session_state
    try:
        names = [_sized(name) for name in state["measure"]]
        if not names:
            return [], "Choose at least one model."
        return workflows_measure.requests(names, _wanted()), ""
    except AdvisorError as exc:
        return [], _in_words(str(exc))


def _sized(name: str) -> str | tuple[str, int]:
    architecture, at, size = name.partition("@")
    if not at:
        return name
    if not re.fullmatch(r"[0-9]{1,6}", size):  # other digits, such as "²", are no numbers
        raise BadQuestion(
            f"The image size '{size[:40]}' of '{architecture[:80]}' is not a whole number of px: write it as "
            "'resnet50@160', or leave it out for the native size."
        )
    return architecture, int(size)


def _in_words(sentence: str) -> str:
    """A sentence about an option of the command line, about the widget of that name."""
    for option, label in (
        ("--device", "Device"), ("--runtime", "Runtime"), ("--precision", "Precision"), ("--layout", "Layout"),
        ("--img-size", "Image size"), ("--features", "Backbone height and width"), ("--batch-size", "Batch size"),
        ("--threads", "Threads"), ("--time-limit", "Time limit"),
    ):  # fmt: skip
        sentence = sentence.replace(option, label)
    return sentence.partition(" Search with 'python")[0]


def _wanted() -> Wanted:
    state = st.session_state
    sides = (state["mea_height"], state["mea_width"])
    extras = tuple(state["mea_extras"])
    return Wanted(
        target=state["mea_target"], runtime=state["mea_runtime"], precision=state["mea_precision"],
        layout=state["mea_layout"], batch_size=_whole(state["mea_batch"], 1), img_size=state["mea_size"],
        threads=state["mea_threads"], extras=extras,
        features_hw=sides if "features" in extras and None not in sides else None,
        time_limit_s=state["mea_limit"],
    )  # fmt: skip


def _whole(value: int | None, default: int) -> int:
    return default if value is None else value


def _submit(store: Store) -> None:
    """Before the page runs again: queue what the form asks for and show its results when they come."""
    requests, wrong = _requests()
    try:
        if requests and not wrong:
            ui_job.start(store, requests, title=views_jobs.title_of(requests))
            st.session_state["part"] = "result"
    except AdvisorError as exc:
        st.session_state["mea_complaint"] = str(exc)


def _take_shortlist(store: Store) -> None:
    state = st.session_state
    try:
        found = workflows_measure.shortlist(store, _question(store))
    except AdvisorError as exc:
        state["mea_complaint"] = str(exc)
        return
    listed = models.load()
    # always with the size, as the image size of Advanced would take the place of one that is left out
    named = [f"{architecture}@{size}" for architecture, size in found if architecture in listed]
    if not named:
        state["mea_complaint"] = "Recommend has no answer to take models from: relax its limits first."
        return
    state["measure"], state["mea_family"] = named[:_MOST_OF_SHORTLIST], None
    if len(named) > _MOST_OF_SHORTLIST:
        st.toast(f"The first {_MOST_OF_SHORTLIST} of {len(named)} models of the shortlist.")


def _advanced() -> None:
    state = st.session_state
    # a label that changes would close the box
    with st.expander("Advanced", key="mea_advanced", on_change="rerun") as opened:
        if not opened.open:
            return
        first, second, third, fourth = st.columns(4)
        first.selectbox("Device", list(machine.targets()), key="mea_target", persist_state="session")
        second.selectbox(
            "Precision", _precisions(), index=None, key="mea_precision", persist_state="session",
            placeholder="Usual of each runtime",
        )  # fmt: skip
        third.selectbox(
            "Memory layout", list(LAYOUTS), key="mea_layout", persist_state="session", format_func=_LAYOUTS.__getitem__,
            help="Channels last is for the PyTorch runtimes.",
        )  # fmt: skip
        _number(fourth.number_input, "Time limit of one setup (s)", "mea_limit", "automatic", whole=False)
        first, second, third, _ = st.columns(4)
        _number(first.number_input, "Batch size", "mea_batch", "1")
        _number(second.number_input, "Image size (px)", "mea_size", "native")
        _number(third.number_input, "Threads", "mea_threads", f"{machine.usable_threads()}, all usable")
        st.pills(
            "Measure as well", list(_EXTRAS), key="mea_extras", selection_mode="multi", persist_state="session",
            format_func=_EXTRAS.__getitem__,
        )  # fmt: skip
        if "features" in state["mea_extras"]:
            first, second, _, _ = st.columns(4)
            _number(first.number_input, "Backbone height (px)", "mea_height", "image size")
            _number(second.number_input, "Backbone width (px)", "mea_width", "image size")


def _changed() -> int:
    """How many advanced settings are not as they were at first; an emptied batch size is 1 again."""
    state = st.session_state
    now = {key: state[key] for key in _DEFAULTS if key not in ("mea_family", "mea_runtime")}
    now["mea_batch"] = _whole(now["mea_batch"], 1)
    return sum(now[key] != _DEFAULTS[key] for key in now)


def _precisions() -> list[str]:
    runtime = st.session_state["mea_runtime"]
    able = [p for p in PRECISIONS if runtime == EVERY_RUNTIME or p in precisions_of(runtime)]
    kept = st.session_state["mea_precision"]
    return able if kept in (None, *able) else [*able, kept]


def _number(widget: Callable[..., Any], label: str, key: str, empty: str, *, whole: bool = True) -> None:
    """A number that may be anything: what makes no sense is said beside the button, and nothing is lost."""
    widget(
        label, key=key, value=None, step=1 if whole else None, format="%d" if whole else "%g", placeholder=empty,
        persist_state="session",
    )  # fmt: skip


# -- this machine --------------------------------------------------------------------------------------------


def this_machine(store: Store) -> None:
    """What this machine is, what it can measure with, what it achieved, how busy it is."""
    targets = list(machine.targets())
    target = targets[0] if len(targets) == 1 else st.selectbox("Device", targets, key="mea_box_target")
    report = workflows_measure.machine_report(store, target)
    st.markdown(f"**{views_machine.headline(report)}**")
    left, right = st.columns([2, 3], gap="large")
    with left:
        ui_runs.text_table(views_machine.fact_table(report), key="facts")
    with right:
        ui_runs.text_table(views_machine.runtime_table(report), key="runtimes")
        if report["roofs"]:
            ui_runs.text_table(views_machine.roof_table(report["roofs"]), key="roofs")
            st.caption(
                "Achieved by a large matrix product and a large copy: the roof that every result is held against."
            )
        else:
            st.caption("What it can do at best is measured with the first run at each precision.")
    st.markdown(views_machine.load_sentence(machine.busy(_LOAD_WINDOW_S, target)))
    st.caption("The same from the command line, which shares the queue and the results with this page:")
    ui_answer.code(
        "python -m advisor measure regnety_032 --runtime all\n"
        "python -m advisor sweep --top 20\npython -m advisor machine --json\npython -m advisor runs --json"
    )  # fmt: skip
