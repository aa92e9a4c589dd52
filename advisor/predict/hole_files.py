"""data/holes.*: the verdict on every published setup, to be read in review, and what is predicted where it is honest.

`holes.csv` has one line a setup; `holes.parquet` the predictions, which point to lines of it and carry its hash: files
of different builds are refused.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from advisor.errors import DataError
from advisor.predict.whole_files import write_whole

if TYPE_CHECKING:
    from advisor.predict.holes import Filled
    from advisor.predict.profile import Profiles

VERDICTS, PREDICTIONS = "holes.csv", "holes.parquet"
MIN_ROWS = 20  # of a setup; here, so that answers can name it without loading scipy
SETUP = (
    "device_id", "task", "runtime", "software", "threads", "unit", "precision", "layout", "batch_size",
)  # fmt: skip
_TEXT = ("kind", *SETUP[:-1], "quantities", "refused")
_NUMBERS = ("batch_size", "n_rows", "n_families", "coverage", "family_coverage", "median_error", "n_predicted")
REBUILD_HINT = "Check out the data folder again or run 'python -m advisor build-holes'."
_CSV, _MADE_FROM = b"csv", b"made_from"  # in the metadata of the Parquet file


@dataclass(frozen=True, eq=False)
class Holes:
    """What is shipped.

    Attributes:
        verdicts: One row a setup: its fields, the figures of `holes.HeldOut`, `quantities` (the speeds that its results
            state), `n_predicted` and `refused`.
        predictions: `setup` (row of `verdicts`), `architecture`, `img_size`, `p50_ms`, `deviation` (of the logarithm).
        made_from: Hash of the published results and cost profiles behind it.
    """

    verdicts: pd.DataFrame
    predictions: pd.DataFrame
    made_from: str


def save(found: Sequence[tuple[Filled, str]], profiles: Profiles, folder: Path, *, made_from: str) -> Holes:
    """Write both files, each beside the old one and then into its place.

    Args:
        found: Each setup with the speeds that its results state.

    Raises:
        DataError: They cannot be written.
    """
    verdicts = pd.DataFrame([
        asdict(one.held_out.setup) | {
            "n_rows": one.held_out.n_rows, "n_families": one.held_out.n_families,
            "coverage": one.held_out.coverage, "family_coverage": one.held_out.family_coverage,
            "median_error": one.held_out.median_error, "quantities": quantities, "n_predicted": len(one.rows),
            "refused": one.held_out.refused,
        } for one, quantities in found
    ])  # fmt: skip
    text = verdicts.to_csv(index=False, float_format="%.4f", lineterminator="\n").encode()
    rows = np.concatenate([one.rows for one, _ in found])
    names = profiles.models["architecture"].to_numpy(object)[rows]
    table = pa.table({
        "setup": pa.array(np.repeat(np.arange(len(found)), [len(one.rows) for one, _ in found]), pa.int16()),
        "architecture": pa.array(names.tolist()).dictionary_encode(),
        "img_size": pa.array(profiles.models["img_size"].to_numpy()[rows], pa.int16()),
        "p50_ms": pa.array(np.concatenate([np.exp(one.posterior.mean) for one, _ in found]), pa.float32()),
        "deviation": pa.array(np.concatenate([one.posterior.deviation for one, _ in found]), pa.float32()),
    })  # fmt: skip
    build = {_CSV: _digest(text), _MADE_FROM: made_from.encode()}
    packed = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(build), packed, compression="zstd", compression_level=19)
    write_whole(folder / PREDICTIONS, packed.getvalue(), what="The predictions")
    write_whole(folder / VERDICTS, text, what="The predictions")
    return load(folder)


def load(folder: Path) -> Holes:
    """What was written there; read once and then shared, so it is not to be changed. Nothing where there are no files.

    Raises:
        DataError: A file is missing or broken, or the two are of different builds.
    """
    stamps = [(folder / name).stat().st_mtime_ns for name in (VERDICTS, PREDICTIONS) if (folder / name).is_file()]
    if not stamps:
        return Holes(pd.DataFrame(columns=[*_TEXT, *_NUMBERS]), pd.DataFrame(), "")
    return _load(folder, tuple(stamps))


@functools.lru_cache(maxsize=2)
def _load(folder: Path, _stamps: tuple[int, ...]) -> Holes:
    try:
        text = (folder / VERDICTS).read_bytes()
        table = pq.read_table(folder / PREDICTIONS)
        metadata = table.schema.metadata or {}
        if metadata.get(_CSV) != _digest(text):
            raise ValueError(f"{PREDICTIONS} was not built with {VERDICTS}")
        verdicts = pd.read_csv(io.BytesIO(text), dtype=dict.fromkeys(_TEXT, "object"))
        verdicts[list(_TEXT)] = verdicts[list(_TEXT)].fillna("")
        predictions = table.to_pandas().astype({"architecture": object})
        return Holes(verdicts, predictions, metadata[_MADE_FROM].decode())
    # pandas and pyarrow have no common base for "this is not what it should be"
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as exc:
        said = " ".join(str(exc).split())[:160]
        raise DataError(f"The predictions in {folder} are broken ({said}). {REBUILD_HINT}") from exc


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
