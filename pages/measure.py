"""Measure: one click times a network on this machine; below it what runs, what came out, and everything before."""

from __future__ import annotations

from advisor import ui, ui_history, ui_job, ui_measure, ui_runs, workflows_measure

VIEWS = {"result": "Result", "history": "History", "machine": "This machine"}

with ui.page("Measure") as store:
    workflows_measure.jobs(store).warm()  # in the background, so that a click answers at once
    ui_measure.ask(store)
    jobs = ui_job.panel(store)
    part = ui.pick_part("What to show", VIEWS, key="part")
    ui.remember(part="result")
    if part == "result":
        ui_runs.result(store, jobs)
    elif part == "history":
        ui_history.history(store)
    else:
        ui_measure.this_machine(store)
