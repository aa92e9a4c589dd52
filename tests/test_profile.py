"""Cost profiles: signatures of operators, profiles as arrays, their files, and the build in a child process."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from advisor import workflows, workflows_predict
from advisor.cli import main
from advisor.errors import BadQuestion, DataError, ProfilesFailed, UnknownName
from advisor.evidence.store import Store
from advisor.predict import profile_files, profiling
from advisor.predict.profile import FEATURES, CostProfile, NotCounted, assemble, joined
from advisor.predict.signature import Signature, signature

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """An operator as the counter sees it."""

    name: str
    kind: str
    macs: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    kernel: Shape = ()
    stride: Shape = ()
    groups: int = 1
    bytes: int = 1000
    weight_bytes: int = 100


def conv(channels: int, made: int, *, kernel: Shape = (3, 3), groups: int = 1, kind: str, size: int = 10) -> Signature:
    weight = (made, channels // groups, *kernel)
    macs = size * size * int(np.prod(weight))
    return signature(Seen(
        "conv2d", kind, macs, ((1, channels, size, size), weight), ((1, made, size, size),), kernel, (1, 1), groups,
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "kind", "matrices"),
    [
        (conv(16, 32, kind="dense convolution"), "dense k x k", (1, 100, 16 * 9, 32)),
        (conv(3, 32, kind="dense convolution"), "stem", (1, 100, 3 * 9, 32)),
        (conv(3, 32, kernel=(1, 1), kind="pointwise convolution"), "stem", (1, 100, 3, 32)),
        (conv(16, 32, kernel=(1, 1), kind="pointwise convolution"), "pointwise", (1, 100, 16, 32)),
        (conv(16, 16, groups=16, kind="depthwise convolution"), "depthwise", (16, 100, 9, 1)),
        (conv(3, 3, groups=3, kind="depthwise convolution"), "depthwise", (3, 100, 9, 1)),
        (conv(16, 32, groups=4, kind="grouped convolution"), "grouped convolution", (4, 100, 4 * 9, 8)),
        (
            signature(Seen("conv_transpose2d", "dense convolution", 4 * 25 * 6 * 4, ((1, 4, 5, 5), (4, 6, 2, 2)),
                           ((1, 6, 10, 10),), (2, 2), (2, 2))),
            "stem", (1, 25, 4, 24),
        ),
        (
            signature(Seen("linear", "linear", 15 * 10 * 7, ((3, 5, 10), (7, 10), (7,)), ((3, 5, 7),))),
            "matrix product", (1, 15, 10, 7),
        ),
        (
            signature(Seen("addmm", "linear", 5 * 10 * 7, ((7,), (5, 10), (10, 7)), ((5, 7),))),
            "matrix product", (1, 5, 10, 7),
        ),
        (
            signature(Seen("matmul", "attention", 6 * 5 * 4 * 5, ((2, 3, 5, 4), (2, 3, 4, 5)), ((2, 3, 5, 5),))),
            "attention", (6, 5, 4, 5),
        ),
        (
            signature(Seen("scaled_dot_product_attention", "attention", 6 * 5 * 9 * (4 + 8),
                           ((2, 3, 5, 4), (2, 3, 9, 4), (2, 3, 9, 8)), ((2, 3, 5, 8),))),
            "attention", (6, 5, 12, 9),
        ),
        (
            signature(Seen("lstm", "linear", 770, ((7, 1, 10), (1, 10), (40, 10)), ((7, 1, 10),))),
            "matrix product", (1, 1, 770, 1),
        ),
        (signature(Seen("softmax", "attention", 0, ((2, 5),), ((2, 5),))), "attention", (0, 0, 0, 0)),
        (signature(Seen("relu", "activation", 0, ((2, 5),), ((2, 5),))), "element-wise", (0, 0, 0, 0)),
        (signature(Seen("batch_norm", "normalisation", 0, ((2, 5),), ((2, 5),))), "normalisation", (0, 0, 0, 0)),
        (signature(Seen("mean", "other", 0, ((2, 5),), ((2, 1),))), "reduction", (0, 0, 0, 0)),
        (signature(Seen("max_pool2d", "other", 0, ((1, 4, 5, 5),), ((1, 4, 5, 5),))), "reduction", (0, 0, 0, 0)),
        (
            signature(Seen("conv1d", "dense convolution", 32 * 3, ((1, 1, 32), (1, 1, 3)), ((1, 1, 32),), (3,), (1,))),
            "dense k x k", (1, 32, 3, 1),
        ),  # of ECA: over channels, not over an image
        (conv(2, 1, kernel=(7, 7), kind="dense convolution"), "dense k x k", (1, 100, 98, 1)),
        (signature(Seen("max", "other", 0, ((2, 5), (2, 5)), ((2, 5),))), "element-wise", (0, 0, 0, 0)),
        (signature(Seen("cat", "other", 0, ((2, 5), (2, 5)), ((4, 5),))), "element-wise", (0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_signature_has_the_class_and_the_matrices_of_an_operator(
    operator: Signature, kind: str, matrices: Shape
) -> None:
    assert operator.kind == kind
    assert (operator.products, operator.rows, operator.inner, operator.columns) == matrices


def test_signature_keeps_kernel_sizes_and_shapes() -> None:
    found = signature(Seen(
        "conv2d", "dense convolution", 64 * 15 * 12 * 8 * 7, ((1, 8, 30, 24), (64, 8, 1, 7), (64,)),
        ((1, 64, 15, 12),), (1, 7), (2, 2),
    ))  # fmt: skip
    assert (found.kernel_height, found.kernel_width, found.stride_height, found.stride_width) == (1, 7, 2, 2)
    assert (found.in_channels, found.in_height, found.in_width) == (8, 30, 24)
    assert (found.out_channels, found.out_height, found.out_width) == (64, 15, 12)
    assert found.out_values == 64 * 15 * 12
    assert found.shapes == "1x8x30x24 64x8x1x7 64 > 1x64x15x12"


def test_a_class_that_the_counter_has_and_we_do_not_know_is_no_silent_zero() -> None:
    with pytest.raises(ValueError, match="'quantum' is not known"):
        signature(Seen("teleport", "quantum", 0, ((1,),), ((1,),)))


@pytest.mark.parametrize("change", [{"kind": "fast"}, {"rows": 99}, {"weight_bytes": 5000}])
def test_signatures_check_themselves(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no class|not those of its matrix products|cannot be weights"):
        replace(CONV, **change)


# -- as arrays -----------------------------------------------------------------------------------------

CONV = conv(16, 32, kind="dense convolution")
POINT = conv(16, 32, kernel=(1, 1), kind="pointwise convolution")
RELU = signature(Seen("relu", "activation", 0, ((1, 32),), ((1, 32),), weight_bytes=0))
SMALL = CostProfile("small", 10, 500, ((CONV, 1), (RELU, 2)), (), "counter 1", "1.0")
LARGE = CostProfile("large", 10, 900, ((CONV, 3), (POINT, 1), (RELU, 4)), ("fft",), "counter 1", "1.0")
LARGE_AT_5 = CostProfile("large", 5, 900, ((POINT, 2),), (), "counter 1", "1.0")
BAD = NotCounted("odd", 7, "odd does not take images of 7 px: ask for its native size, 8 px (no).")


def test_profiles_share_operators_and_stand_in_order() -> None:
    found = assemble([SMALL, LARGE, LARGE_AT_5], [BAD])
    assert list(zip(found.models["architecture"], found.models["img_size"], strict=True)) == [
        ("large", 5), ("large", 10), ("small", 10),
    ]  # fmt: skip
    assert len(found.operators) == 3
    assert found.counts.sum(axis=1).tolist() == [2, 8, 3]
    assert found.models["n_operators"].tolist() == [2, 8, 3]
    assert found.not_counted == (BAD,)


def test_the_order_in_which_profiles_come_does_not_matter() -> None:
    one, other = assemble([SMALL, LARGE, LARGE_AT_5]), assemble([LARGE_AT_5, SMALL, LARGE])
    pd.testing.assert_frame_equal(one.models, other.models)
    pd.testing.assert_frame_equal(one.operators, other.operators)
    assert (one.counts != other.counts).nnz == 0


def test_features_add_up_by_class() -> None:
    found = assemble([LARGE])
    row = dict(zip(FEATURES, found.features[0], strict=True))
    assert row["macs dense k x k"] == 3 * CONV.macs
    assert row["macs pointwise"] == POINT.macs
    assert row["bytes element-wise"] == 4 * RELU.bytes
    assert [row[f"count {kind}"] for kind in ("dense k x k", "pointwise", "element-wise", "stem")] == [3, 1, 4, 0]
    assert found.features[0][:10].sum() == LARGE.macs == found.models["macs"][0]


def test_summary_counts_each_run_of_an_operator() -> None:
    row = assemble([LARGE]).models.iloc[0]
    assert row["bytes"] == 8 * 1000
    assert row["weight_bytes"] == 4 * 100
    assert row["activations"] == 4 * 32 * 100  # what the convolutions make, not the activation functions
    assert row["uncounted"] == "fft"


def test_rows_are_those_asked_for_in_their_order() -> None:
    found = assemble([SMALL, LARGE, LARGE_AT_5])
    rows = found.rows([("small", 10), ("large", 5)])
    assert rows.tolist() == [2, 0]
    chosen = found.only(rows)
    assert chosen.models["architecture"].tolist() == ["small", "large"]
    np.testing.assert_array_equal(chosen.features, found.features[[2, 0]])


def test_operators_of_a_profile_come_with_their_count() -> None:
    found = assemble([SMALL, LARGE]).operators_of("large", 10)
    assert dict(zip(found["name"] + found["kernel_width"].astype(str), found["count"], strict=True)) == {
        "conv2d3": 3, "conv2d1": 1, "relu1": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("smal", 10), "Unknown model 'smal'. Did you mean small?"),
        (("large", 7), "Unknown image size of large '7 px'. There are: 5, 10 px."),
        (("small", 7), "Unknown image size of small '7 px'. small does not take 7."),
    ],
)
def test_a_profile_that_is_not_there_says_what_is(key: tuple[str, int], words: str) -> None:
    found = assemble([SMALL, LARGE, LARGE_AT_5], [NotCounted("small", 7, "small does not take 7.")])
    with pytest.raises(UnknownName) as caught:
        found.rows([key])
    assert str(caught.value) == words


def test_joined_profiles_keep_their_features() -> None:
    first, second = assemble([SMALL, LARGE], [BAD]), assemble([LARGE_AT_5])
    both = joined(first, second)
    np.testing.assert_array_equal(both.features, np.vstack([first.features, second.features]))
    assert both.rows([("large", 5)]).tolist() == [2]
    assert both.not_counted == (BAD,)


def test_image_sizes_come_from_all_frames_once() -> None:
    frames = [
        pd.DataFrame({"architecture": ["b", "a", "gone"], "img_size": [224.0, 160.0, 224.0]}),
        pd.DataFrame({"architecture": ["a", "a"], "img_size": [160.0, float("nan")]}),
    ]
    assert profiling.asked_of(["a", "b"], *frames) == [("a", 160), ("b", 224)]


# -- the files -----------------------------------------------------------------------------------------

FILES = [profile_files.MODELS, profile_files.NOT_COUNTED, profile_files.OPERATORS, profile_files.COUNTS]


def test_files_give_back_what_was_written(tmp_path: Path) -> None:
    written = assemble([SMALL, LARGE, LARGE_AT_5], [BAD])
    profile_files.save(written, tmp_path)
    found = profile_files.load(tmp_path)
    pd.testing.assert_frame_equal(found.models, written.models)
    pd.testing.assert_frame_equal(
        found.operators.astype({"name": "str", "kind": "str"}), written.operators.astype({"name": "str", "kind": "str"})
    )
    assert (found.counts != written.counts).nnz == 0
    assert found.not_counted == written.not_counted
    np.testing.assert_array_equal(found.features, written.features)


def test_operators_counts_by_class_can_be_read_in_the_csv(tmp_path: Path) -> None:
    profile_files.save(assemble([LARGE]), tmp_path)
    row = pd.read_csv(tmp_path / profile_files.MODELS).iloc[0]
    assert (row["n dense k x k"], row["n pointwise"], row["n element-wise"], row["n attention"]) == (3, 1, 4, 0)


def test_a_new_build_is_read_at_once(tmp_path: Path) -> None:
    profile_files.save(assemble([SMALL]), tmp_path)
    assert len(profile_files.load(tmp_path)) == 1
    profile_files.save(assemble([SMALL, LARGE]), tmp_path)
    assert len(profile_files.load(tmp_path)) == 2


@pytest.mark.parametrize("name", FILES)
def test_files_of_different_builds_are_refused(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    profile_files.save(assemble([LARGE]), other)
    profile_files.save(assemble([SMALL], [BAD]), tmp_path)
    (other / name).replace(tmp_path / name)
    with pytest.raises(DataError, match=r"was not built with profiles\.csv .*build-profiles"):
        profile_files.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "noise"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    profile_files.save(assemble([SMALL, LARGE], [BAD]), tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "noise": b"\x93\x00\xff" * 50}[damage])
    with pytest.raises(DataError) as caught:
        profile_files.load(tmp_path)
    assert "build-profiles" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be written"):
        profile_files.save(assemble([SMALL]), tmp_path / "none")


# -- the build -----------------------------------------------------------------------------------------

PROFILES = {(p.architecture, p.img_size): p for p in (SMALL, LARGE, LARGE_AT_5)}
ASKED = [*PROFILES, ("odd", 7)]
LINES = {key: json.dumps(asdict(p)) for key, p in PROFILES.items()} | {("odd", 7): json.dumps(asdict(BAD))}


def worker(tmp_path: Path, *, then: str = "", dies_after: int = 99) -> list[str]:
    """A worker that notes what it is asked, answers so many networks of `LINES`, and does what is said."""
    script = (
        "import json, sys\n"
        f"lines = {LINES!r}\n"
        f"for n, line in enumerate(sys.stdin):\n"
        f"    if n == {dies_after}: sys.exit('out of luck')\n"
        "    key = tuple(json.loads(line))\n"
        f"    open({str(tmp_path / 'asked')!r}, 'a').write(key[0] + str(key[1]) + ' ')\n"
        "    print(lines[key], flush=True)\n"
        f"{then}"
    )
    return [sys.executable, "-c", script]


def build(tmp_path: Path, command: list[str], **options: Any) -> profiling.BuildReport:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    return profiling.build(ASKED, folder, journal=tmp_path / "home" / "j.part", command=command, **options)


def asked_for(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().split()


def test_build_writes_what_the_worker_counted_and_lists_the_rest(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    report = build(tmp_path, worker(tmp_path), progress=lambda *step: seen.append(step))
    assert (report.profiles, report.architectures, report.operators, report.resumed) == (3, 2, 3, 0)
    assert (report.counter, report.timm, report.not_counted) == ("counter 1", "1.0", (BAD,))
    assert seen == [(n + 1, 4, key[0]) for n, key in enumerate(ASKED)]
    found = profile_files.load(tmp_path / "data")
    np.testing.assert_array_equal(found.features, assemble(PROFILES.values()).features)
    assert found.not_counted == (BAD,)
    assert list((tmp_path / "home").iterdir()) == []


def test_a_stopped_build_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFailed, match="ended with code 1 \\(out of luck\\)"):
        build(tmp_path, worker(tmp_path, dies_after=2))
    with (tmp_path / "home" / "j.part").open("a") as journal:
        journal.write('{"architecture": "lar')  # killed in the middle of a line
    with pytest.raises(ProfilesFailed, match="out of luck"):
        build(tmp_path, worker(tmp_path, dies_after=1))
    assert build(tmp_path, worker(tmp_path)).resumed == 3
    assert asked_for(tmp_path) == ["small10", "large10", "large5", "odd7"]
    assert len(profile_files.load(tmp_path / "data")) == 3


def test_what_another_counter_had_counted_is_counted_again(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFailed):
        build(tmp_path, worker(tmp_path, dies_after=2))
    journal = tmp_path / "home" / "j.part"
    journal.write_text(journal.read_text().replace("torch ", "torch 1", 1))
    assert build(tmp_path, worker(tmp_path)).resumed == 0
    assert asked_for(tmp_path)[2:] == ["small10", "large10", "large5", "odd7"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([sys.executable, "-c", "print('hello')"], "printed what is no record: 'hello'"),
        ([sys.executable, "-c", 'print(\'{"architecture": "small"}\')'], "sent a record that cannot be used"),
        ([sys.executable, "-c", ""], "answered for 0 of 4 networks"),
        (["/nonexistent/python"], "could not be started"),
    ],
)
def test_a_broken_worker_is_one_sentence_and_the_old_files_stay(
    tmp_path: Path, command: list[str], message: str
) -> None:
    (tmp_path / "data").mkdir()
    profile_files.save(assemble([SMALL]), tmp_path / "data")
    with pytest.raises(ProfilesFailed, match=message) as caught:
        build(tmp_path, command)
    assert str(caught.value).endswith("the old profiles stay.")
    assert len(profile_files.load(tmp_path / "data")) == 1


def test_a_hung_worker_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFailed, match="stopped after 1 s"):
        build(tmp_path, worker(tmp_path, then="import time; time.sleep(600)"), time_limit_s=1.0)


def test_the_command_says_what_was_counted_and_what_was_not(monkeypatch: pytest.MonkeyPatch, shipped: Store) -> None:
    report = profiling.BuildReport(3, 2, 9, (BAD,), "counter 1", "1.0", resumed=1)
    monkeypatch.setattr(profiling, "build", lambda *_args, **_options: report)
    monkeypatch.setattr(workflows, "open_store", lambda: shipped)
    said = CliRunner().invoke(main, ["build-profiles"]).output
    assert "3 profiles of 2 architectures with 9 distinct operators, counted by counter 1 with timm 1.0, 1 of" in said
    assert BAD.reason in said
    as_json = json.loads(CliRunner().invoke(main, ["build-profiles", "--json"]).output)
    assert (as_json["profiles"], as_json["not_counted"][0]["architecture"]) == (3, "odd")


@pytest.mark.parametrize(
    ("name", "img_size", "error", "words"),
    [
        ("resnet5000", 224, UnknownName, "Unknown model 'resnet5000'"),
        ("../resnet50", 224, BadQuestion, "not a name that timm lists"),
        ("resnet50", 0, BadQuestion, "--img-size must be 8 to 8192 px, not 0"),
    ],
)
def test_bad_questions_start_no_worker(name: str, img_size: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        profiling.one(name, img_size, time_limit_s=0.0)


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([BAD], BadQuestion, "odd does not take images of 7 px"),
        ([], ProfilesFailed, "answered 0 times for one network"),
    ],
)
def test_a_network_that_was_not_counted_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, answers: list[NotCounted], error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(profiling, "counted", lambda _asked, **_options: iter(answers))
    with pytest.raises(error, match=words):
        profiling.one("resnet18", 100)


@pytest.mark.timm
def test_other_sizes_are_counted_when_asked_for_and_shipped_ones_are_not() -> None:
    shipped = profile_files.load()
    assert workflows_predict.profiles(("resnet18", 224)) is shipped
    found = workflows_predict.profiles(("resnet18", 72), ("resnet18", 224))
    assert len(found) == len(shipped) + 1
    small, native = found.models["macs"].to_numpy()[found.rows([("resnet18", 72), ("resnet18", 224)])]
    assert 0.08 < small / native < 0.16  # (72 / 224)^2 is 0.10; strides round up, and the classifier stays
