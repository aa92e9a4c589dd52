"""What networks suffer of a slow machine, by runs of the same networks at two paces."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from advisor.evidence.store import Store
from advisor.measure.stretches import SUFFERED, Stretch
from advisor.predict.probe import Probe
from advisor.predict.suffering import OWN_DOUBT, UNKNOWN, Suffering, learned, usual
from advisor.workflows import DATA
from advisor.workflows_known import own_latencies, probes_of
from tests.run_data import latency, run, save

UNCOUNTED, NAMES = math.nan, "abcdefghijkl"


def at(latency_ms: float, pulse_ms: float) -> Stretch:
    """A run that was at one pulse all along."""
    return Stretch(latency_ms, pulse_ms, pulse_ms)


def twice(
    n: int, slower: float, power: float, slope: float = 0.0
) -> tuple[list[str], list[Stretch | None], list[float]]:
    """So many networks, each at full pace and at a slower one: run, stretch and number of operators.

    Args:
        power: Of the network in the middle.
        slope: How much higher it is for one with twice as many operators a millisecond.
    """
    more = (np.arange(n) - (n - 1) / 2).tolist()
    runs = [
        (name, at(ms * by ** (power + slope * doubled), by), 20.0 * ms * 2.0**doubled)
        for name, ms, doubled in zip(NAMES[:n], range(5, 5 + n), more, strict=True) for by in (1.0, slower)
    ]  # fmt: skip
    return [name for name, _, _ in runs], [one for _, one, _ in runs], [count for _, _, count in runs]


@pytest.mark.parametrize("power", [0.3, 0.7, 1.2, 2.0])
def test_runs_of_the_same_networks_at_two_paces_tell_what_they_suffer(power: float) -> None:
    """The more networks there are and the further apart the paces, the less counts what is usual."""
    surely, vaguely, hardly = (learned(*twice(*told, power)) for told in ((12, 1.5), (4, 1.2), (4, 1.03)))
    assert surely.usual == pytest.approx(power, abs=0.04)
    assert abs(surely.usual - power) <= abs(vaguely.usual - power) <= abs(hardly.usual - power) + 1e-9
    assert hardly.usual == pytest.approx(SUFFERED, abs=0.15)
    assert surely.doubt < vaguely.doubt < hardly.doubt
    assert surely.slope == pytest.approx(0.0, abs=0.01)


def test_networks_that_run_more_operators_in_a_millisecond_may_suffer_more() -> None:
    networks, stretches, counts = twice(12, 1.5, 1.2, 0.1)
    found = learned(networks, stretches, counts)
    assert (found.usual, found.slope) == (pytest.approx(1.2, abs=0.05), pytest.approx(0.1 / math.log(2), abs=0.03))
    full_ms = np.array([5.0, 16.0])
    powers = found.of(np.array([20 * 5 * 2.0**-5.5, 20 * 16 * 2.0**5.5]), full_ms)
    assert powers == pytest.approx([1.2 - 0.55, 1.2 + 0.55], abs=0.1)
    assert found.of(np.array([math.nan]), full_ms[:1]) == pytest.approx(found.usual)
    assert learned(networks, stretches, [UNCOUNTED] * len(networks)).slope == pytest.approx(0.0, abs=1e-6)


def test_no_network_is_quicker_on_a_slower_machine() -> None:
    assert learned(*twice(12, 1.5, -1.0)).usual == pytest.approx(0.0, abs=1e-3)
    assert Suffering(0.5, 1.0, busy=3.0).of(np.array([1.0]), np.array([10.0])) == 0.0


def test_what_is_usual_is_suffered_where_no_network_was_measured_twice_beside_the_pulse() -> None:
    """And it is more in doubt than after any."""
    nothing = learned([], [], [])
    assert (nothing.usual, nothing.slope) == (SUFFERED, 0.0)
    once = learned("abc", [at(10.0, 1.0), at(40.0, 2.0), None], [100.0] * 3)
    untold = learned("aab", [at(10.0, 1.0), None, at(9.0, 1.5)], [UNCOUNTED] * 3)
    assert once.usual == untold.usual == pytest.approx(SUFFERED)
    assert nothing.doubt > learned(*twice(2, 1.2, 0.7)).doubt


def test_a_disturbed_run_hardly_moves_what_is_suffered() -> None:
    networks, stretches, counts = twice(8, 1.3, 1.2)
    stalled = [*stretches[:-1], at(60.0, 1.3)]
    quiet, disturbed = (learned(networks, runs, counts).usual for runs in (stretches, stalled))
    assert stretches[-1] is not None and stretches[-1].latency_ms < 20
    assert disturbed == pytest.approx(quiet, abs=0.15)


def test_networks_share_what_is_in_doubt_of_their_powers_as_a_line_does() -> None:
    """By a sample of lines."""
    told = Suffering(1.0, 0.3, 2.0, (0.04, -0.01, 0.09))
    drawn = np.random.default_rng(0).multivariate_normal([0, 0], [[0.04, -0.01], [-0.01, 0.09]], 200_000)
    busier = np.array([-1.0, 0.0, 1.5])
    sampled = np.cov((drawn @ np.array([np.ones(3), busier])).T)
    assert told.shared_doubt(busier) == pytest.approx(sampled, abs=3e-3)
    assert told.doubt == pytest.approx(math.hypot(0.2, OWN_DOUBT))


def test_probes_of_a_setup_suffer_as_its_runs_tell(tmp_path: Path) -> None:
    """Those of another setup of the same store do not."""
    store = Store(tmp_path, DATA)
    for runtime, power in (("pytorch-eager", 1.5), ("onnxruntime", 0.4)):
        names, stretches, _ = twice(8, 1.5, power)
        for place, (name, one) in enumerate(zip(names, stretches, strict=True)):
            timed = replace(latency(10.0), stretch=one)
            parts = {"latency": timed}
            save(store, run(f"{runtime}-{place}", 10.0, architecture=name, runtime=runtime, parts=parts))
    own = own_latencies(store)
    found = {one.setup.runtime: probes_of(store, own)[one.run_id] for one in own.itertuples()}
    powers = {runtime: usual([one]) for runtime, one in found.items()}
    assert powers == {"pytorch-eager": pytest.approx(1.5, abs=0.05), "onnxruntime": pytest.approx(0.4, abs=0.05)}
    given = Suffering(1.1)
    assert {one.suffering for one in probes_of(store, own, dict.fromkeys(own["setup"], given)).values()} == {given}


def test_what_is_usual_is_what_probes_tell_themselves_else_what_their_setup_taught() -> None:
    probes = [Probe(name, 224, 10.0, suffering=Suffering(1.3)) for name in "abc"]
    assert usual(probes) == 1.3 and usual([]) == SUFFERED == UNKNOWN.usual
    assert usual([replace(probes[0], suffers=0.9), *probes[1:]]) == 0.9
