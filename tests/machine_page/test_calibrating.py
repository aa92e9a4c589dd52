"""The page This machine in Streamlit's own harness: calibrating and finding; only measuring is not real."""

from __future__ import annotations

import numpy as np
import pytest

from advisor import workflows_calibrate, workflows_known, workflows_measure
from advisor.measure import machine, models
from tests.calibration_lab import OTHER, VERSIONS, Lab
from tests.machine_page.pages import click, ended, page, sentences, texts
from tests.small_data import ARCHS
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


# -- which setups are calibrated -----------------------------------------------------------------------


def test_nothing_calibrated_says_what_to_do(lab: Lab) -> None:
    app = page()
    assert not sentences(app)
    assert "Nothing is calibrated here yet. Press **Calibrate this machine**" in texts(app)
    assert not app.button(key="cal_go").disabled
    assert app.button(key="fnd_go").disabled
    assert "Calibrate this machine first" in texts(app)
    assert not app.dataframe


def test_a_calibrated_setup_is_told_with_its_probes_interval_and_quietness(lab: Lab) -> None:
    lab.keep(n=8, noisy=(lab.order[0],))
    app = page()
    said = texts(app)
    (row,) = [line for line in said.splitlines() if line.startswith("| pytorch-eager fp32 | ✓ calibrated")]
    assert "| 9 |" in row and "2026-07-01 10:00" in row and "1 noisy" in row
    assert "Nothing is calibrated" not in said
    assert not app.button(key="fnd_go").disabled


def test_installed_runtimes_that_are_not_calibrated_have_a_button_each(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    lab.keep()
    offers = [("pytorch-eager", "fp32"), ("onnxruntime", "fp32"), ("openvino", "auto")]
    monkeypatch.setattr(machine, "offers", lambda _target: offers)
    monkeypatch.setattr(workflows_calibrate, "N_PROBES", 3)
    app = page()
    assert [b.label for b in app.button if b.key and b.key.startswith("cal_o")] == ["onnxruntime fp32", "openvino auto"]
    click(app, "cal_onnxruntime_fp32")
    assert ended(lab).title == "Calibration: onnxruntime fp32"
    app.run()
    assert "| onnxruntime fp32 | ✓ calibrated" in texts(app)
    assert [b.label for b in app.button if b.key and b.key.startswith("cal_o")] == ["openvino auto"]


def test_an_outdated_calibration_says_why_and_can_be_made_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    lab.keep()
    monkeypatch.setattr(machine, "versions", lambda *_packages: VERSIONS | {"torch": "2.16.0"})
    app = page()
    said = texts(app)
    assert "out of date] **pytorch-eager fp32** of 2026-07-01." in said
    assert "It was made with torch 2.15.0, and 2.16.0 is installed now" in said
    assert app.button(key="fnd_go").disabled
    assert not app.dataframe
    click(app, "cal_again_0")
    assert workflows_measure.jobs(lab.store).states()[0].title == "Calibration: pytorch-eager fp32"


def test_a_calibration_of_another_machine_predicts_nothing_here(lab: Lab) -> None:
    lab.keep(device=OTHER, threads=8)
    app = page()
    assert "It was made on Other, 8 cores" in texts(app)
    assert not app.dataframe


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("cal_batch", 0, "Batch size must be 1 to 65536, not 0."),
        ("cal_threads", -2, "Threads must be 1 to 1024, not -2."),
    ],
)
def test_a_bad_value_is_said_beside_the_button_and_kept(lab: Lab, key: str, value: int, says: str) -> None:
    app = page()
    app.session_state["cal_advanced"] = True  # the harness forgets an open box between runs
    app.run()
    app.number_input(key=key).set_value(value).run()
    assert not app.exception
    (sentence,) = sentences(app)
    assert says in sentence and "--" not in sentence
    assert app.session_state[key] == value
    assert app.button(key="cal_go").disabled


def test_too_few_probes_predict_nothing_and_say_what_helps(lab: Lab) -> None:
    lab.keep(n=1)
    app = page()
    (said,) = [w.value for w in app.warning]
    assert said.startswith("The last calibration of pytorch-eager fp32 measured 1 network, too few to predict others")
    assert app.button(key="fnd_go").disabled


# -- calibrating ---------------------------------------------------------------------------------------


def test_one_click_calibrates_and_every_network_is_predicted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows_calibrate, "N_PROBES", 6)
    lab.obey(held=[lab.order[5]])
    app = click(page(), "cal_go")
    queue = workflows_measure.jobs(lab.store)
    until(lambda: queue.states()[0].n_done == 6, "five probes and the sentinel")
    for _ in range(3):  # a look goes one step further at most
        app.run()
    assert not app.exception
    said = texts(app)
    assert "**Calibration: pytorch-eager fp32**" in said
    assert "After 5 probes the typical 90 % interval is" in said
    assert "2 probes were predicted before they were measured" in said
    lab.obey(held=[])
    queue.cancel(queue.states()[0].job_id)
    ended(lab)
    app.run()
    assert not app.exception
    said = texts(app)
    assert "| pytorch-eager fp32 | ◐ stopped early" in said
    assert len(app.dataframe[0].value) > 100


def test_a_second_click_does_not_calibrate_twice(lab: Lab) -> None:
    lab.obey(held=[lab.order[0]])
    app = page()
    for _ in range(2):
        click(app, "cal_go")
    assert len(workflows_measure.jobs(lab.store).states()) == 1


def test_a_second_tab_finds_the_running_calibration_and_can_cancel_it(lab: Lab) -> None:
    lab.obey(held=[lab.order[0]])
    click(page(), "cal_go")
    queue = workflows_measure.jobs(lab.store)
    until(lambda: queue.states()[0].n_done == 1, "the sentinel")
    second = page()
    (cancel,) = [b for b in second.button if b.label == "Cancel"]
    cancel.click().run()
    assert ended(lab).status == "cancelled"
    assert not second.run().exception


def test_what_is_known_is_learned_anew_only_when_a_job_has_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of the cores that are being timed would make results noisy."""
    lab.keep()
    asked: list[int] = []
    known = workflows_calibrate.known
    for module in (workflows_calibrate, workflows_known):
        monkeypatch.setattr(module, "known", lambda *a, **k: asked.append(1) or known(*a, **k))
    monkeypatch.setattr(workflows_calibrate, "N_PROBES", 4)
    app = page()
    lab.obey(held=[lab.order[3]])
    click(app, "cal_go")
    queue = workflows_measure.jobs(lab.store)
    until(lambda: queue.states()[0].n_done == 4, "three probes and the sentinel")
    app.run()
    assert len(asked) == 1
    queue.cancel(queue.states()[0].job_id)
    ended(lab)
    app.run()
    assert len(asked) == 2


# -- find ----------------------------------------------------------------------------------------------


def true_ms(lab: Lab) -> dict[str, float]:
    """What the networks with an accuracy take at 224 px, by the law of the device."""
    native = {name for name, one in models.load().items() if one.img_size == 224}
    return {name: lab.law["latency_ms"][name] for name in ARCHS if name in native and name in lab.law["latency_ms"]}


def test_find_answers_with_a_measured_pick_within_the_limit(lab: Lab) -> None:
    lab.keep(n=8)
    limit = float(f"{np.median(list(true_ms(lab).values())):.3g}")
    app = page(max_latency_ms=f"{limit:g}", max_img_size="224", families="all")
    assert app.number_input(key="fnd_max_latency_ms").value == limit
    click(app, "fnd_go")
    ended(lab)
    app.run()
    assert not app.exception
    assert not sentences(app)
    said = texts(app)
    (pick,) = [line for line in said.splitlines() if line.startswith("#### Use `")]
    name = pick.split("`")[1].split(".")[0]
    assert true_ms(lab)[name] <= limit
    assert "measured]" in said
    state = workflows_measure.jobs(lab.store).states()[0]
    assert said.count("likely within ") == state.n_done  # each measurement stands in the path with its reason
    assert "Nothing that was not measured" in said or "something that was not measured" in said
    again = page(max_latency_ms=f"{limit:g}", max_img_size="224", families="all")
    assert pick in texts(again)  # a reload finds the answer by the link


def test_find_says_which_runtimes_it_probes_first_and_takes_them_in(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.keep(n=8)
    offers = [("pytorch-eager", "fp32"), ("pytorch-compile", "fp32"), ("onnxruntime", "fp32")]
    monkeypatch.setattr(machine, "offers", lambda _target: offers)
    app = page(max_latency_ms="25", max_img_size="224", confirm="1")
    told = "first a few probes of onnxruntime and pytorch-compile, not calibrated yet: about 2 min"
    assert told in texts(app)
    click(app, "fnd_go")
    queue = workflows_measure.jobs(lab.store)
    for job in queue.states():
        queue.wait(job.job_id)
    app.run()
    assert "#### Use `" in texts(app)
    assert "first a few probes" not in texts(app)
    assert set(app.selectbox(key="fnd_runtime").options) == {"pytorch-eager", "onnxruntime", "pytorch-compile"}


def test_another_limit_is_another_question(lab: Lab) -> None:
    lab.keep(n=8)
    app = click(page(max_latency_ms="25", max_img_size="224", confirm="1"), "fnd_go")
    ended(lab)
    assert "#### Use `" in texts(app.run())
    app.number_input(key="fnd_max_latency_ms").set_value(11.0).run()
    assert not app.exception
    assert "#### Use `" not in texts(app)
    assert app.query_params["max_latency_ms"] in ("11", ["11"])


def test_a_limit_below_the_fastest_names_the_nearest_miss_and_can_be_relaxed(lab: Lab) -> None:
    lab.keep(n=8)
    app = click(page(max_latency_ms="0.0001", max_img_size="224", confirm="1"), "fnd_go")
    ended(lab)
    app.run()
    assert not app.exception
    (miss,) = [w.value for w in app.warning if "Nothing was measured within" in w.value]
    assert "--" not in miss
    click(app, "fnd_relax_max_latency_ms")
    assert app.number_input(key="fnd_max_latency_ms").value > 0.001


def test_a_throughput_that_nothing_reaches_can_be_relaxed(lab: Lab) -> None:
    lab.keep(n=8)
    app = click(page(max_latency_ms="25", min_throughput="900000", max_img_size="224", confirm="1"), "fnd_go")
    ended(lab)
    app.run()
    assert [b.key for b in app.button if b.key and b.key.startswith("fnd_relax")] == ["fnd_relax_min_throughput"]
    (miss,) = [w.value for w in app.warning if "Nothing was measured within" in w.value]
    click(app, "fnd_relax_min_throughput")
    now = app.query_params["min_throughput"]
    reached = float(now if isinstance(now, str) else now[0])
    assert 0 < reached < 900_000
    assert f"'Throughput at least (img/s)' {reached:g} would probably do" in miss
    app.session_state["fnd_more"] = True  # the box of further limits, open
    app.run()
    assert app.number_input(key="fnd_min_throughput").value == reached


def test_a_browser_that_draws_late_is_told_the_links_values_again_but_not_for_ever(lab: Lab) -> None:
    app, told = page(families="RegNet", confirm="2"), list[bool]()
    for _ in range(6):
        app.run()
        of_families, of_confirm = app.multiselect(key="fnd_families"), app.number_input(key="fnd_confirm")
        assert (of_families.value, of_confirm.value) == (["RegNet"], 2)
        assert of_families.proto.set_value == of_confirm.proto.set_value
        told.append(of_families.proto.set_value)
    assert told == [True] * 4 + [False] * 2


def test_what_the_user_chooses_soon_after_opening_is_kept(lab: Lab) -> None:
    app = page(families="RegNet", confirm="2")
    app.multiselect(key="fnd_families").set_value(["ResNeSt"]).run()
    app.run()
    assert app.multiselect(key="fnd_families").value == ["ResNeSt"]
    assert app.query_params["families"] in ("ResNeSt", ["ResNeSt"])


@pytest.mark.parametrize("field", ["min_accuracy", "max_memory_mb", "min_throughput"])
def test_a_further_limit_becomes_part_of_the_question(lab: Lab, field: str) -> None:
    app = page()
    app.session_state["fnd_more"] = True
    app.run()
    app.number_input(key=f"fnd_{field}").set_value(40.0).run()
    assert not app.exception
    assert app.query_params[field] in ("40", ["40"])


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ({"max_latency_ms": "soon"}, "The link's max_latency_ms 'soon' is not a number"),
        ({"families": "<script>"}, "names no known family '<script>'"),
        ({"colour": "red"}, "The link's 'colour' is not a field"),
    ],
)
def test_a_garbled_link_is_answered_with_one_sentence(lab: Lab, link: dict[str, str], says: str) -> None:
    (warning,) = [w.value for w in page(**link).warning if w.value.startswith("The link")]
    assert says in warning


@pytest.mark.parametrize(("value", "says"), [(None, "'Latency at most' is empty"), (-3.0, "must be a number above 0")])
def test_a_limit_that_makes_no_sense_is_refused(lab: Lab, value: float | None, says: str) -> None:
    app = page()
    app.number_input(key="fnd_max_latency_ms").set_value(value).run()
    assert not app.exception
    (sentence,) = sentences(app)
    assert says in sentence and "--" not in sentence
    assert app.button(key="fnd_go").disabled
