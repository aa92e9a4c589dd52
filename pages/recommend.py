"""Recommend: a budget on the left, the answer on the right, and everything it rests on below."""

from __future__ import annotations

import streamlit as st

from advisor import ui, ui_answer, ui_budget, ui_confirm, views

with ui.page("Recommend") as store:
    question = ui_budget.ask(store)
    ui_budget.complaints()

    device = ui.devices(store)[question.device_id]
    answer, candidates, figure = ui_answer.answered(store, store.version(), question)

    ui_answer.headline(store, answer, device)
    if candidates.empty:
        st.stop()

    ui_answer.best_of_families(answer)
    clicked = ui_answer.chart(figure, key="rec_chart")
    if clicked:
        ui_answer.explanations(store, answer, clicked)

    why, change = st.columns([3, 2], gap="large")
    with why:
        ui_answer.reasons(store, answer)
    with change:
        ui_answer.what_would_change_it(store, answer)
        ui_confirm.might_win(store, answer, device)
        ui_answer.ties_and_rejections(answer)

    if answer.pick is not None:
        st.subheader("Use it")
        ui_answer.code(views.snippet(store, answer.pick))
    ui_answer.all_candidates(candidates, device.device_id)
