"""A tiny data folder: round, invented figures under real names, so that answers can be worked out by hand.

`write_small_data(folder)` writes every table the store needs. The figures stand in the constants below:

- `i7-12700h`: batch-1 latency (`I7_MS`), pytorch-compile fp32; a second setup, openvino (`OPENVINO_MS`); and
  one suspect row that would make regnety_160 at 384 px the best answer of all if it ever decided.
- `rtx-4090`: large-batch throughput (`GPU_PER_S` eager, 1.25 times that compiled), batch 1024 but `DECAYED`.
- `rtx-3090`: half of the 4090 at batch 256 (channels first; 0.55 of it channels last), and training: a tenth
  of the 4090 at batch 128, for ResNet, ResNeSt and RegNet only.
- `coral-edgetpu`: int8 only (`CORAL_MS`). `samsung-galaxy-s24`: `PHONE_MS`, and a model that timm lacks.
- `8x-v100-16gb`: training on eight accelerators, never single-device advice.
- `test_vit` has the best accuracy and speed of all: wherever it shows up, a test network leaked.

GPU rows state the step time of their whole batch as latency, as timm does; none of them is a batch-1 latency.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from advisor.evidence.schema import COLUMNS


class Arch(NamedTuple):
    """An architecture; per image size its GMACs, latency on the i7 in ms and images/s on the 4090."""

    family: str
    params_m: float
    at: dict[int, tuple[float, int, int]]


class Checkpoint(NamedTuple):
    """Weights: native image size, top-1 per image size, licence ('' unknown) and pretraining."""

    img_size: int
    top1: dict[int, float]
    licence: str = "apache-2.0"
    pretraining: str = "in1k"


ARCHS: dict[str, Arch] = {
    "efficientnet_b0": Arch("EfficientNet", 5.3, {224: (0.4, 9, 16000)}),
    "efficientnet_b2": Arch("EfficientNet", 9.1, {256: (0.9, 14, 9000), 288: (1.1, 18, 7000)}),
    "mobilenetv2_100": Arch("MobileNet", 3.5, {224: (0.3, 5, 24000)}),
    "mobilenetv3_large_100": Arch("MobileNet", 5.5, {224: (0.2, 6, 25000)}),
    "mobilenetv4_conv_medium": Arch("MobileNet", 9.7, {256: (1.1, 10, 12500)}),
    "mobilenetv4_conv_small": Arch("MobileNet", 3.8, {224: (0.2, 3, 36000)}),
    "regnetx_002": Arch("RegNet", 2.7, {224: (0.2, 4, 40000)}),
    "regnety_008": Arch("RegNet", 6.3, {224: (0.8, 11, 14000)}),
    "regnety_032": Arch("RegNet", 19.4, {224: (3.2, 20, 8200), 288: (5.3, 32, 5000)}),
    "regnety_160": Arch("RegNet", 83.6, {224: (16.0, 72, 2100), 384: (46.9, 200, 700)}),
    "resnest101e": Arch("ResNeSt", 48.3, {256: (13.4, 60, 1900)}),
    "resnest14d": Arch("ResNeSt", 10.6, {224: (2.8, 13, 9500)}),
    "resnest26d": Arch("ResNeSt", 17.1, {224: (3.6, 17, 7200)}),
    "resnest50d": Arch("ResNeSt", 27.5, {224: (5.4, 25, 4500)}),
    "resnet18": Arch("ResNet", 11.7, {224: (1.8, 8, 22000)}),
    "resnet34": Arch("ResNet", 21.8, {224: (3.7, 15, 12000)}),
    "resnet50": Arch("ResNet", 25.6, {224: (4.1, 16, 8000), 288: (6.8, 26, 4800)}),
    "test_vit": Arch("ViT", 0.4, {160: (0.04, 1, 90000)}),
    "tf_efficientnetv2_s": Arch("EfficientNet", 21.5, {300: (5.4, 45, 3600), 384: (8.4, 70, 2200)}),
    "vit_base_patch16_224": Arch("ViT", 86.6, {224: (17.6, 75, 2600)}),
    "vit_small_patch16_224": Arch("ViT", 22.1, {224: (4.6, 22, 7800)}),
}

WEIGHTS: dict[str, Checkpoint] = {
    "efficientnet_b0.ra_in1k": Checkpoint(224, {224: 77.7}),
    "efficientnet_b2.ra_in1k": Checkpoint(256, {256: 79.9, 288: 80.6}),
    "mobilenetv2_100.ra_in1k": Checkpoint(224, {224: 73.0}),
    "mobilenetv3_large_100.ra_in1k": Checkpoint(224, {224: 75.8}),
    "mobilenetv4_conv_medium.e500_r256_in1k": Checkpoint(256, {256: 79.9}),
    "mobilenetv4_conv_small.e2400_r224_in1k": Checkpoint(224, {224: 73.8}),
    "regnetx_002.pycls_in1k": Checkpoint(224, {224: 68.8}, "mit"),
    "regnety_008.pycls_in1k": Checkpoint(224, {224: 76.3}, "mit"),
    "regnety_032.ra_in1k": Checkpoint(224, {224: 81.3, 288: 82.0}),
    "regnety_160.deit_in1k": Checkpoint(224, {224: 82.6}),
    "regnety_160.swag_ft_in1k": Checkpoint(384, {384: 86.0}, "cc-by-nc-4.0", "ig3.6b+ft:in1k"),
    "resnest101e.in1k": Checkpoint(256, {256: 82.9}),
    "resnest14d.gluon_in1k": Checkpoint(224, {224: 75.5}),
    "resnest26d.gluon_in1k": Checkpoint(224, {224: 78.5}),
    "resnest50d.in1k": Checkpoint(224, {224: 81.0}),
    "resnet18.a1_in1k": Checkpoint(224, {224: 71.5}),
    "resnet34.a1_in1k": Checkpoint(224, {224: 76.4}),
    "resnet50.a1_in1k": Checkpoint(224, {224: 80.2, 288: 81.2}),
    "resnet50.fb_swsl_ig1b_ft_in1k": Checkpoint(224, {224: 81.2}, "cc-by-nc-4.0", "ig1b+ft:in1k"),
    "resnet50.tv_in1k": Checkpoint(224, {224: 76.1}, "bsd-3-clause"),
    "test_vit.r160_in1k": Checkpoint(160, {160: 95.0}),
    "tf_efficientnetv2_s.in1k": Checkpoint(300, {300: 82.9, 384: 83.9}),
    "tf_efficientnetv2_s.in21k_ft_in1k": Checkpoint(300, {300: 83.2, 384: 84.3}, pretraining="in21k+ft:in1k"),
    "vit_base_patch16_224.augreg2_in21k_ft_in1k": Checkpoint(224, {224: 85.1}, pretraining="in21k+ft:in1k"),
    "vit_small_patch16_224.augreg_in21k_ft_in1k": Checkpoint(224, {224: 81.4}, "", "in21k+ft:in1k"),
}

# accuracy on the other test sets = top-1 + offset, so the mean of the six is top-1 - 25.5 (ViT: - 20.5)
OFFSETS: dict[str, tuple[str, float]] = {
    "imagenet-1k": ("results/results-imagenet.csv", 0.0),
    "imagenet-real": ("results/results-imagenet-real.csv", 4.0),
    "imagenetv2-mf": ("results/results-imagenetv2-matched-frequency.csv", -12.0),
    "imagenet-a": ("results/results-imagenet-a.csv", -60.0),
    "imagenet-r": ("results/results-imagenet-r.csv", -40.0),
    "imagenet-sketch": ("results/results-sketch.csv", -45.0),
}
# two more tables of timm that no answer reads
CLEAN: dict[str, tuple[str, float]] = {
    "imagenet-a-clean": ("results/results-imagenet-a-clean.csv", 2.0),
    "imagenet-r-clean": ("results/results-imagenet-r-clean.csv", 1.0),
}
VIT_IMAGENET_A_OFFSET = -30.0
TOP5_OFFSET = 4.0

I7_MS = {(name, size): ms for name, arch in ARCHS.items() for size, (_, ms, _) in arch.at.items()}
GPU_PER_S = {(name, size): rate for name, arch in ARCHS.items() for size, (_, _, rate) in arch.at.items()}
DECAYED = {("regnety_160", 384): 256, ("vit_base_patch16_224", 224): 512}  # batch sizes below 1024
OPENVINO_MS = {("resnet50", 224): 8, ("efficientnet_b0", 224): 6, ("mobilenetv3_large_100", 224): 5}
CORAL_MS = {("mobilenetv2_100", 224): 3, ("mobilenetv3_large_100", 224): 4, ("resnet50", 224): 50}
PHONE_MS = {
    ("mobilenetv2_100", 224): 0.5, ("mobilenetv3_large_100", 224): 0.7, ("efficientnet_b0", 224): 1.2,
    ("resnet50", 224): 1.5, ("regnety_008", 224): 2.0, ("resnest50d", 224): 9.0,
}  # fmt: skip

INFER_4090 = "results/benchmark-infer-amp-nchw-pt291-cu128-4090.csv"
INFER_4090_DYNAMO = "results/benchmark-infer-amp-nchw-pt291-cu128-4090-dynamo.csv"
INFER_3090 = "results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"
INFER_3090_NHWC = "results/benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv"
TRAIN_3090 = "results/benchmark-train-amp-nchw-pt112-cu113-rtx3090.csv"
INFER_I7 = "results/benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv"

_ON_4090 = {
    "device_id": "rtx-4090", "runtime": "pytorch-eager", "precision": "amp-fp16",
    "software": "torch 2.9.1, CUDA 12.8", "note": "pt=2.9.1 cu=12.8",
}  # fmt: skip
_ON_3090 = {
    "device_id": "rtx-3090", "runtime": "pytorch-eager", "precision": "amp-fp16",
    "software": "torch 2.4.0, CUDA 12.4", "note": "pt=2.4.0 cu=12.4",
}  # fmt: skip
_TRAIN_ON_3090 = _ON_3090 | {
    "task": "train", "software": "torch 1.12, CUDA 11.3", "note": "pt=1.12 cu=11.3",
}  # fmt: skip
_ON_I7 = {
    "device_id": "i7-12700h", "runtime": "pytorch-compile", "precision": "fp32",
    "software": "torch 2.4.0", "note": "pt=2.4.0",
}  # fmt: skip
_DEVICES = (
    ("8x-v100-16gb", "8 x Tesla V100 16GB", "gpu", "NVIDIA", "128", "8", "multi-GPU; memory is the sum"),
    ("coral-edgetpu", "Coral Edge TPU", "npu", "Google", "", "1", ""),
    ("i7-12700h", "Core i7-12700H", "cpu", "Intel", "", "1", "laptop processor"),
    ("rtx-3090", "GeForce RTX 3090", "gpu", "NVIDIA", "24", "1", ""),
    ("rtx-4090", "GeForce RTX 4090", "gpu", "NVIDIA", "24", "1", ""),
    ("samsung-galaxy-s24", "Samsung Galaxy S24", "phone", "Samsung", "", "1", ""),
)
_SOURCES = {
    "timm-benchmark": "Apache-2.0", "timm-eval": "Apache-2.0", "pycls-model-zoo": "MIT",
    "qualcomm-ai-hub": "BSD-3-Clause", "coral-models-page": "", "nvidia-dle": "BSD-3-Clause",
    "openvino-2024-1": "Apache-2.0", "deepfashion-2022": "", "which-architecture-2020": "",
}  # fmt: skip
_CLAIMS = (
    ("which-architecture-2020", "text", "MnasNet", "MobileNetV2", "speed at equal accuracy", "1.8", ""),
    ("which-architecture-2020", "text", "RegNet", "EfficientNet", "speed on GPU", "5", "up to"),
)
CATALOGUE_COLUMNS = (
    "weights", "architecture", "tag", "family", "params_m", "file_mb", "img_size", "test_img_size",
    "crop_pct", "num_classes", "pretraining", "pretrain_data", "imagenet_1k_only", "extra_data_rank",
    "distilled", "recipe", "licence", "licence_spdx", "commercial", "origin_url",
)  # fmt: skip

Row = dict[str, str]


def write_small_data(folder: Path) -> Path:
    """Write the data folder (`published/` and `catalogue.csv`) into `folder` and return it."""
    published = folder / "published"
    published.mkdir(parents=True, exist_ok=True)
    for name, kind, rows in (
        ("timm-benchmark", "speed", timm_speed()),
        ("openvino-2024-1", "speed", _openvino()),
        ("coral-models-page", "speed", _coral()),
        ("qualcomm-ai-hub", "speed", _phone()),
        ("nvidia-dle", "speed", [_several_accelerators()]),
        ("timm-eval", "accuracy", timm_accuracy()),
        ("pycls-model-zoo", "accuracy", [_retrained_efficientnet()]),
        ("timm-benchmark", "complexity", _complexity()),
        ("deepfashion-2022", "training_cost", _training_cost()),
    ):
        _write(published / f"{name}.{kind}.csv", COLUMNS[kind], (_cells(kind, row) for row in rows))
    device_columns = ("device_id", "name", "kind", "vendor", "memory_gb", "accelerators", "notes")
    _write(published / "devices.csv", device_columns, _DEVICES)
    claim_columns = ("source_id", "source_file", "subject", "baseline", "quantity", "factor", "note")
    _write(published / "claims.csv", claim_columns, _CLAIMS)
    near = ("qualcomm-ai-hub", "OwnNet", "resnet50", "one stage fewer")
    _write(published / "near_timm.csv", ("source_id", "model", "near_timm_model", "difference"), [near])
    (published / "sources.toml").write_text(_sources(), encoding="utf-8")
    _write(folder / "catalogue.csv", CATALOGUE_COLUMNS, _catalogue())
    return folder


def timm_speed() -> list[Row]:
    """The rows that stand for timm's own benchmark tables."""
    rows: list[Row] = []
    for (name, size), rate in GPU_PER_S.items():
        batch = DECAYED.get((name, size), 1024)
        rows.append(_timm(INFER_4090, name, size, batch, rate, _ON_4090))
        compiled = {**_ON_4090, "runtime": "pytorch-compile"}
        rows.append(_timm(INFER_4090_DYNAMO, name, size, batch, rate * 1.25, compiled))
        rows.append(_timm(INFER_3090, name, size, 256, rate / 2, _ON_3090))
        rows.append(_timm(INFER_3090_NHWC, name, size, 256, rate * 0.55, {**_ON_3090, "layout": "nhwc"}))
        if name.startswith(("resn", "regnet")):
            rows.append(_timm(TRAIN_3090, name, size, 128, rate / 10, _TRAIN_ON_3090))
        rows.append(_timm(INFER_I7, name, size, 1, 1000 / I7_MS[name, size], _ON_I7))
    return sorted(rows, key=lambda row: row["source_file"])


def timm_accuracy() -> list[Row]:
    """The rows that stand for timm's own evaluation on its test sets."""
    rows = []
    for dataset, (source_file, offset) in (OFFSETS | CLEAN).items():
        for weights, checkpoint in WEIGHTS.items():
            architecture, _, tag = weights.partition(".")
            for size, top1 in checkpoint.top1.items():
                is_vit = ARCHS[architecture].family == "ViT" and dataset == "imagenet-a"
                value = min(top1 + (VIT_IMAGENET_A_OFFSET if is_vit else offset), 100.0)
                common = {
                    "source_id": "timm-eval", "source_file": source_file, "model": weights,
                    "architecture": architecture, "tag": tag, "dataset": dataset, "img_size": str(size),
                    "crop_pct": "0.900", "interpolation": "bicubic", "protocol": "eval",
                }  # fmt: skip
                rows.append({**common, "metric": "top1", "value": f"{value:.3f}"})
                rows.append({**common, "metric": "top5", "value": f"{min(value + TOP5_OFFSET, 100.0):.3f}"})
    return rows


def _timm(source_file: str, name: str, size: int, batch: int, rate: float, setup: Row) -> Row:
    return {
        "source_id": "timm-benchmark", "source_file": source_file, "model": name, "architecture": name,
        "task": "infer", "layout": "nchw", "batch_size": str(batch), "img_size": str(size),
        "throughput_per_s": f"{rate:.2f}", "latency_ms": f"{1000 * batch / rate:.3f}",
    } | setup  # fmt: skip


def _batch_1(source: str, device: str, runtime: str, precision: str, ms: Mapping[tuple[str, int], float]) -> list[Row]:
    return [
        {
            "source_id": source, "source_file": "README.md", "model": name, "architecture": name,
            "device_id": device, "task": "infer", "runtime": runtime, "precision": precision,
            "batch_size": "1", "img_size": str(size), "latency_ms": str(value),
        }
        for (name, size), value in ms.items()
    ]  # fmt: skip


def _coral() -> list[Row]:
    return _batch_1("coral-models-page", "coral-edgetpu", "tflite", "int8", CORAL_MS)


def _openvino() -> list[Row]:
    rows = _batch_1("openvino-2024-1", "i7-12700h", "openvino", "fp32", OPENVINO_MS)
    (suspect,) = _batch_1("openvino-2024-1", "i7-12700h", "openvino", "fp32", {("regnety_160", 384): 1})
    return [*rows, {**suspect, "suspect": "yes", "note": "suspect: 200 times as fast as compiled"}]


def _phone() -> list[Row]:
    rows = _batch_1("qualcomm-ai-hub", "samsung-galaxy-s24", "qnn", "fp16", PHONE_MS)
    return [*rows, {**rows[0], "model": "OwnNet", "architecture": "", "latency_ms": "0.1"}]


def _several_accelerators() -> Row:
    return {
        "source_id": "nvidia-dle", "source_file": "README.md", "model": "ResNet50",
        "architecture": "resnet50", "device_id": "8x-v100-16gb", "task": "train",
        "runtime": "pytorch-eager", "precision": "amp-fp16",
        "layout": "nhwc", "batch_size": "2048", "img_size": "224", "throughput_per_s": "9000",
    }  # fmt: skip


def _retrained_efficientnet() -> Row:
    """Another accuracy of a known architecture, without a tag: it may be shown, never joined."""
    return {
        "source_id": "pycls-model-zoo", "source_file": "MODEL_ZOO.md", "model": "EN-B0",
        "architecture": "efficientnet_b0", "dataset": "imagenet-1k", "metric": "top1", "value": "75.1",
        "img_size": "224", "protocol": "100 epochs",
    }  # fmt: skip


def _complexity() -> Iterator[Row]:
    for name, arch in ARCHS.items():
        for size, (gmacs, _, _) in arch.at.items():
            common = {"source_id": "timm-benchmark", "source_file": "results/benchmark-*.csv", "model": name}
            common |= {"architecture": name, "img_size": str(size)}
            yield {**common, "metric": "gmacs", "value": str(gmacs), "unit": "G"}
            yield {**common, "metric": "acts_m", "value": str(round(gmacs * 2.5, 3)), "unit": "M"}


def _training_cost() -> list[Row]:
    common = {"source_id": "deepfashion-2022", "source_file": "text", "dataset": "deepfashion", "unit": "min"}
    return [
        {**common, "model": name, "architecture": name, "metric": "minutes_per_epoch", "value": minutes}
        for name, minutes in (("resnet34", "2"), ("resnet50", "4"), ("efficientnet_b0", "5"))
    ]


def _catalogue() -> Iterator[tuple[str, ...]]:
    for weights, checkpoint in WEIGHTS.items():
        architecture, _, tag = weights.partition(".")
        arch = ARCHS[architecture]
        extra = checkpoint.pretraining != "in1k"
        sizes = [size for size in checkpoint.top1 if size != checkpoint.img_size]
        commercial = {"": "", "cc-by-nc-4.0": "false"}.get(checkpoint.licence, "true")
        row = {
            "weights": weights, "architecture": architecture, "tag": tag, "family": arch.family,
            "params_m": str(arch.params_m), "file_mb": f"{arch.params_m * 4:.1f}",
            "img_size": str(checkpoint.img_size), "test_img_size": str(sizes[0]) if sizes else "",
            "crop_pct": "0.9", "num_classes": "1000", "pretraining": checkpoint.pretraining,
            "pretrain_data": checkpoint.pretraining, "imagenet_1k_only": "false" if extra else "true",
            "extra_data_rank": "1" if extra else "0", "distilled": "true" if tag == "deit_in1k" else "false",
            "recipe": tag.split("_")[0], "licence": checkpoint.licence,
            "licence_spdx": checkpoint.licence or "unknown", "commercial": commercial,
            "origin_url": f"https://huggingface.co/timm/{weights}",
        }  # fmt: skip
        yield tuple(row[column] for column in CATALOGUE_COLUMNS)


def _sources() -> str:
    tables = [
        f'[{source_id}]\ntitle = "{source_id} (small test data)"\nurl = "https://example.org/{source_id}"\n'
        f'licence = "{licence}"\nversion = "1"\ndate = "2026-01-01"\n'
        for source_id, licence in _SOURCES.items()
    ]
    return "\n".join(tables)


def _cells(kind: str, row: Row) -> tuple[str, ...]:
    return tuple(row.get(column, "") for column in COLUMNS[kind])


def _write(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
