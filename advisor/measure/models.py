"""The networks that can be measured: all that timm lists, known without importing it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from advisor.errors import UnknownName
from advisor.evidence import catalogue
from advisor.evidence.catalogue import Architecture
from advisor.measure.request import Request

FILE = Path(__file__).resolve().parents[2] / "data" / "architectures.csv"
_WEIGHTS = re.compile(r"([A-Za-z0-9_]+)\.[A-Za-z0-9_]+")


def load(path: Path = FILE) -> dict[str, Architecture]:
    """Every architecture by name, in order of name.

    Raises:
        DataError: The file is missing or broken; names the line.
    """
    return dict(_load(path))


@functools.lru_cache(maxsize=2)
def _load(path: Path) -> dict[str, Architecture]:
    return {row.architecture: row for row in catalogue.load_architectures(path)}


def known(name: str, path: Path = FILE) -> str:
    """The architecture that a name means: its own, or that of weights ("regnety_032.ra_in1k").

    Only the part before the dot counts: networks are measured with random weights, at the architecture's own image
    size and classifier unless asked otherwise.

    Raises:
        BadQuestion: A path, URL or hub id.
        UnknownName: timm lists no such architecture; offers close names.
    """
    weights = _WEIGHTS.fullmatch(name.strip())
    architecture = Request(architecture=weights[1] if weights else name.strip()).architecture
    listed = _load(path)
    if architecture not in listed:
        hint = "Search with 'python -m advisor models --search TEXT'."
        raise UnknownName("model", architecture, listed, hint=hint)
    return architecture
