"""How wide intervals are where the probes' own operators tell what networks take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from advisor.measure.stretches import SUFFERED
from advisor.predict.deviations import Deviations, key_of
from advisor.predict.history import History
from advisor.predict.predictor import FROM_TIMED, FROM_TIMED_UNTOLD, Predictor, Prior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from tests.invented_devices import setup_of
from tests.timed_operators import linear_law, probe_of

HERE = setup_of("here")


def probes(profiles: Profiles, rows: list[int]) -> list[Probe]:
    return [probe_of(profiles, row, linear_law(1)) for row in rows]


def test_a_network_is_expected_nearer_to_its_operators_than_to_published_devices(
    profiles: Profiles, past: History, rows: list[int]
) -> None:
    """The same probes, on units that are the machine's own and on such as neighbours use too: both at full pace."""
    given = probes(profiles, rows)
    shared = [replace(one, suffers=1.5 * SUFFERED, matrix_units=True) for one in given]
    own, others = (Predictor(past, Prior()).fit({HERE: some}).posterior(HERE) for some in (given, shared))
    assert own.mean == pytest.approx(others.mean, abs=0.01)
    assert (own.deviation < others.deviation).all()
    # what the probes surprise, and how far bases are apart, is the same for both
    assert FROM_TIMED_UNTOLD < np.median(own.deviation / others.deviation) < 0.8


def test_it_is_expected_nearer_still_where_other_machines_tell_how_networks_of_that_setup_deviate(
    profiles: Profiles, past: History, rows: list[int]
) -> None:
    given, none = {HERE: probes(profiles, rows)}, np.zeros(len(profiles))
    told, untold = (
        Predictor(replace(past, deviations={key_of(HERE): [one]}), Prior()).fit(given).posterior(HERE).deviation
        for there in [Deviations(np.arange(80), none, none, none, "Some machine")]
        for one in (there, there.shrunk(0.5))
    )
    assert (told < untold).all()
    assert FROM_TIMED / FROM_TIMED_UNTOLD < np.median(told / untold) < 0.9


def test_it_is_not_where_no_probe_has_timed_operators(profiles: Profiles, past: History, rows: list[int]) -> None:
    given = [replace(one, operators=()) for one in probes(profiles, rows)]
    shared = [replace(one, suffers=1.5 * SUFFERED, matrix_units=True) for one in given]
    own, others = (Predictor(past, Prior()).fit({HERE: some}).posterior(HERE) for some in (given, shared))
    assert own.deviation == pytest.approx(others.deviation)
