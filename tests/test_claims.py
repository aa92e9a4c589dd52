"""Claims on hand-made devices, where the verdict is computed by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from advisor.advice import claims
from advisor.advice.claims import ANY_DEVICE, CLAIMS, EVERY_KIND, Extra
from advisor.errors import UnknownName
from advisor.records import ClaimResult
from tests.claim_data import Gadget, extra, runs, scored, thru


def verdict(
    claim_id: str,
    weights: pd.DataFrame,
    infer: pd.DataFrame,
    *,
    train: pd.DataFrame | None = None,
    device: Gadget | None = None,
    facts: Extra | None = None,
) -> ClaimResult:
    (found,) = claims.check(
        claim_id, device or Gadget(), weights, infer, runs() if train is None else train, facts or extra()
    )
    return found


# -- RegNet against EfficientNet ---------------------------------------------------------------------

DUEL = scored(
    {"weights": "efficientnet_b0.ra_in1k", "top1": 77.0},
    {"weights": "efficientnet_b1.ra_in1k", "top1": 79.0},
    {"weights": "efficientnet_b5.ra_in1k", "top1": 83.0, "params_m": 30.0},
    {"weights": "regnety_008.tv2_in1k", "top1": 77.1},
    {"weights": "regnety_016.tv2_in1k", "top1": 79.1},
    {"weights": "regnety_080.tv2_in1k", "top1": 83.1},
)
EFFICIENTNETS = (thru("efficientnet_b0", 1000), thru("efficientnet_b1", 600), thru("efficientnet_b5", 50))


def test_regnet_five_times_and_twice_holds() -> None:
    fast = runs(*EFFICIENTNETS, thru("regnety_008", 1900), thru("regnety_016", 1260), thru("regnety_080", 260))
    found = verdict("regnet-5x-efficientnet", DUEL, fast)
    assert found.verdict == "holds"
    # 1900/1000, 1260/600 and 260/50; the first two are small networks
    assert "1.9–5.2x (median 2.1x, 3 pairs)" in found.figures
    assert "1.9–2.1x (median 2.0x, 2 pairs), about 2x" in found.figures
    assert "On Gadget (tensorrt, fp16, nchw, batch 64)" in found.figures


def test_regnet_below_five_times_fails_and_says_never() -> None:
    slow = runs(*EFFICIENTNETS, thru("regnety_008", 800), thru("regnety_016", 720), thru("regnety_080", 95))
    found = verdict("regnet-5x-efficientnet", DUEL, slow)
    assert found.verdict == "fails"
    assert "0.80–1.9x (median 1.2x, 3 pairs)" in found.figures
    assert "never 5x" in found.figures
    assert found.row_ids[:4] == (
        "speed:efficientnet_b5:tensorrt:64.0", "acc:efficientnet_b5.ra_in1k@224",
        "speed:regnety_080:tensorrt:64.0", "acc:regnety_080.tv2_in1k@224",
    )  # fmt: skip


def test_two_pairs_are_not_enough_evidence_and_are_shown() -> None:
    few = runs(*EFFICIENTNETS[:2], thru("regnety_008", 1900), thru("regnety_016", 600))
    found = verdict("regnet-5x-efficientnet", DUEL, few)
    assert found.verdict == "not enough evidence"
    assert "2 pairs" in found.figures
    assert "1.9x as fast" in found.figures


def test_a_device_without_the_networks_says_what_is_missing() -> None:
    found = verdict("regnet-5x-efficientnet", DUEL, runs(thru("regnety_008", 1900)))
    assert found.verdict == "not enough evidence"
    assert "No setup of Gadget has both RegNetX/Y and EfficientNet-B" in found.figures


def test_setups_are_never_pooled() -> None:
    """EfficientNets on one runtime and RegNets on another give no pair, however fast either is."""
    mixed = runs(*EFFICIENTNETS, *(thru(f"regnety_{n}", 9000, runtime="openvino") for n in ("008", "016", "080")))
    assert verdict("regnet-5x-efficientnet", DUEL, mixed).verdict == "not enough evidence"


def test_batch_sizes_are_never_pooled() -> None:
    mixed = runs(*EFFICIENTNETS, *(thru(f"regnety_{n}", 9000, batch_size=32.0) for n in ("008", "016", "080")))
    assert verdict("regnet-5x-efficientnet", DUEL, mixed).verdict == "not enough evidence"


def test_latency_decides_at_batch_1_and_extra_data_never() -> None:
    weights = pd.concat(
        [DUEL, scored({"weights": "efficientnet_b5.ns_jft_in1k", "top1": 88.0, "params_m": 30.0, "extra_data_rank": 2})]
    )
    ms = {
        "efficientnet_b0": 2.0, "efficientnet_b1": 4.0, "efficientnet_b5": 50.0, "regnety_008": 1.0,
        "regnety_016": 2.0, "regnety_080": 10.0,
    }  # fmt: skip
    # throughputs that say the contrary
    table = runs(*(thru(n, 1.0 if "reg" in n else 9.0, latency_ms=v, batch_size=1.0) for n, v in ms.items()))
    found = verdict("regnet-5x-efficientnet", weights, table)
    assert found.verdict == "holds"
    assert "2.0–5.0x (median 2.0x, 3 pairs)" in found.figures


def test_authors_own_figures_decide_where_weights_are_too_few() -> None:
    names = {"EfficientNet-B0": ("efficientnet_b0", 75.0, 30.0), "EfficientNet-B1": ("efficientnet_b1", 77.0, 50.0),
             "EfficientNet-B5": ("efficientnet_b5", 79.0, 460.0), "RegNetX-400MF": ("regnetx_004", 75.1, 15.0),
             "RegNetX-1.6GF": ("regnetx_016", 77.1, 25.0), "RegNetX-4.0GF": ("regnetx_040", 79.1, 92.0)}  # fmt: skip
    table = runs(
        *(
            {"model": m, "architecture": a, "latency_ms": ms, "source_id": "pycls-model-zoo"}
            for m, (a, _, ms) in names.items()
        )
    )
    own = [
        {"source_id": "pycls-model-zoo", "model": m, "metric": "top1", "value": v, "row_id": f"own:{m}"}
        for m, (_, v, _) in names.items()
    ]
    found = verdict("regnet-5x-efficientnet", DUEL[DUEL["architecture"] != "regnety_008"], table, facts=extra(own))
    assert found.verdict == "holds"  # 30/15, 50/25 for the small ones and 460/92 at most
    assert "2.0–5.0x (median 2.0x, 3 pairs)" in found.figures
    assert "100-epoch recipe" in found.figures


# -- the other ratios --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "expected"), [("cpu", "holds"), ("gpu", "not enough evidence")])
def test_efficientnet_is_judged_on_all_networks_without_a_gpu_and_on_small_ones_with(kind: str, expected: str) -> None:
    large = DUEL.assign(params_m=40.0)
    table = runs(*EFFICIENTNETS, thru("regnety_008", 500), thru("regnety_016", 300), thru("regnety_080", 60))
    found = verdict("efficientnet-without-gpu", large, table, device=Gadget(kind=kind))
    assert found.verdict == expected
    if kind == "cpu":  # 1000/500, 600/300, 50/60
        assert "0.83–2.0x (median 2.0x, 3 pairs)" in found.figures


def test_efficientnet_slower_than_its_rivals_fails() -> None:
    table = runs(*EFFICIENTNETS, thru("regnety_008", 1100), thru("regnety_016", 660), thru("regnety_080", 50))
    found = verdict("efficientnet-without-gpu", DUEL, table, device=Gadget(kind="cpu"))
    assert (found.verdict, "median 0.91x" in found.figures) == ("fails", True)


@pytest.mark.parametrize(("factor", "expected"), [(1.8, "holds"), (1.7, "fails")])
def test_mnasnet_against_mobilenetv2(factor: float, expected: str) -> None:
    pairs = (("mobilenetv2_050", "mnasnet_050", 66.0), ("mobilenetv2_100", "mnasnet_100", 73.0),
             ("mobilenetv2_140", "mnasnet_140", 76.0))  # fmt: skip
    weights = scored(*({"weights": f"{name}.x_in1k", "top1": top1} for old, new, top1 in pairs for name in (old, new)))
    speeds = [1000.0, 500.0, 250.0]
    table = runs(
        *(thru(old, s) for (old, _, _), s in zip(pairs, speeds, strict=True)),
        *(thru(new, s * factor) for (_, new, _), s in zip(pairs, speeds, strict=True)),
    )
    found = verdict("mnasnet-mobilenetv2", weights, table, device=Gadget(kind="phone"))
    assert (found.verdict, f"{factor}x (median {factor}x, 3 pairs)" in found.figures) == (expected, True)


@pytest.mark.parametrize(
    ("over_swin", "over_convnext", "expected"), [(1.5, 1.0, "holds"), (1.1, 1.0, "fails"), (1.5, 0.8, "fails")]
)
def test_vit_must_lead_swin_and_keep_up_with_convnext(over_swin: float, over_convnext: float, expected: str) -> None:
    sizes = (("small", 83.0, 1000.0), ("base", 85.0, 500.0), ("large", 87.0, 100.0))
    weights, table = [], []
    for size, top1, speed in sizes:
        for name, factor in (
            (f"vit_{size}_patch16_224", 1.0), (f"swin_{size}_patch4_window7_224", 1 / over_swin),
            (f"convnext_{size}", 1 / over_convnext),
        ):  # fmt: skip
            weights.append({"weights": f"{name}.x_in12k_ft_in1k", "top1": top1, "extra_data_rank": 1})
            table.append(thru(name, speed * factor))
    assert verdict("vit-swin-convnext", scored(*weights), runs(*table)).verdict == expected


# -- on the front ------------------------------------------------------------------------------------


def _front_case(resnest_top1: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ten rivals of 70 to 79 % at 100 to 10 images per second, three ResNeSts at the speeds of 40, 30 and 20."""
    rivals = [(f"resnet{n}", 70.0 + n, 100.0 - 10 * n) for n in range(10)]
    ours = [(f"resnest{n}d", resnest_top1 + n - 6, 100.0 - 10 * n) for n in (6, 7, 8)]
    both = [*rivals, *ours]
    return scored(*({"weights": f"{n}.x_in1k", "top1": t} for n, t, _ in both)), runs(*(thru(n, s) for n, _, s in both))


def test_resnest_ahead_of_the_rivals_at_its_speed_holds() -> None:
    found = verdict("resnest-first", *_front_case(76.5))
    assert (found.verdict, "3 of the 3 networks" in found.figures) == ("holds", True)


def test_resnest_behind_the_rivals_fails_by_the_points() -> None:
    found = verdict("resnest-first", *_front_case(74.0))
    assert found.verdict == "fails"
    assert "0 of the 3 networks" in found.figures
    assert "2.0 points behind" in found.figures  # 76, 77, 78 against 74, 75, 76


def test_front_without_rivals_enough_is_no_evidence() -> None:
    weights, table = _front_case(76.5)
    few = table[~table["architecture"].isin(["resnet0", "resnet1"])]
    found = verdict("resnest-first", weights, few)
    assert (found.verdict, "8 others" in found.figures) == ("not enough evidence", True)


def test_small_device_claim_says_what_it_is_about_elsewhere() -> None:
    found = verdict("small-device-mobilenet", *_front_case(76.5))
    assert found.figures.endswith("(The claim is about small devices.)")


def test_quantised_runs_are_marked() -> None:
    weights, table = _front_case(76.5)
    found = verdict("resnest-first", weights, table.assign(precision="int8"))
    assert "accuracies of their float weights" in found.figures


# -- costs -------------------------------------------------------------------------------------------


def _cost_case(times: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Networks of 1, 2, 3 ... GMACs with the given latencies at batch 1."""
    names = [f"net{i:02d}" for i in range(len(times))]
    costs = [dict.fromkeys(("gmacs", "acts_m", "params_m"), i + 1.0) for i in range(len(times))]
    weights = scored(*({"weights": f"{n}.x_in1k", "top1": 70.0} | cost for n, cost in zip(names, costs, strict=True)))
    table = runs(*({"architecture": n, "latency_ms": t, "batch_size": 1.0} for n, t in zip(names, times, strict=True)))
    return weights, table


def test_macs_that_order_time_well_refute_the_claim() -> None:
    times = [1.0, 2, 3, 4, 5, 6, 7, 8, 10, 9]  # one of 45 pairs is wrong
    found = verdict("flops-not-latency", *_cost_case(times))
    assert found.verdict == "fails"
    assert "2% of the pairs of 10 networks" in found.figures
    assert f"MACs {1 - 6 * 2 / 990:.2f} / {(44 - 1) / 45:.2f}" in found.figures


def test_macs_that_misorder_a_tenth_of_the_pairs_make_it_hold() -> None:
    times = [6.0, 2, 3, 4, 5, 1, 7, 8, 9, 10]  # 9 of 45 are wrong: the swap of 1 and 6 misorders 2 * 4 + 1
    found = verdict("flops-not-latency", *_cost_case(times))
    assert (found.verdict, "20% of the pairs" in found.figures) == ("holds", True)


def test_ranks_need_ten_networks() -> None:
    found = verdict("flops-not-latency", *_cost_case([float(t) for t in range(1, 10)]))
    assert (found.verdict, "only 9 networks" in found.figures) == ("not enough evidence", True)


LEAN = scored(
    {"weights": "resnet50.a1_in1k", "top1": 80.0, "gmacs": 4.1},
    {"weights": "tresnet_m.miil_in1k", "top1": 81.0, "gmacs": 5.7},
    *({"weights": f"lean{i}.x_in1k", "top1": 80.5, "gmacs": 1.0} for i in range(3)),
    {"weights": "weak.x_in1k", "top1": 70.0, "gmacs": 0.1},
)


def _lean_runs(first: float, second: float, third: float) -> pd.DataFrame:
    return runs(
        thru("resnet50", 100), thru("tresnet_m", 95), thru("weak", 9999),
        *(thru(f"lean{i}", s) for i, s in enumerate((first, second, third))),
    )  # fmt: skip


def test_resnet50_outruns_most_lean_networks_in_both_tasks() -> None:
    found = verdict("resnet50-outruns-fewer-flops", LEAN, _lean_runs(50, 80, 120), train=_lean_runs(50, 60, 70))
    assert found.verdict == "holds"
    assert "outruns 2 of 3 networks" in found.figures
    assert "outruns 3 of 3 networks" in found.figures


def test_resnet50_must_win_in_training_too() -> None:
    found = verdict("resnet50-outruns-fewer-flops", LEAN, _lean_runs(50, 80, 120), train=_lean_runs(50, 160, 170))
    assert found.verdict == "fails"


@pytest.mark.parametrize(("speed", "top1", "expected"), [(95, 81.0, "holds"), (85, 81.0, "fails"), (95, 80.2, "fails")])
def test_tresnet_m_needs_the_speed_and_the_accuracy(speed: float, top1: float, expected: str) -> None:
    weights = LEAN.assign(top1=LEAN["top1"].where(LEAN["architecture"] != "tresnet_m", top1))
    found = verdict("tresnet-m-resnet50", weights, runs(thru("resnet50", 100), thru("tresnet_m", speed)))
    assert found.verdict == expected
    assert f"speed is {speed / 100:.2f}x in inference" in found.figures


# -- claims that no device decides -------------------------------------------------------------------


def test_longer_recipes_lift_regnets() -> None:
    pairs = [("regnety_008", 76.0, 78.0), ("regnety_016", 78.0, 81.0), ("regnety_032", 79.0, 82.0)]
    weights = scored(
        *({"weights": f"{n}.pycls_in1k", "top1": old} for n, old, _ in pairs),
        *({"weights": f"{n}.tv2_in1k", "top1": new} for n, _, new in pairs),
        {"weights": "regnety_008.swag_ft_in1k", "top1": 88.0, "extra_data_rank": 2},
    )
    found = verdict("regnet-trained-less", weights, runs())
    assert (found.verdict, found.device_id) == ("holds", ANY_DEVICE)
    assert "+2.0 to +3.0 points of top-1 (median +3.0)" in found.figures


def test_one_regnet_that_gained_nothing_refutes_the_claim() -> None:
    pairs = [("regnety_008", 76.0, 78.0), ("regnety_016", 78.0, 78.1), ("regnety_032", 79.0, 82.0)]
    weights = scored(
        *({"weights": f"{n}.pycls_in1k", "top1": old} for n, old, _ in pairs),
        *({"weights": f"{n}.tv2_in1k", "top1": new} for n, _, new in pairs),
    )
    assert verdict("regnet-trained-less", weights, runs()).verdict == "fails"


@pytest.mark.parametrize(("top1", "expected"), [(80.38, "holds"), (79.9, "fails"), (None, "not enough evidence")])
def test_strikes_back_compares_timms_evaluation_with_the_paper(top1: float | None, expected: str) -> None:
    name = "resnet50.a1_in1k" if top1 else "resnet50.a2_in1k"
    found = verdict("resnet-strikes-back", scored({"weights": name, "top1": top1 or 80.0}), runs())
    assert found.verdict == expected


def _race(accuracies: dict[str, tuple[float, float]]) -> Extra:
    rows = [{"source_id": "deepfashion-2022", "model": m} for m in accuracies]
    values = list(accuracies.values())
    return extra(
        [
            r | {"metric": "top1", "value": v, "row_id": f"a{i}"}
            for i, (r, (v, _)) in enumerate(zip(rows, values, strict=True))
        ],
        training_cost=[r | {"metric": "minutes_per_epoch", "value": v} for r, (_, v) in zip(rows, values, strict=True)],
    )


RACE = {
    "resnet34": (42.0, 12.0), "resnet50": (44.0, 18.0), "resnet101": (44.5, 24.0), "a": (38.0, 13.0),
    "b": (40.0, 20.0), "c": (36.0, 15.0),
}  # fmt: skip


def test_the_race_is_won_by_plain_resnets() -> None:
    found = verdict("finetuning-race", scored({"weights": "x.y", "top1": 1.0}), runs(), facts=_race(RACE))
    assert found.verdict == "holds"
    assert "42.0 % in 12.0 min, 3.50 points a minute, then a with 2.92" in found.figures


def test_a_better_rival_per_minute_refutes_the_race_claim() -> None:
    race = RACE | {"a": (41.0, 10.0)}
    found = verdict("finetuning-race", scored({"weights": "x.y", "top1": 1.0}), runs(), facts=_race(race))
    assert found.verdict == "fails"


# -- all claims --------------------------------------------------------------------------------------


def test_verdicts_do_not_depend_on_row_order_or_repeats() -> None:
    cases = [
        (
            "regnet-5x-efficientnet",
            DUEL,
            runs(*EFFICIENTNETS, *(thru(f"regnety_{n}", 500) for n in ("008", "016", "080"))),
        ),
        ("resnest-first", *_front_case(74.0)),
        ("flops-not-latency", *_cost_case([6.0, 2, 3, 4, 5, 1, 7, 8, 9, 10])),
        ("resnet50-outruns-fewer-flops", LEAN, _lean_runs(50, 80, 120)),
    ]
    for claim_id, weights, table in cases:
        shuffled_weights = pd.concat([weights, weights]).sample(frac=1, random_state=1)
        shuffled_runs = pd.concat([table, table]).sample(frac=1, random_state=2)
        assert verdict(claim_id, shuffled_weights, shuffled_runs) == verdict(claim_id, weights, table)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_claim_answers_on_every_kind_of_device(kind: str) -> None:
    """With nothing published and with a full setup: never an error, and a setup or what is missing."""
    weights, table = _front_case(76.0)
    device = Gadget(kind=kind)
    for infer in (runs(), table):
        found = claims.check("all", device, weights, infer, runs(), extra())
        assert [r.claim_id for r in found] == [c.claim_id for c in CLAIMS]
        for result in found:
            if result.device_id != ANY_DEVICE:
                assert "No setup of Gadget" in result.figures or "On Gadget (tensorrt" in result.figures
            assert result.figures


def test_unknown_claim_offers_close_ids() -> None:
    with pytest.raises(UnknownName, match="resnest-first"):
        claims.check("resnest-fist", Gadget(), DUEL, runs(), runs(), extra())
