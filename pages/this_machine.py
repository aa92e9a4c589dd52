"""This machine: calibrate it with one click, find the best network within a budget, see what every network takes."""

from __future__ import annotations

import streamlit as st

from advisor import ui, ui_calibrate, ui_find, ui_job, ui_trust, ui_zoo, workflows_measure

with ui.page("This machine") as store:
    workflows_measure.jobs(store).warm()  # in the background, so that a click answers at once
    target = ui_calibrate.pick_target()
    ui_calibrate.ask(store, target)
    first, known, limits, second, answer, rest = (st.container() for _ in range(6))
    # jobs are shown below the button that started them, and read before all that depends on them
    with second if ui_find.started(store) else first:
        jobs = ui_job.panel(store)
    version = ui_calibrate.settled(store, jobs)
    with known:
        found = ui_calibrate.known(store, target, jobs, version)
        ui_calibrate.live(store, jobs, found)
        ui_calibrate.calibrated(store, target, found, jobs)
    with limits:
        question = ui_find.ask(store, target, found)
    with answer:
        if question is not None and found:
            ui_find.result(store, jobs, question, version)
    with rest:
        if found:
            ui_zoo.every_network(store, found, question.max_latency_ms if question else None, version)
        ui_trust.trust(store, found, version)
