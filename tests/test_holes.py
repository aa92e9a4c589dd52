"""Holes of published setups: predicted only where whole families held out were, with the reason where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from advisor import workflows, workflows_holes, workflows_predict
from advisor.errors import BadQuestion, DataError
from advisor.evidence.store import Store
from advisor.predict import hole_files
from advisor.predict.belief import belief
from advisor.predict.columns import Column, columns
from advisor.predict.history import History
from advisor.predict.holes import Filled, HeldOut, family_folds, filled, held_out, within_hull
from advisor.predict.predictor import Posterior, Prior, posterior
from advisor.predict.profile import Profiles
from advisor.records import Question
from tests.conftest import ROOT
from tests.invented_devices import CPU, invented, invented_cpus, setup_of, some_profiles

GOOD = HeldOut(CPU, 60, 12, 0.9, 0.88, 0.08)


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return some_profiles(12)


@pytest.fixture(scope="module")
def past(profiles: Profiles) -> History:
    return invented_cpus(profiles, 3)


def part(column: Column, rows: np.ndarray) -> Column:
    return Column(column.setup, column.rows[rows], column.latency_ms[rows])


# -- the test ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"coverage": 0.80, "family_coverage": 0.80, "median_error": 0.15}, ""),
        ({"n_families": 7}, "its 60 networks are of 7 families, and 8 are needed"),
        ({"coverage": 0.71}, "71 % were within their 90 % interval, and 80 % to 97 % would be honest"),
        ({"coverage": 0.98}, "98 % were within their 90 % interval, and 80 % to 97 % would be honest"),
        (
            {"family_coverage": 0.7},
            "only 70 % of the average family were within their 90 % interval, and 80 % are asked",
        ),
        ({"median_error": 0.22}, "the median error was 22 %, and at most 15 % is asked"),
    ],
)
def test_setup_is_refused_in_words_unless_its_own_families_were_predicted_honestly(
    changes: dict[str, float], says: str
) -> None:
    refused = replace(GOOD, **changes).refused  # type: ignore[arg-type]
    assert refused.endswith(says)
    assert bool(refused) == bool(says)


def test_families_are_held_out_whole_one_by_one_or_in_about_equal_parts() -> None:
    families = np.array(["a"] * 7 + ["b"] * 3 + [f"c{i}" for i in range(20)], dtype=object)
    alone = family_folds(families, one_by_one=True)
    assert len(set(alone)) == 22
    tenths = family_folds(families, one_by_one=False)
    assert len(set(tenths)) == 10
    for folds in (alone, tenths):
        assert all(len(set(folds[families == name])) == 1 for name in set(families))
    assert sorted(np.bincount(tenths)) == [2, 2, 2, 2, 3, 3, 3, 3, 3, 7]


def test_each_network_is_predicted_without_any_of_its_family(profiles: Profiles, past: History) -> None:
    column = invented(profiles, setup_of("new"), 9)
    believed = belief(past, column.setup)
    families = believed.alike.families[column.rows]
    within, errors = [], []
    for i, family in enumerate(families):  # one network at a time, slowly
        rest = families != family
        one = posterior(believed, Prior(), column.rows[rest], column.latency_ms[rest], column.rows[[i]])
        low, middle, high = one.quantiles()[0]
        within.append(low <= column.latency_ms[i] <= high)
        errors.append(abs(middle / column.latency_ms[i] - 1))
    found = held_out(believed, Prior(), column)
    assert (found.n_rows, found.n_families) == (len(column.rows), len(set(families)))
    assert found.coverage == pytest.approx(np.mean(within))
    assert found.median_error == pytest.approx(np.median(errors))


def test_too_few_families_are_not_even_tested(profiles: Profiles, past: History) -> None:
    column = invented(profiles, setup_of("new"), 9)
    families = belief(past, CPU).alike.families
    few = np.flatnonzero(np.isin(families, sorted(set(families))[:7]))
    found = held_out(belief(past, CPU), Prior(), part(column, few))
    assert np.isnan(found.coverage)
    assert "7 families" in found.refused


# -- what is predicted ---------------------------------------------------------------------------------


def test_honest_setup_predicts_what_it_lacks_and_keeps_to_the_truth(profiles: Profiles, past: History) -> None:
    whole = invented(profiles, setup_of("new"), 9)
    have = np.arange(len(profiles)) % 3 > 0
    found = filled(past, Prior(), part(whole, np.flatnonzero(have)), np.arange(len(profiles)))
    assert found.held_out.refused == ""
    assert not set(found.rows) & set(np.flatnonzero(have))
    truth = whole.latency_ms[found.rows]
    low, middle, high = found.posterior.quantiles().T
    assert np.median(np.abs(middle / truth - 1)) < 0.1
    assert 0.8 <= np.mean((low <= truth) & (truth <= high)) <= 1


def test_setup_whose_latencies_follow_no_law_predicts_nothing(profiles: Profiles, past: History) -> None:
    whole = invented(profiles, setup_of("new"), 9, noise=1.0)
    have = np.flatnonzero(np.arange(len(profiles)) % 3 > 0)
    found = filled(past, Prior(), part(whole, have), np.arange(len(profiles)))
    assert found.held_out.refused
    assert (len(found.rows), len(found.posterior.mean)) == (0, 0)


def test_own_device_teaches_nothing_to_its_own_holes(profiles: Profiles, past: History) -> None:
    """With the device in the history its holes would be known from its other setups."""
    column = past.patterns[0].column
    have = part(column, np.flatnonzero(np.arange(len(profiles)) % 3 > 0))
    with_it, without = (
        filled(known, Prior(), have, np.arange(len(profiles))) for known in (past, past.without(column.setup.device_id))
    )
    assert np.array_equal(with_it.posterior.mean, without.posterior.mean)


def test_networks_beyond_those_that_are_published_are_left_out(profiles: Profiles) -> None:
    macs = profiles.models["macs"].to_numpy()
    known = np.flatnonzero(macs < np.median(macs))
    wanted = np.arange(len(profiles))
    inside = within_hull(profiles, known, wanted)
    assert inside[known].all()
    assert (macs[inside] <= macs[known].max()).all()
    attention = profiles.features[:, -4] > 0  # operators by class are the last ten, attention the seventh
    without = np.flatnonzero(~attention)
    assert not within_hull(profiles, without, np.flatnonzero(attention)).any()
    one_size = np.flatnonzero((profiles.models["img_size"] == 224).to_numpy())
    assert set(profiles.models["img_size"][within_hull(profiles, one_size, wanted)]) == {224}


# -- the files -----------------------------------------------------------------------------------------


def _made(profiles: Profiles, folder: Path, made_from: str = "data-1") -> hole_files.Holes:
    other = replace(GOOD, setup=setup_of("b"), median_error=0.5)
    found = [
        (Filled(GOOD, np.array([1, 4]), Posterior(np.log([2.0, 3.0]), np.array([0.1, 0.2]))), "latency_ms"),
        (Filled(other, np.empty(0, int), Posterior(np.empty(0), np.empty(0))), "latency_ms throughput_per_s"),
    ]
    return hole_files.save(found, profiles, folder, made_from=made_from)


def test_what_was_written_is_read(profiles: Profiles, tmp_path: Path) -> None:
    made = _made(profiles, tmp_path)
    assert made is hole_files.load(tmp_path)  # kept
    assert made.made_from == "data-1"
    assert made.verdicts["n_predicted"].tolist() == [2, 0]
    assert made.verdicts["refused"].tolist()[0] == ""
    assert "median error was 50 %" in made.verdicts["refused"].tolist()[1]
    assert made.predictions["architecture"].tolist() == profiles.models["architecture"].iloc[[1, 4]].tolist()
    assert made.predictions["p50_ms"].tolist() == pytest.approx([2.0, 3.0])


def test_without_files_nothing_is_predicted(tmp_path: Path) -> None:
    assert hole_files.load(tmp_path).verdicts.empty


def test_files_of_different_builds_are_refused(profiles: Profiles, tmp_path: Path) -> None:
    _made(profiles, tmp_path)
    path = tmp_path / hole_files.VERDICTS
    path.write_text(path.read_text(encoding="utf-8").replace("60", "61"), encoding="utf-8")
    with pytest.raises(DataError, match=r"not built with.*build-holes"):
        hole_files.load(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="build-holes"):
        hole_files.load(tmp_path)


def test_holes_of_other_results_than_those_in_use_are_not_shown(profiles: Profiles, small: Store) -> None:
    _made(profiles, small.data, workflows_holes.made_from(small))
    device_id = GOOD.setup.device_id
    assert len(workflows_holes.holes_of(small, device_id, "infer")) == 2
    assert "other published results" not in workflows_holes.refusal(small, Question(device_id))
    newer = next((small.data / "published").glob("*.speed.csv"))
    newer.write_bytes(newer.read_bytes() + b"\n")
    assert workflows_holes.holes_of(small, device_id, "infer").empty
    assert workflows_holes.refusal(small, Question(device_id)) == (
        "None is predicted either: what is predicted was made from other published results than those in use: run "
        "'python -m advisor build-holes'."
    )


def test_building_needs_two_published_devices(small: Store) -> None:
    with pytest.raises(BadQuestion, match="0 published devices have enough networks"):
        workflows_holes.build_holes(small, lambda *_progress: None)


# -- what is shipped -----------------------------------------------------------------------------------


def test_shipped_holes_were_made_from_the_shipped_data(shipped: Store) -> None:
    found = hole_files.load(ROOT / "data")
    assert found.made_from == workflows_holes.made_from(shipped), "run 'python -m advisor build-holes'"
    assert len(found.verdicts) > 100
    honest = found.verdicts[found.verdicts["n_predicted"] > 0]
    assert honest["coverage"].between(0.80, 0.97).all()
    assert (honest["median_error"] <= 0.15).all()
    assert (found.verdicts.loc[found.verdicts["refused"] != "", "n_predicted"] == 0).all()


def test_shipped_verdict_of_a_phone_is_what_holding_out_its_families_gives(shipped: Store) -> None:
    past, prior = workflows_predict.published(shipped)
    runs = shipped.query("runs", device_id="samsung-galaxy-s24", task="infer")
    column = max(columns(runs, {"samsung-galaxy-s24": "phone"}, past.profiles, min_rows=20), key=lambda c: len(c.rows))
    found = held_out(belief(past.without("samsung-galaxy-s24"), column.setup), prior, column)
    verdicts = hole_files.load(ROOT / "data").verdicts
    same = verdicts[[*hole_files.SETUP]].eq([getattr(column.setup, name) for name in hole_files.SETUP]).all(axis=1)
    (row,) = verdicts[same].to_dict("records")
    hint = "the predictor has changed: run 'python -m advisor build-holes'"
    assert (row["n_rows"], row["n_families"]) == (found.n_rows, found.n_families)
    assert row["coverage"] == pytest.approx(found.coverage, abs=0.05), hint
    assert row["median_error"] == pytest.approx(found.median_error, abs=0.02), hint


def test_shipped_predictions_are_of_networks_that_the_setup_lacks(shipped: Store) -> None:
    for device_id, task in (("v100", "infer"), ("rtx-3090", "train"), ("i7-12700h", "infer")):
        rows = workflows_holes.holes_of(shipped, device_id, task)
        runs = shipped.frame("runs", device_id=device_id, task=task).fillna({"threads": "", "unit": ""})
        keys = ["architecture", "img_size", "runtime", "software", "precision", "layout"]
        known = set(runs[keys].itertuples(index=False, name=None))
        assert len(rows) > 50
        assert not known & set(rows[keys].itertuples(index=False, name=None))
        assert set(rows["evidence"]) == {"predicted"}
        assert (rows["latency_lo90_ms"] < rows["latency_hi90_ms"]).all()


def test_filled_hole_stands_beside_the_published_answer_unless_it_may_win(shipped: Store) -> None:
    asked = Question("v100", batch_size=8, max_latency_ms=30.0, families=("EfficientNet",))
    published = workflows.recommend(shipped, replace(asked, evidence="known"))
    answer = workflows.recommend(shipped, asked)
    assert (answer.pick, answer.front, answer.feasible) == (published.pick, published.front, published.feasible)
    assert answer.pick is not None
    assert answer.pick.evidence == "published"
    assert published.might_win == ()
    first = answer.might_win[0].candidate
    assert (first.evidence, first.family, first.source_id) == ("predicted", "EfficientNet", "prediction")
    assert first.note.startswith("predicted from 113 published results of this setup; of families held out ")
    assert answer.might_win[0].text.endswith("not published for Tesla V100 (memory size not stated).")
    asked_all = workflows.recommend(shipped, replace(asked, evidence="all"))
    assert asked_all.pick is not None
    assert asked_all.pick.evidence == "predicted"
    assert (asked_all.pick.latency_hi90_ms or 99) <= 30
    assert asked_all.confirm == ""  # nobody can measure a V100 here


def test_refused_hole_says_why_where_its_family_was_asked_for(shipped: Store) -> None:
    answer = workflows.recommend(shipped, Question("samsung-galaxy-s24", max_latency_ms=5.0))
    (said,) = (one.text for one in answer.reasons if one.rule == "families-not-predicted")
    assert said.startswith(
        "ResNeSt has no published result on Samsung Galaxy S24 that could answer. None is predicted either: not "
        "enough evidence (tflite, float, batch 1,"
    )
    assert "of 29 networks there, each held out with its family," in said
    assert answer.might_win == ()
    with_all = workflows.recommend(shipped, Question("samsung-galaxy-s24", max_latency_ms=5.0, evidence="all"))
    assert with_all.pick == answer.pick


def test_explaining_a_hole_gives_the_prediction(shipped: Store) -> None:
    question = Question("v100", batch_size=8, max_latency_ms=30.0, families=("all",))
    found = workflows.explain(shipped, question, "tf_efficientnet_b4.ns_jft_in1k")
    assert [one.candidate.evidence for one in found] == ["predicted"]
    assert "No result is published for tf_efficientnet_b4.ns_jft_in1k at 380 px there. Predicted: " in found[0].text


def test_setup_without_a_test_says_so(shipped: Store) -> None:
    narrow = Question("raspberry-pi-5-cpu", max_latency_ms=50.0)
    assert "fewer than 20 networks are published there in one setup" in workflows_holes.refusal(shipped, narrow)


@pytest.mark.parametrize("runtime", ["pytorch", "pytorch-eager"])
def test_a_kind_of_runtime_is_understood_as_where_results_are_chosen(shipped: Store, runtime: str) -> None:
    asked = Question("jetson-agx-xavier", families=("ResNeSt", "LeViT"), runtime=runtime)
    (said,) = (one.text for one in workflows.recommend(shipped, asked).reasons if one.rule == "families-not-predicted")
    assert "its 21 networks are of 5 families, and 8 are needed" in said
