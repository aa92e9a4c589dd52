"""The backtest: scores by formula, baselines by hand, no leak from the device held out, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from advisor import workflows_predict
from advisor.cli import main
from advisor.predict.backtest import MACS, NEAREST, PREDICTOR, Backtest, backtest
from advisor.predict.backtest_answers import BY_GUIDE, CONFIRMED, POINT
from advisor.predict.backtest_plan import Plan
from advisor.predict.backtest_summary import advice_by_kind, by_kind
from advisor.predict.baselines import macs_times_constant, nearest_device_times_constant
from advisor.predict.history import History, history
from advisor.predict.scoring import AnswerScore, mean_answer, score_answer, score_predictions
from tests.invented_devices import CPU, invented, setup_of, some_profiles

PLAN = Plan(n_probes=(10,), draws=2)
PROFILES = some_profiles(8)


def devices(*, other_setup_noise: float = 0.03) -> History:
    return history(PROFILES, [
        *(invented(PROFILES, setup_of(f"cpu-{seed}"), seed) for seed in range(3)),
        invented(PROFILES, setup_of("cpu-0", precision="bf16"), 7, noise=other_setup_noise),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def top1() -> dict[int, float]:
    return {row: 60 + 5 * np.log10(macs / 1e8) for row, macs in enumerate(PROFILES.models["macs"]) if row % 2}


@pytest.fixture(scope="module")
def found(top1: dict[int, float]) -> Backtest:
    return backtest(devices(), top1, PLAN)


# -- scores --------------------------------------------------------------------------------------------


def test_scores_of_predictions_by_hand() -> None:
    true = np.array([10.0, 20.0, 30.0, 40.0])
    score = score_predictions(
        true, np.array([10.9, 20.0, 20.0, np.nan]), np.array([[9, 12], [21, 22], [10, 30], [0, 99]])
    )
    assert score.median_error == pytest.approx(0.09)
    assert score.within_10 == pytest.approx(2 / 3)
    assert score.coverage == pytest.approx(2 / 3)
    assert score.spearman == pytest.approx(0.866, abs=0.001)


@pytest.mark.parametrize(("pick", "expected"), [
    (0, AnswerScore(0.0, 5.0, 0.0, 2)), (2, AnswerScore(1.0, None, 0.0, 2)), (None, AnswerScore(0.0, None, 1.0, 2)),
])  # fmt: skip
def test_an_answer_over_budget_counts_as_broken_not_as_regret(pick: int | None, expected: AnswerScore) -> None:
    assert score_answer(np.array([70.0, 75.0, 80.0]), np.array([1.0, 2.0, 4.0]), 2.0, pick, 2) == expected


def test_mean_regret_is_over_answers_within_the_budget() -> None:
    mean = mean_answer([AnswerScore(0.0, 1.0, 0.0, 4), AnswerScore(1.0, None, 0.0, 0)])
    assert mean == AnswerScore(0.5, 1.0, 0.0, 2.0)


# -- baselines -----------------------------------------------------------------------------------------


def test_macs_times_constant_takes_the_median_ratio() -> None:
    predicted = macs_times_constant(
        np.array([1.0, 2.0, 4.0, 8.0]), np.arange(3), np.array([1.0, 4.0, 12.0]), np.array([3])
    )
    assert predicted.tolist() == [16.0]  # ratios 1, 2 and 3


def test_nearest_device_is_the_one_in_proportion() -> None:
    past = devices()
    truth = 3 * past.patterns[1].column.latency_ms
    rows, wanted = np.arange(5), np.arange(5, 20)
    predicted = nearest_device_times_constant(past, CPU, rows, truth[rows], wanted)
    assert predicted == pytest.approx(truth[wanted])


# -- the whole -----------------------------------------------------------------------------------------


def test_every_setup_is_a_case_of_its_own_and_the_predictor_beats_macs(found: Backtest) -> None:
    random = {c.method: c.score for c in found.cases if c.probes == "random" and c.setup.device_id == "cpu-1"}
    assert set(random) == {PREDICTOR, MACS, NEAREST}
    assert random[PREDICTOR].median_error < 0.5 * random[MACS].median_error
    assert len({case.setup for case in found.cases}) == 4


def test_nothing_of_a_device_held_out_is_known_not_even_its_other_setups(
    found: Backtest, top1: dict[int, float]
) -> None:
    other = backtest(devices(other_setup_noise=0.5), top1, PLAN)
    first, second = (
        [c for c in b.cases if c.setup == setup_of("cpu-0")] for b in (found, other)
    )  # fmt: skip
    assert first == second
    assert found.priors["cpu-0"] == other.priors["cpu-0"]


def test_confirmed_answers_never_break_a_budget(found: Backtest) -> None:
    rows = {row.method: row.score for row in advice_by_kind(found) if row.probes == "random"}
    assert rows[CONFIRMED].broken == 0.0
    assert rows[CONFIRMED].confirmations <= 5
    assert rows[CONFIRMED].regret is not None and rows[CONFIRMED].regret < 0.3
    assert rows[POINT].broken > 0.0
    guide = rows[BY_GUIDE]  # one family and no measurement: accuracy grows with multiply-adds, whatever the family
    assert guide.confirmations == 0.0 and guide.regret is not None and guide.regret > rows[CONFIRMED].regret


def test_a_kind_is_the_mean_of_its_devices_not_of_their_setups(found: Backtest) -> None:
    (row,) = (r for r in by_kind(found) if r.method == MACS and r.probes == "chosen")
    of_device: dict[str, list[float]] = {}
    for case in found.cases:
        if case.method == MACS and case.probes == "chosen":
            of_device.setdefault(case.setup.device_id, []).append(case.score.median_error)
    assert (row.n_devices, row.n_setups) == (3, 4)
    assert row.score.median_error == pytest.approx(np.mean([np.mean(errors) for errors in of_device.values()]))


def test_the_command_prints_tables_and_json(found: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path))
    monkeypatch.setattr(workflows_predict, "backtest", lambda *_args: found)
    shown = CliRunner().invoke(main, ["backtest"])
    assert shown.exit_code == 0 and "predict, then confirm" in shown.output and "Median error" in shown.output
    said = json.loads(CliRunner().invoke(main, ["backtest", "--json"]).output)
    assert set(said) == {"plan", "predictions", "devices", "setups", "advice", "priors"}
    assert {row["method"] for row in said["predictions"]} == {PREDICTOR, MACS, NEAREST}
