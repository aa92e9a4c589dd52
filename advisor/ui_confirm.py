"""From a predicted speed to its measurement: the Measure page with the model and the setup filled in."""

from __future__ import annotations

import streamlit as st

from advisor import ui, workflows_guesses
from advisor.evidence.store import Store
from advisor.measure import machine
from advisor.records import Candidate, Device, Recommendation


def pick(store: Store, answer: Recommendation, device: Device) -> None:
    """The button that takes a pick whose speed is only predicted to the Measure page; nothing for any other pick."""
    if answer.pick is None or not answer.confirm:
        return
    if st.button(
        "Confirm it: measure it here", type="primary", icon=":material/timer:", key="rec_confirm",
        help=f"The same as {answer.confirm}",
    ):  # fmt: skip
        _measure(store, device, answer.pick)


def might_win(store: Store, answer: Recommendation, device: Device) -> None:
    """Predicted candidates that might be better than the pick; on this machine each is a way to its measurement."""
    if not answer.might_win:
        return
    st.markdown("**Could also meet it**" if device.measured_here else "**Might win, but is not published**")
    for i, one in enumerate(answer.might_win):
        if device.measured_here:
            if st.button(
                one.text,
                key=f"rec_might_{i}",
                type="tertiary",
                icon=":material/function:",
                help="Measure it",
                wrap=True,
            ):
                _measure(store, device, one.candidate)
        else:
            st.markdown(f"- {one.text}")


def _measure(store: Store, device: Device, one: Candidate) -> None:
    asked = workflows_guesses.confirming(store, device, one)
    if asked is None:
        return
    state = st.session_state
    state["measure"], state["mea_family"], state["mea_size"] = [f"{one.architecture}@{one.img_size}"], None, None
    state["mea_target"], state["mea_runtime"], state["mea_precision"] = asked.target, asked.runtime, asked.precision
    state["mea_layout"], state["mea_batch"] = asked.layout, asked.batch_size
    state["mea_threads"] = None if asked.threads == machine.usable_threads() else asked.threads
    st.switch_page(ui.routes()["Measure"])
