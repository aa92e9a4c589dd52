"""Jobs on the Measure page, of a measuring process without torch: started, shown, cancelled, taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.errors import AdvisorError
from advisor.measure.job_state import Reached
from advisor.measure.jobs import Jobs
from tests.job_place import Place, left_by_a_dead_owner
from tests.measure_page.pages import STREAMLITS_WARNINGS, choose, ended, page, sentences, texts
from tests.waiting import until

pytestmark = STREAMLITS_WARNINGS


def test_one_click_measures_and_the_result_appears(home: Path, queues: list[Jobs], tmp_path: Path) -> None:
    app = choose(page(), "gate_net")
    app.button(key="mea_go").click().run()
    (queue,) = queues
    until(lambda: queue.states()[0].now and queue.states()[0].now.stage == "timing", "the timing")  # type: ignore[union-attr]
    app.run()
    assert not app.exception
    assert "**gate_net, pytorch-eager**" in texts(app)
    assert [p.text for p in app.get("progress")] == ["gate_net, pytorch-eager fp32: timing 1/100"]
    (tmp_path / "gate_net.open").touch()
    assert ended(queue).status == "done"
    app.run()
    assert not app.exception
    assert "**pytorch-eager fp32** takes **10 ms**" in texts(app)
    assert "✓ gate_net, pytorch-eager · done: 1 of 1 measured" in texts(app)
    assert not app.get("progress")


def test_a_second_click_does_not_measure_twice(home: Path, queues: list[Jobs]) -> None:
    app = choose(page(), "gate_net")
    for _ in range(2):
        app.button(key="mea_go").click().run()
    (queue,) = queues
    assert len(queue.states()) == 1
    choose(app, "ok_net").button(key="mea_go").click().run()
    assert len(queue.states()) == 2  # something else is another job


def test_how_each_job_ended_is_told(home: Path, queues: list[Jobs], tmp_path: Path) -> None:
    app = choose(page(), "gate_net")
    app.button(key="mea_go").click().run()
    choose(app, "refuse_net").button(key="mea_go").click().run()
    (tmp_path / "gate_net.open").touch()
    ended(queues[0])
    app.run()
    assert "✓ gate_net, pytorch-eager · done" in texts(app)
    assert "✗ refuse_net, pytorch-eager · failed" in texts(app)


def test_a_job_that_cannot_be_cancelled_says_so(
    home: Path, queues: list[Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AdvisorError("The disk is full.")

    app = choose(page(), "gate_net")
    app.button(key="mea_go").click().run()
    with monkeypatch.context() as broken:
        broken.setattr(Jobs, "cancel", refuse)
        (cancel,) = [b for b in app.button if b.label == "Cancel"]
        cancel.click().run()
    assert sentences(app) == ["The disk is full."]
    assert sentences(app.run()) == ["The disk is full."]  # the panel is drawn anew all the time
    (cancel,) = [b for b in app.button if b.label == "Cancel"]
    cancel.click().run()
    assert not sentences(app)


def test_a_second_tab_finds_the_running_job_and_can_cancel_it(home: Path, queues: list[Jobs]) -> None:
    first = choose(page(), "gate_net")
    first.button(key="mea_go").click().run()
    (queue,) = queues
    until(lambda: queue.states()[0].current, "the job to run")
    second = page()
    (cancel,) = [b for b in second.button if b.label == "Cancel"]
    cancel.click().run()
    assert ended(queue).status == "cancelled"
    second.run()
    assert not second.exception
    assert "gate_net, pytorch-eager · cancelled" in texts(second)


def test_failures_are_told_in_one_sentence(home: Path, queues: list[Jobs]) -> None:
    app = choose(page(), "refuse_net", "ok_net")
    app.button(key="mea_go").click().run()
    ended(queues[0])
    app.run()
    assert not app.exception
    assert "refuse_net, pytorch-eager fp32: The image size 7 px is too small for it." in texts(app)
    assert "1 of 2 measured" in texts(app)


def test_an_interrupted_job_can_be_taken_up_again(home: Path, queues: list[Jobs]) -> None:
    left_by_a_dead_owner(Place(home.parent), Reached(status="running"), "ok_net")
    app = page()
    assert "interrupted] **Left**" in texts(app)
    (again,) = [b for b in app.button if b.label == "Measure it again"]
    again.click().run()
    assert ended(queues[0]).status == "done"
    app.run()
    assert not app.exception
    assert "interrupted]" not in texts(app)
    assert "**pytorch-eager fp32** takes **10 ms**" in texts(app)


def test_an_interrupted_job_is_taken_up_once(home: Path, queues: list[Jobs]) -> None:
    left_by_a_dead_owner(Place(home.parent), Reached(status="running"), "gate_net")
    tabs = [page(), page()]
    for app in tabs:
        (again,) = [b for b in app.button if b.label == "Measure it again"]
        again.click().run()
        assert not app.exception
    assert [state.status == "interrupted" for state in queues[0].states()] == [False, True]


def test_what_a_job_would_have_chosen_is_told_but_not_offered(home: Path, queues: list[Jobs]) -> None:
    job_id = left_by_a_dead_owner(Place(home.parent), Reached(status="running"), "gate_net", n_expected=4)
    app = page()
    app.session_state["mea_watched"] = [job_id]
    app.run()
    assert not app.exception
    assert "0 of at most 5 requests were measured" in texts(app)
    assert not [b for b in app.button if b.label == "Measure it again"]
