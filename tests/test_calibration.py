"""What a calibration asks for, what is read of it from its runs, and when it does not hold any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from advisor.errors import BadQuestion
from advisor.measure.run import Run
from advisor.measure.sweep import SENTINEL
from advisor.predict.calibration import (
    PREFIX,
    Asked,
    fingerprint,
    is_of,
    new_id,
    next_probe,
    operators_of,
    staleness,
)
from advisor.predict.pace import AT_FULL_PACE
from tests.run_data import failed, run

CPU = Asked("cpu", "pytorch-eager", "fp32", "nchw", 1, 2)
ORDER = ("a", "b", "c", "d", "e", "f")


def done(name: str, seconds: float = 3.0) -> Run:
    return replace(run(name, architecture=name), seconds=seconds)


def broken(name: str) -> Run:
    one = failed(name)
    return replace(one, request=replace(one.request, architecture=name))


def follows(*runs: Run, n: int = 4, least: int = 3, budget_s: float = 60.0, looks: int = 1) -> str | None:
    found = next_probe(CPU, ORDER, runs, n=n, least=least, budget_s=budget_s, looks=looks)
    return None if found is None else found.architecture


# -- what is asked for ---------------------------------------------------------------------------------


def test_a_probe_is_the_network_at_its_native_size_in_the_setup_asked_for() -> None:
    probe = Asked("cpu", "openvino", "auto", "nchw", 8, 3).request("resnet50")
    assert (probe.architecture, probe.img_size, probe.runtime, probe.precision) == (
        "resnet50", None, "openvino", "auto",
    )  # fmt: skip
    assert (probe.batch_size, probe.threads, probe.pulse_ms) == (8, 3, None)


@pytest.mark.parametrize(("target", "runtime", "precision", "extras"), [
    ("cpu", "pytorch-eager", "fp32", ("operators",)), ("cpu", "pytorch-eager", "bf16", ()),
    ("cpu", "pytorch-compile", "fp32", ("operators",)), ("cpu", "openvino", "auto", ("operators",)),
    ("cpu", "onnxruntime", "fp32", ("operators",)), ("cuda:0", "pytorch-eager", "fp32", ("operators",)),
    ("cuda:0", "pytorch-compile", "fp32", ()), ("cuda:0", "onnxruntime", "fp32", ()),
])  # fmt: skip
def test_operators_are_timed_in_eager_fp32_and_in_fusing_runtimes_on_a_cpu(
    target: str, runtime: str, precision: str, extras: tuple[str, ...]
) -> None:
    assert Asked(target, runtime, precision, "nchw", 1, 2).request("resnet50").extras == extras


def test_the_sentinel_is_the_same_whatever_the_setup_but_runs_on_as_many_threads() -> None:
    sentinels = {replace(CPU, runtime=runtime, batch_size=4).sentinel for runtime in ("pytorch-eager", "openvino")}
    (one,) = sentinels
    assert (one.architecture, one.runtime, one.batch_size, one.threads) == (SENTINEL, "pytorch-eager", 1, 2)


def test_a_setup_that_no_runtime_offers_is_refused() -> None:
    with pytest.raises(BadQuestion, match="onnxruntime does not take --precision bf16"):
        replace(CPU, runtime="onnxruntime", precision="bf16")


def test_ids_tell_calibrations_and_setups_apart() -> None:
    first, second = new_id(CPU, "1"), new_id(replace(CPU, threads=1), "1")
    assert first.startswith(PREFIX) and second.startswith(PREFIX)
    assert first == new_id(CPU, "1") and len({first, second, new_id(CPU, "2")}) == 3
    assert is_of(first, CPU) and is_of(new_id(CPU, "2"), CPU) and not is_of(second, CPU)


# -- what is measured next -----------------------------------------------------------------------------


def test_probes_follow_in_their_order_until_there_are_enough() -> None:
    assert follows() == "a"
    assert follows(done("a")) == "b"
    assert follows(done("a"), done("b"), done("c")) == "d"
    assert follows(done("a"), done("b"), done("c"), done("d")) is None


def test_the_next_in_order_takes_the_place_of_a_probe_that_failed() -> None:
    assert follows(done("a"), broken("b"), done("c"), done("d")) == "e"
    assert follows(done("a"), broken("b"), done("c"), done("d"), done("e")) is None


def test_a_setup_in_which_nothing_works_is_given_up_soon() -> None:
    assert follows(broken("a"), broken("b")) == "c"
    assert follows(broken("a"), broken("b"), broken("c")) is None


def test_no_probe_is_begun_that_would_not_end_within_the_budget() -> None:
    three = (done("a", 10.0), done("b", 10.0), done("c", 10.0))
    assert follows(*three, budget_s=40.0) == "d"  # a fourth one of 10 s ends just in time
    assert follows(*three, budget_s=39.9) is None


def test_as_many_as_predictions_need_may_take_twice_the_budget() -> None:
    assert follows(done("a", 30.0), done("b", 30.0), budget_s=45.0) == "c"
    assert follows(done("a", 30.0), done("b", 30.0), budget_s=44.9) is None
    assert follows(done("a", 30.0), done("b", 30.0), done("c", 30.0), budget_s=45.0) is None
    assert follows(budget_s=0.001) == "a"


def test_where_the_order_ends_so_do_the_probes() -> None:
    assert follows(*(broken(name) if name != "a" else done(name) for name in ORDER)) is None


def paced(name: str, pulse_ms: float, seconds: float = 3.0) -> Run:
    one = run(name, architecture=name, parts={"environment": {"pulse_ms": [pulse_ms, pulse_ms]}})
    return replace(one, seconds=seconds)


QUIET = (paced("a", 1.0), paced("b", 1.0))


def test_probes_of_a_slower_moment_are_measured_up_to_twice_more_the_slowest_first() -> None:
    restless = (*QUIET, paced("c", 1.2), paced("d", 1.3))
    assert follows(*restless) == "d"
    once_more = (*restless, paced("d", 1.3), paced("d", 1.3))
    assert follows(*once_more) == "c"
    assert follows(*once_more, paced("c", 1.2), paced("c", 1.2)) is None


def test_operators_are_watched_at_full_pace_where_slow_moments_divide_a_pass_unlike() -> None:
    """Products in bfloat16 may be left to units that neighbours use too; in fp32 all operators suffer about alike."""
    reduced = replace(CPU, runtime="openvino", precision="auto")
    first, second = (next_probe(reduced, ORDER, runs, n=4, least=3, budget_s=60.0) for runs in ((), QUIET))
    assert first is not None and first.pulse_ms is None, "full pace is not known yet"
    assert second is not None and second.pulse_ms == pytest.approx(AT_FULL_PACE)
    again = next_probe(reduced, ORDER, (*QUIET, paced("c", 1.2), paced("d", 1.3)), n=4, least=3, budget_s=60.0)
    assert again is not None and again.pulse_ms == pytest.approx(AT_FULL_PACE)
    in_fp32 = next_probe(CPU, ORDER, QUIET, n=4, least=3, budget_s=60.0)
    assert in_fp32 is not None and in_fp32.pulse_ms is None


def test_every_network_is_measured_a_second_time_while_there_is_time() -> None:
    once = (*QUIET, paced("c", 1.0), paced("d", 1.0))
    assert follows(*once, looks=2) == "a"
    assert follows(*once, paced("a", 1.0), looks=2) == "b"
    assert follows(*once, *once, looks=2) is None
    assert follows(*once, *QUIET, budget_s=15.0, looks=2) is None  # six took 18 s, and 16.5 may be spent
    assert follows(*QUIET, paced("c", 1.0), looks=2) == "d", "new ones come first"
    assert next_probe(CPU, ORDER, once, n=4, least=3, budget_s=60.0) is not None, "as a calibration does by itself"


def test_what_was_slow_comes_before_second_looks_and_is_measured_three_times_at_most() -> None:
    restless = (*QUIET, paced("c", 1.2), paced("d", 1.0))
    assert follows(*restless, looks=2) == "c"
    assert follows(*restless, paced("c", 1.2), looks=2) == "c"
    assert follows(*restless, paced("c", 1.2), paced("c", 1.2), looks=2) == "a"
    assert follows(*restless, paced("c", 1.0), looks=2) == "a"


def compiled(name: str, seconds: float, convert: float) -> Run:
    one = run(name, architecture=name, runtime="pytorch-compile", parts={"seconds": {"convert": convert, "time": 1.5}})
    return replace(one, seconds=seconds)


def test_where_no_new_one_ends_in_time_known_ones_are_measured_again() -> None:
    three = (done("a", 18.0), done("b", 22.0), done("c", 20.0))
    assert follows(*three, budget_s=70.0, looks=2) is None, "another look takes as long as the first"
    assert follows(*three, budget_s=71.0, looks=2) == "a"  # 60 and 18 of 78.1 s
    assert follows(*three[:2], budget_s=50.0, looks=2) == "c", "fewer than predictions need are not looked at again"


def test_what_was_compiled_once_is_quickly_measured_again() -> None:
    three = tuple(compiled(name, 20.0, 17.0) for name in "abc")
    assert follows(*three, looks=2) == "a"  # 60 and 3 of 66 s
    again = (*three, compiled("a", 3.0, 0.5))
    assert follows(*again, looks=2) == "b", "a quick look makes no new one any quicker"
    assert follows(*again, compiled("b", 3.0, 0.5), looks=2) is None  # 66 s are spent
    eager = tuple(done(name, 20.0) for name in "abc")
    assert follows(*eager, looks=2) is None


def noisy(name: str, pulse_ms: float = 1.0) -> Run:
    return replace(paced(name, pulse_ms), verdict="noisy", verdict_reasons=("Others were busy.",))


def test_disturbed_probes_are_measured_once_more_before_those_of_slower_moments() -> None:
    disturbed = (*QUIET, paced("c", 1.3), noisy("d"))
    assert follows(*disturbed) == "d"
    assert follows(*disturbed, noisy("d")) == "c", "twice disturbed is not measured a third time"
    assert follows(*disturbed, paced("d", 1.0)) == "c"
    assert follows(*disturbed, paced("d", 1.0), paced("c", 1.0)) is None


def test_of_disturbed_probes_the_least_certain_is_measured_again_first() -> None:
    """As where most of a run took three times as long as its beginning."""
    vague = noisy("d")
    assert vague.measured is not None
    latency = replace(vague.measured.latency, ci95=(10.0, 30.0))
    vague = replace(vague, measured=replace(vague.measured, latency=latency))
    assert follows(*QUIET, noisy("c"), vague, looks=2) == "d"
    assert follows(*QUIET, vague, noisy("c"), noisy("d"), looks=2) == "c", "once it is known well it is as any other"


def test_a_machine_that_is_slow_all_along_is_known_by_its_pulses_of_before() -> None:
    slow = tuple(paced(name, 1.2) for name in "abcd")
    assert follows(*slow) is None
    again = next_probe(CPU, ORDER, slow, n=4, least=3, budget_s=60.0, earlier_ms=[1.0] * 8)
    assert again is not None and again.architecture == "a"


def test_probes_at_full_pace_are_not_measured_again() -> None:
    assert follows(*QUIET, paced("c", 1.05), paced("d", 1.0)) is None
    restless = (*QUIET, paced("c", 1.2), paced("d", 1.3))
    assert follows(*restless, paced("d", 1.0), paced("c", 1.0)) is None


def test_new_probes_come_before_those_that_are_measured_again() -> None:
    assert follows(*QUIET, paced("c", 1.5)) == "d"
    assert follows(*QUIET, paced("c", 1.5), broken("d")) == "e"


def test_probes_are_measured_again_until_a_tenth_beyond_the_budget() -> None:
    restless = (*QUIET, paced("c", 1.2), paced("d", 1.3))
    assert follows(*restless, budget_s=13.7) == "d"  # it ends after 15 s
    assert follows(*restless, budget_s=13.6) is None


# -- whether it still holds ----------------------------------------------------------------------------

THEN = fingerprint(
    "chip-2c", "Chip, 2 cores", "torch 2.15.0, timm 1.0.31, openvino 2026.4.0, CUDA 13.0",
    {"usable_threads": 2, "gpu": {"driver": "580.1"}, "kernel": "6.1"},
)  # fmt: skip


def now(**changes: str) -> dict[str, str]:
    return THEN | {"onnxruntime": "1.31.0"} | changes


def test_a_calibration_holds_where_only_that_changed_which_it_does_not_depend_on() -> None:
    assert staleness(THEN, now()) == ()
    assert set(THEN) == {"device_id", "machine", "threads", "driver", "torch", "timm", "openvino"}


@pytest.mark.parametrize(("change", "said"), [
    ({"torch": "2.16.0"}, "It was made with torch 2.15.0, and 2.16.0 is installed now: calibrate again."),
    ({"openvino": "2027.0"}, "It was made with openvino 2026.4.0, and 2027.0 is installed now: calibrate again."),
    ({"driver": "590.2"}, "It was made with the GPU driver 580.1, and 590.2 is installed now: calibrate again."),
    ({"threads": "4"}, "It was made when 2 threads could be used, and now 4 can: calibrate again."),
])  # fmt: skip
def test_each_change_is_told_in_a_sentence(change: dict[str, str], said: str) -> None:
    assert staleness(THEN, now(**change)) == (said,)


def test_every_change_is_told() -> None:
    assert len(staleness(THEN, now(torch="2.16.0", timm="1.1", threads="1"))) == 3


def test_a_package_that_is_gone_makes_it_stale() -> None:
    here = now()
    del here["openvino"]
    assert staleness(THEN, here) == (
        "It was made with openvino 2026.4.0, which is not installed now: calibrate again.",
    )  # fmt: skip


def test_a_calibration_of_another_machine_says_which_and_nothing_else() -> None:
    here = now(device_id="other-8c", machine="Other, 8 cores", torch="2.16.0")
    assert staleness(THEN, here) == ("It was made on Chip, 2 cores, and this is Other, 8 cores: calibrate here.",)


def test_what_was_not_known_then_is_no_difference() -> None:
    assert staleness(fingerprint("chip-2c", "Chip", "", {}), now()) == ()


@pytest.mark.parametrize("text", [None, "null", float("nan")])
def test_a_run_without_timed_operators_has_none(text: str | None) -> None:
    assert operators_of(text) == ()
