"""timm's pretrained weights (data/catalogue.csv) and architectures (data/architectures.csv), built from timm."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from advisor.errors import CatalogueFailed, DataError
from advisor.evidence import child, families, licences, tags

TIME_LIMIT_S = 1800.0  # the whole of timm 1.0.31 takes 6 minutes on one core
REBUILD_HINT = "Run 'python -m advisor build-catalogue' to build it anew."
_WORKER = (sys.executable, "-m", "advisor.evidence.workers.catalogue_worker")

BuildProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of pretrained weights, as timm describes it.

    Attributes:
        weights: Architecture and tag, the name that `timm.create_model` takes.
        params_m: Parameters in millions, with the weights' own classifier.
        file_mb: Size of all parameters and buffers in fp32, in 10^6 bytes; a stored file may be smaller
            (fp16) or larger (a training checkpoint).
        img_size: Side of the images in training, px (the width where they are not square).
        test_img_size: Side at which timm tests the weights; the same as `img_size` where timm names none.
        crop_pct: Share of the image that the centre crop keeps at `img_size`.
        num_classes: Outputs of the last layer: 0 without a classifier, and for CLIP's image towers the
            width of the embedding.
        pretraining: Data sets in order of training, to read; `pretrain_data` has their codes, joined by ">".
        imagenet_1k_only: No image outside ImageNet-1k was used; None where unknown. A teacher may have
            seen more: see `distilled`.
        extra_data_rank: 0 ImageNet-1k alone, 1 a larger ImageNet, 2 web scale, 9 unknown.
        licence: As timm gives it; `licence_spdx` is its SPDX id, "custom" or "unknown".
        commercial: True only for licences known to allow commercial use.
    """

    weights: str
    architecture: str
    tag: str
    family: str
    params_m: float
    file_mb: float
    img_size: int
    test_img_size: int
    crop_pct: float
    num_classes: int
    pretraining: str
    pretrain_data: str
    imagenet_1k_only: bool | None
    extra_data_rank: int
    distilled: bool
    recipe: str
    licence: str
    licence_spdx: str
    commercial: bool | None
    origin_url: str

    def __post_init__(self) -> None:
        if self.weights != ".".join(filter(None, (self.architecture, self.tag))):
            raise ValueError(f"weights '{self.weights}' are not architecture and tag")
        for name in ("params_m", "file_mb", "img_size", "test_img_size", "crop_pct"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of '{self.weights}' is {getattr(self, name)}, not above 0")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that timm can build, with or without pretrained weights.

    Attributes:
        img_size: Side of its images unless told otherwise, px.
        params_m: Parameters in millions, with the classifier that timm gives it by default.
        pretrained: Whether timm has weights for it.
    """

    architecture: str
    family: str
    img_size: int
    params_m: float
    pretrained: bool

    def __post_init__(self) -> None:
        for name in ("img_size", "params_m"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of '{self.architecture}' is {getattr(self, name)}, not above 0")


Row = TypeVar("Row", Weights, Architecture)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build has written, and what timm could not build, each with the reason.

    Attributes:
        written: Weights in the catalogue.
        architectures: Architectures in their list; 0 where that was not asked for.
    """

    written: int
    failed: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    architectures: int = 0


# -- reading and writing the file --------------------------------------------------------------------


def load(path: Path) -> list[Weights]:
    """All weights of a catalogue file, in its order, which is by name.

    Raises:
        DataError: The file is missing or broken; names the line.
    """
    return _read(path, Weights)


def load_architectures(path: Path) -> list[Architecture]:
    """All architectures of a file, in its order, which is by name.

    Raises:
        DataError: The file is missing or broken; names the line.
    """
    return _read(path, Architecture)


def _read(path: Path, kind: type[Row]) -> list[Row]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise DataError(f"There is no catalogue at {path}. {REBUILD_HINT}") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"The catalogue {path} cannot be read ({exc}). {REBUILD_HINT}") from exc
    if text and not text.endswith("\n"):
        raise DataError(f"The catalogue {path} ends in the middle of a line. {REBUILD_HINT}")
    try:
        return list(_parse(text, path, kind))
    except csv.Error as exc:
        raise DataError(f"The catalogue {path} is no CSV file ({exc}). {REBUILD_HINT}") from exc


def _parse(text: str, path: Path, kind: type[Row]) -> Iterator[Row]:
    rows = csv.reader(io.StringIO(text, newline=""))
    columns = [f.name for f in fields(kind)]
    if (header := next(rows, [])) != columns:
        missing = ", ".join(c for c in columns if c not in header) or "none, but their order differs"
        raise DataError(f"The catalogue {path} lacks columns: {missing}. {REBUILD_HINT}")
    previous = ""
    for row in rows:
        try:
            cells = zip(fields(kind), row, strict=True)
            described = kind(**{f.name: _READERS[str(f.type)](cell) for f, cell in cells})
        except ValueError as exc:
            message = f"Line {rows.line_num} of the catalogue {path} is broken: {exc}. {REBUILD_HINT}"
            raise DataError(message) from exc
        if row[0] <= previous:
            raise DataError(
                f"Line {rows.line_num} of the catalogue {path} is out of order or stands twice: "
                f"'{row[0]}'. {REBUILD_HINT}"
            )
        previous = row[0]
        yield described


def _truth(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError(f"'{cell}' is neither true nor false")
    return cell == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _truth,
    "bool | None": lambda cell: _truth(cell) if cell else None,
}


def _save(rows: dict[str, Row], kind: type[Row], out: Path) -> None:
    """Write by name beside the file and move into place, so that a reader sees the old one or the new one."""
    columns = [f.name for f in fields(kind)]
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_cell(getattr(rows[key], name)) for name in columns] for key in sorted(rows))
        part.replace(out)
    except OSError as exc:
        raise CatalogueFailed(f"The catalogue could not be written to {out}: {exc.strerror or exc}.") from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- building it from timm -----------------------------------------------------------------------------


def build(
    out: Path,
    *,
    architectures: Path | None = None,
    progress: BuildProgress | None = None,
    pattern: str = "",
    time_limit_s: float = TIME_LIMIT_S,
    command: Sequence[str] = _WORKER,
) -> BuildReport:
    """Ask timm for all its pretrained weights and architectures and write both lists, sorted by name.

    Args:
        out: The catalogue to replace; it stays as it is unless the build succeeds.
        architectures: The list of architectures to replace, likewise; None writes none.
        progress: Called with networks done, networks in all, and the name just done.
        pattern: Only weights and architectures whose names match this shell pattern.
        time_limit_s: The worker is killed after this time.
        command: What to run as the worker.

    Raises:
        CatalogueFailed: The worker died, was too slow, or answered what it should not.
    """
    catalogue: dict[str, Weights] = {}
    listed: dict[str, Architecture] = {}
    failed: list[tuple[str, str]] = []
    versions: dict[str, str] = {}
    total = 0
    worker = child.answers(
        [*command, *filter(None, [pattern])], what="The catalogue's worker", time_limit_s=time_limit_s,
        failure=_failure,
    )  # fmt: skip
    with contextlib.closing(worker) as answers:
        for record in answers:
            if "total" in record:
                total = record["total"]
            elif "versions" in record:
                versions = record["versions"]
            elif "failed" in record:
                failed.append((record["failed"], record["reason"]))
            else:
                if "weights" in record:
                    catalogue[record["weights"]] = _described(record)
                else:
                    architecture = _listed(record)
                    listed[architecture.architecture] = architecture
                if progress:
                    name = record.get("weights") or record["architecture"]
                    progress(len(catalogue) + len(listed) + len(failed), total, name)
    done = len(catalogue) + len(listed) + len(failed)
    if not versions or done != total:
        raise _failure(f"The catalogue's worker answered for {done} of {total} networks")
    if not catalogue:
        why = f"{failed[0][0]}: {failed[0][1]}" if failed else f"nothing matches '{pattern}'"
        raise _failure(f"No weights could be described ({why})")
    _save(catalogue, Weights, out)
    if architectures is not None:
        _save(listed, Architecture, architectures)
    found = 0 if architectures is None else len(listed)
    return BuildReport(len(catalogue), tuple(sorted(failed)), tuple(sorted(versions.items())), found)


def _failure(what: str) -> CatalogueFailed:
    return CatalogueFailed(f"{what}; the old catalogue stays.")


def _described(record: dict[str, Any]) -> Weights:
    """The catalogue's row of what timm says about weights."""
    try:
        tag = record["tag"] or ""
        facts = tags.read_tag(record["architecture"], tag)
        spdx, commercial = licences.normalise(record["licence"])
        hub = f"https://huggingface.co/{record['hf_hub_id']}" if record["hf_hub_id"] else ""
        return Weights(
            weights=record["weights"],
            architecture=record["architecture"],
            tag=tag,
            family=families.family_of(record["architecture"]),
            params_m=record["params"] / 1e6,
            file_mb=record["file_bytes"] / 1e6,
            img_size=record["img_size"],
            test_img_size=record["test_img_size"] or record["img_size"],
            crop_pct=record["crop_pct"],
            num_classes=record["num_classes"],
            pretraining=facts.pretraining,
            pretrain_data=">".join(facts.data),
            imagenet_1k_only=facts.imagenet_1k_only,
            extra_data_rank=facts.extra_data_rank,
            distilled=facts.distilled,
            recipe=facts.recipe,
            licence=record["licence"] or "",
            licence_spdx=spdx,
            commercial=commercial,
            origin_url=record["origin_url"] or hub or record["url"] or "",
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise _unusable(exc) from exc


def _listed(record: dict[str, Any]) -> Architecture:
    """The row of an architecture of what timm says about it."""
    try:
        return Architecture(
            architecture=record["architecture"],
            family=families.family_of(record["architecture"]),
            img_size=record["img_size"],
            params_m=record["params"] / 1e6,
            pretrained=record["pretrained"],
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise _unusable(exc) from exc


def _unusable(exc: Exception) -> CatalogueFailed:
    return _failure(f"The catalogue's worker sent a record that cannot be used ({exc!r})")
