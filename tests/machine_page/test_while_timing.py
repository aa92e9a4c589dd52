"""The page This machine while something is measured: nothing is worked out on the cores that are being timed."""

from __future__ import annotations

from typing import Any

import pytest

from advisor import workflows_calibrate, workflows_find, workflows_foretold, workflows_measure
from tests.calibration_lab import Lab
from tests.machine_page.pages import click, ended, page, texts
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def counting(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """The arguments with which a function is called from now on."""
    called: list[tuple[Any, ...]] = []
    really = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **k: called.append(a) or really(*a, **k))
    return called


def probes_done(lab: Lab, n: int) -> None:
    """Wait for the sentinel and `n` probes of the newest job."""
    queue = workflows_measure.jobs(lab.store)
    until(lambda: queue.states()[0].n_done == n + 1, f"{n} probes and the sentinel")


def cancel(lab: Lab) -> None:
    queue = workflows_measure.jobs(lab.store)
    queue.cancel(queue.states()[0].job_id)
    ended(lab)


def test_a_second_tab_says_that_a_calibration_runs_and_lets_no_search_begin(lab: Lab) -> None:
    lab.obey(held=[lab.order[4]])
    click(page(), "cal_go")
    probes_done(lab, 4)
    second = page()
    said = texts(second)
    assert "| pytorch-eager fp32 | … running |" in said
    assert "stopped early" not in said
    assert second.button(key="fnd_go").disabled
    assert "A search can begin when the calibration has ended." in said
    cancel(lab)
    second.run()
    assert "| pytorch-eager fp32 | ◐ stopped early |" in texts(second)
    assert not second.button(key="fnd_go").disabled


def test_who_comes_late_works_out_one_step_a_look(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    called = counting(monkeypatch, workflows_foretold, "tightening")
    lab.obey(held=[lab.order[6]])
    workflows_calibrate.submit_calibration(lab.store, lab.here)
    probes_done(lab, 6)
    app = page()
    app.run()
    assert [len(made.run_ids) for _, made in called] == [3, 4]
    assert "After 4 probes the typical 90 % interval is" in texts(app)
    page()  # another tab goes on where this one is
    assert [len(made.run_ids) for _, made in called] == [3, 4, 5]
    cancel(lab)
    app.run()
    assert [len(made.run_ids) for _, made in called] == [3, 4, 5, 6]
    assert "After 6 probes the typical 90 % interval is" in texts(app)


def test_an_answer_is_worked_out_once_its_search_has_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.keep(n=8)
    called = counting(monkeypatch, workflows_find, "answer_of")
    lab.obey(held=list(lab.law["latency_ms"]))
    app = click(page(max_latency_ms="8", max_img_size="224", families="all", confirm="1"), "fnd_go")
    queue = workflows_measure.jobs(lab.store)
    until(lambda: queue.states()[0].current is not None, "the measurement to begin")
    app.run()
    assert "searching] What it measures stands here at once." in texts(app)
    assert called == []
    cancel(lab)
    app.run()
    assert len(called) == 1
    assert "searching]" not in texts(app)


def test_an_answer_is_not_worked_out_anew_while_something_else_is_timed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.keep(n=8)
    app = click(page(max_latency_ms="8", max_img_size="224", families="all", confirm="1"), "fnd_go")
    ended(lab)
    called = counting(monkeypatch, workflows_find, "answer_of")
    app.run()
    pick = next(line for line in texts(app).splitlines() if line.startswith("#### Use `"))
    lab.obey(held=[lab.order[2]])
    click(app, "cal_go")
    probes_done(lab, 2)
    app.run()
    assert len(called) == 1
    assert pick in texts(app)
    cancel(lab)
