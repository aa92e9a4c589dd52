"""How networks deviate from what their operators add up to, worked out from stores of one machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from advisor import workflows, workflows_predict
from advisor.cli import main
from advisor.errors import BadQuestion, DataError
from advisor.evidence.store import Store
from advisor.measure.run import Work
from advisor.measure.stretches import SUFFERED
from advisor.measure.sweep import SENTINEL
from advisor.predict import deviation_files
from advisor.predict.calibration import PREFIX
from advisor.predict.deviations import COLUMNS, DeviationsBySetup
from advisor.workflows import DATA
from advisor.workflows_deviations import MIN_NETWORKS, DeviatingSetup, build_deviations
from tests import run_data
from tests.calibration_lab import OTHER, VERSIONS, Lab
from tests.timed_operators import linear_law, probe_of

N_PROBES, N_OTHERS = 12, MIN_NETWORKS + 1
Keep = Callable[..., Path]


@pytest.fixture
def store(lab: Lab, tmp_path: Path) -> Store:
    """One with data of its own, which may be written to."""
    return Store(tmp_path / "home", shutil.copytree(lab.store.data, tmp_path / "data"))


@pytest.fixture
def deviation(lab: Lab) -> NDArray[np.float64]:
    """Of every network, a logarithm."""
    return np.random.default_rng(3).normal(0.0, 0.3, len(lab.past.profiles))


@pytest.fixture
def others(lab: Lab) -> list[int]:
    """Rows of networks that are no probes, none of the largest."""
    small = np.flatnonzero(lab.past.profiles.models["macs"] < 5e9)
    probes = {lab.row(name) for name in (SENTINEL, *lab.order[:N_PROBES])}
    return [int(row) for row in small if row not in probes][:N_OTHERS]


@pytest.fixture
def keep(lab: Lab, deviation: NDArray[np.float64], others: list[int], store: Store, tmp_path: Path) -> Keep:
    """Store a calibration by a law, and other networks that deviate from it."""
    profiles, law = lab.past.profiles, linear_law(8)

    def kept(
        folder: str, *, slower: float = 1.0, machine: dict[str, Any] = run_data.MACHINE, n: int = N_OTHERS,
        pulse_ms: dict[int, float] | None = None, again: dict[int, float] | None = None,
    ) -> Path:  # fmt: skip
        def run(minute: int, row: int, deviates: float, pace_ms: float, **more: Any) -> None:
            one = probe_of(profiles, row, law, pace=slower)
            timed = tuple(one.operators) if more.pop("told", False) else ()
            work = Work(macs=1.0, bytes=1.0, operators=(), counter="fake", timed=timed)
            environment = {"versions": VERSIONS, "usable_threads": 2, "pulse_ms": [pace_ms, pace_ms]}
            made = run_data.run(
                f"20260701T10{minute // 60:02d}{minute % 60:02d}-000000-00000000",
                float(one.latency_ms * np.exp(deviates)), architecture=one.architecture, img_size=one.img_size,
                device_id=machine["device_id"], threads=2, parts={"environment": environment, "work": work}, **more,
            )  # fmt: skip
            run_data.save(place, made, machine=machine)

        place = Store(tmp_path / folder, store.data)
        sentinel, sweep = lab.row(SENTINEL), f"{PREFIX}12345678-10"
        run(0, sentinel, 0.0, 1.0, sweep_id=sweep)
        for minute, name in enumerate(lab.order[:N_PROBES], start=1):
            run(minute, lab.row(name), 0.0, 1.0, sweep_id=sweep, told=True)
        run(N_PROBES + 1, sentinel, 0.0, 1.0, sweep_id=sweep)
        for minute, row in enumerate(others[:n], start=N_PROBES + 2):
            run(minute, row, deviation[row], (pulse_ms or {}).get(row, 1.0))
        for more, (row, deviates) in enumerate((again or {}).items(), start=1):
            run(minute + more, row, deviation[row] + deviates, 1.3)
        return place.home

    return kept


def found_in(lab: Lab, store: Store) -> pd.DataFrame:
    table = deviation_files.load(store.data)
    keys = zip(table["architecture"], table["img_size"], strict=True)
    return table.assign(row=[lab.past.profiles.positions[key] for key in keys])


def test_it_finds_how_far_each_network_is_from_its_operators(
    lab: Lab, store: Store, keep: Keep, deviation: NDArray[np.float64], others: list[int]
) -> None:
    report = build_deviations(store, [keep("one")])
    # and the sentinel
    assert report.setups == (DeviatingSetup("pytorch-eager fp32", N_PROBES + N_OTHERS + 1, 1),)
    table = found_in(lab, store)
    assert set(table["row"]) == {*others, *(lab.row(name) for name in (SENTINEL, *lab.order[:N_PROBES]))}
    assert set(table["device"]) == {run_data.MACHINE["name"]}
    of_others = table[table["taught_ms"].isna()]
    far = np.log(of_others["latency_ms"] / of_others["sum_ms"]).to_numpy()
    true = np.where(of_others["row"] == lab.row(SENTINEL), 0.0, deviation[of_others["row"].to_numpy()])
    assert np.median(far) == pytest.approx(0.0, abs=1e-3), "a common pace is no deviation"
    assert np.median(np.abs(far - (true - np.median(true)))) < 0.06
    probes = table[~table["taught_ms"].isna()]
    assert len(probes) == N_PROBES
    told, untold = (np.abs(np.log(probes["latency_ms"] / probes[name])).median() for name in ("taught_ms", "sum_ms"))
    assert told < untold


def latency_ms(lab: Lab, store: Store) -> dict[int, float]:
    table = found_in(lab, store)
    return dict(zip(table["row"], table["latency_ms"], strict=True))


def test_a_network_that_met_a_slower_moment_counts_by_what_it_takes_at_full_pace(
    lab: Lab, store: Store, keep: Keep, others: list[int]
) -> None:
    build_deviations(store, [keep("one")])
    alone = latency_ms(lab, store)
    build_deviations(store, [keep("other", pulse_ms={others[0]: 1.3})])
    corrected = latency_ms(lab, store)
    assert corrected.pop(others[0]) == pytest.approx(alone.pop(others[0]) / 1.3**SUFFERED, rel=1e-3)
    assert corrected == pytest.approx(alone, rel=1e-3)


def test_a_run_that_something_disturbed_at_full_pace_says_nothing_of_a_network(
    lab: Lab, store: Store, keep: Keep, others: list[int]
) -> None:
    """Both were quicker in a slow moment, the second hardly: of that one both runs count."""
    build_deviations(store, [keep("one")])
    alone = latency_ms(lab, store)
    build_deviations(store, [keep("other", again={others[0]: -0.4, others[1]: -0.05})])
    found = latency_ms(lab, store)
    quicker = [found[row] / alone[row] for row in others[:2]]
    assert quicker[0] == pytest.approx(np.exp(-0.4) / 1.3**SUFFERED, rel=1e-3)
    assert np.exp(-0.05) / 1.3**SUFFERED < quicker[1] < 1.0


def test_what_several_calibrations_say_is_averaged_whatever_their_pace(lab: Lab, store: Store, keep: Keep) -> None:
    one, other = keep("one"), keep("other", slower=1.2)
    build_deviations(store, [one])
    alone = found_in(lab, store)
    report = build_deviations(store, [one, other])
    assert report.setups[0].n_calibrations == 2
    both = found_in(lab, store)
    far, far_alone = (np.log(table["latency_ms"] / table["sum_ms"]).to_numpy() for table in (both, alone))
    assert far == pytest.approx(far_alone, abs=0.01)


def test_a_setup_with_few_networks_is_left_out(store: Store, keep: Keep) -> None:
    with pytest.raises(BadQuestion, match=f"{MIN_NETWORKS} networks measured at the machine's full pace"):
        build_deviations(store, [keep("few", n=MIN_NETWORKS - 2)])
    assert not (store.data / deviation_files.NAME).exists()
    build_deviations(store, [keep("enough", n=MIN_NETWORKS - 1)])  # and the sentinel


def test_a_home_without_calibrations_is_refused_in_a_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadQuestion, match="calibrate there and measure more"):
        build_deviations(store, [tmp_path / "empty"])


def test_stores_of_several_machines_are_refused(store: Store, keep: Keep) -> None:
    with pytest.raises(BadQuestion, match="Other, 8 cores and TestChip, 2 cores: give those of one"):
        build_deviations(store, [keep("one"), keep("other", machine=OTHER)])


def test_the_command_says_what_it_came_to(store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "DATA", store.data)
    done = CliRunner().invoke(main, ["build-deviations", str(keep("one"))])
    assert done.exit_code == 0, done.output
    assert (
        f"pytorch-eager fp32: {N_PROBES + N_OTHERS + 1} networks, beside what 1 calibration says of them."
        in done.output
    )


# -- the file ------------------------------------------------------------------------------------------


def written(folder: Path) -> pd.DataFrame:
    line = ("cpu", "Some machine", "2", "openvino", "torch 2", "bf16", "nchw", 1)
    table = pd.DataFrame(
        [(*line, "resnet50", 224, 3.25, 3.0, 2.875), (*line, "resnet18", 224, 1.5, 1.25, np.nan)], columns=list(COLUMNS)
    )
    deviation_files.save(folder, table)
    return table


def test_what_is_written_is_read_in_order_of_name(tmp_path: Path) -> None:
    table = written(tmp_path)
    expected = table.sort_values("architecture").reset_index(drop=True)
    pd.testing.assert_frame_equal(deviation_files.load(tmp_path), expected, check_dtype=False)


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert deviation_files.load(tmp_path).empty
    assert deviation_files.stamp(tmp_path) == 0


@pytest.mark.parametrize(("before", "after"), [("1.5", "x"), ("1.5", "-1"), ("1.5", ""), ("latency_ms", "ms")])
def test_a_broken_file_is_refused_with_what_to_do(tmp_path: Path, before: str, after: str) -> None:
    written(tmp_path)
    path = tmp_path / deviation_files.NAME
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(DataError, match=r"deviations.csv are broken .*build-deviations"):
        deviation_files.load(tmp_path)


def test_a_broken_file_is_mended_by_building_it_anew(
    lab: Lab, store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows_predict, "published", lambda one: workflows_predict.with_deviations(one, lab.past))
    (store.data / deviation_files.NAME).write_text("nonsense\n")
    with pytest.raises(DataError, match="build-deviations"):
        workflows_predict.published(store)
    build_deviations(store, [keep("one")])
    known = workflows_predict.published(store)
    assert [len(one.rows) for (one,) in known.deviations.values()] == [N_PROBES + N_OTHERS + 1]


def test_what_the_file_holds_of_another_machine_stays_and_of_this_one_is_replaced(store: Store, keep: Keep) -> None:
    build_deviations(store, [keep("one")])
    first = deviation_files.load(store.data)
    here = first["device"].iloc[0]
    deviation_files.save(store.data, pd.concat([first.head(3).assign(device="Another"), first.head(1)]))
    build_deviations(store, [keep("again")])
    found = deviation_files.load(store.data)
    assert found["device"].value_counts().to_dict() == {here: len(first), "Another": 3}


def test_what_is_shipped_is_of_networks_with_a_profile(shipped: Store) -> None:
    table = deviation_files.load(DATA)
    past, _ = workflows_predict.published(shipped)
    known = [one for of_setup in DeviationsBySetup(past.profiles, table).values() for one in of_setup]
    assert sum(len(one.rows) for one in known) == len(table), "run 'python -m advisor build-deviations'"
    assert len({one.device for one in known}) > 1
    assert all(table["runtime"].eq(name).sum() >= MIN_NETWORKS for name in ("openvino", "onnxruntime"))
    for one in known:
        assert np.median(one.untaught[one.rows]) == pytest.approx(0.0, abs=1e-6)
        assert np.abs(one.untaught).max() < 1.5, "no network is off by a factor of four"
