"""data/profiles.*: the shipped cost profiles, written so that a reader sees one build whole or an error.

`profiles.csv` has one line a profile, to be read in review; `profiles.not_counted.csv` what could not be counted;
`profiles.operators.parquet` every distinct operator; `profiles.counts.parquet` which profile runs which, how often.
The two Parquet files carry the hash of the two others: files of different builds are refused.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from advisor.errors import DataError
from advisor.predict.profile import MODEL_COLUMNS, OPERATOR_COLUMNS, NotCounted, Profiles
from advisor.predict.signature import CLASSES
from advisor.predict.whole_files import write_whole

if TYPE_CHECKING:
    from scipy import sparse

FOLDER = Path(__file__).resolve().parents[2] / "data"
MODELS, NOT_COUNTED, OPERATORS, COUNTS = (
    "profiles.csv", "profiles.not_counted.csv", "profiles.operators.parquet", "profiles.counts.parquet",
)  # fmt: skip
REBUILD_HINT = "Check out the data folder again or run 'python -m advisor build-profiles'."
_TEXT = ("architecture", "uncounted", "counter", "timm")
_NAMES = ("name", "kind")  # of operators: few different ones
_WHAT = "The cost profiles"
_BUILD = b"build"  # in the metadata of the Parquet files


def load(folder: Path = FOLDER) -> Profiles:
    """The shipped profiles; read once and then shared, so they are not to be changed.

    Raises:
        DataError: A file is missing or broken, or the files are of different builds.
    """
    try:
        stamp = tuple((folder / name).stat().st_mtime_ns for name in (MODELS, NOT_COUNTED, OPERATORS, COUNTS))
    except OSError as exc:
        raise DataError(f"There is no cost profile file {exc.filename}. {REBUILD_HINT}") from exc
    return _load(folder, stamp)


def content_hash(folder: Path = FOLDER) -> str:
    """A key that changes whenever a shipped profile does, the same on every machine.

    Raises:
        DataError: A file is missing.
    """
    try:
        return _digest((folder / MODELS).read_bytes(), (folder / NOT_COUNTED).read_bytes()).decode()
    except OSError as exc:
        raise DataError(f"There is no cost profile file {exc.filename}. {REBUILD_HINT}") from exc


@functools.lru_cache(maxsize=2)
def _load(folder: Path, _stamp: tuple[int, ...]) -> Profiles:
    with _in_words(folder):
        texts = [(folder / name).read_bytes() for name in (MODELS, NOT_COUNTED)]
        digest = _digest(*texts)
        operators = _parquet(folder / OPERATORS, digest).to_pandas()[list(OPERATOR_COLUMNS)]
        runs = _parquet(folder / COUNTS, digest)
        models = _table(texts[0], _TEXT)[list(MODEL_COLUMNS)]
        failed = _table(texts[1], ("architecture", "reason"))
        columns = (failed[f.name].tolist() for f in fields(NotCounted))
        return Profiles(models, operators, _counts(runs, models, len(operators)), tuple(map(NotCounted, *columns)))


@contextlib.contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    # pandas, pyarrow and scipy have no common base for "this is not what it should be"
    except (OSError, ValueError, KeyError, TypeError, IndexError, pa.ArrowException) as exc:
        said = " ".join(str(exc).split())[:160]
        raise DataError(f"The cost profiles in {folder} are broken ({said}). {REBUILD_HINT}") from exc


def _table(text: bytes, text_columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(text), dtype=dict.fromkeys(text_columns, "str"), keep_default_na=False)


def _digest(models: bytes, not_counted: bytes) -> bytes:
    """Tells one build from another: what stands in the text files decides what was counted."""
    return hashlib.sha256(hashlib.sha256(models).digest() + not_counted).hexdigest().encode()


def _parquet(path: Path, digest: bytes) -> pa.Table:
    table = pq.read_table(path)
    if (table.schema.metadata or {}).get(_BUILD) != digest:
        raise ValueError(f"{path.name} was not built with {MODELS} and {NOT_COUNTED}")
    return table


def _counts(table: pa.Table, models: pd.DataFrame, n_operators: int) -> sparse.csr_array:
    """Rows of operators and how often, which are a sparse matrix as they stand."""
    from scipy import sparse  # takes 0.2 s to import, and every command imports this module

    operators, times = (table[name].combine_chunks() for name in ("operators", "times"))
    if len(operators) != len(models) or table["architecture"].to_pylist() != models["architecture"].tolist():
        raise ValueError(f"{COUNTS} has other networks than {MODELS}")
    parts = times.values.to_numpy(), operators.values.to_numpy(), operators.offsets.to_numpy()
    counts = sparse.csr_array(parts, shape=(len(models), n_operators), dtype=np.int32)
    counts.check_format(full_check=True)  # an index outside would be read as someone else's memory
    return counts


def save(profiles: Profiles, folder: Path) -> None:
    """Write the four files; one that is killed on the way leaves files that `load` refuses, never a mixture.

    Raises:
        DataError: They cannot be written.
    """
    counts = profiles.counts.tocsr()
    by_class = counts @ (profiles.operators["kind"].to_numpy()[:, None] == np.array(CLASSES, dtype=object))
    models = profiles.models.assign(**{f"n {kind}": by_class[:, i] for i, kind in enumerate(CLASSES)})
    text = models.to_csv(index=False, lineterminator="\n").encode()
    failed = pd.DataFrame([(n.architecture, n.img_size, n.reason) for n in profiles.not_counted],
                          columns=[f.name for f in fields(NotCounted)])  # fmt: skip
    reasons = failed.to_csv(index=False, lineterminator="\n").encode()
    build = {_BUILD: _digest(text, reasons)}
    operators = pa.table({name: profiles.operators[name].to_list() for name in OPERATOR_COLUMNS})
    for name in _NAMES:
        operators = operators.set_column(OPERATOR_COLUMNS.index(name), name, operators[name].dictionary_encode())
    lists = [pa.ListArray.from_arrays(*(pa.array(part, pa.int32()) for part in (counts.indptr, values)))
             for values in (counts.indices, counts.data)]  # fmt: skip
    names, sizes = (profiles.models[name].to_list() for name in ("architecture", "img_size"))
    runs = pa.table([names, sizes, *lists], names=["architecture", "img_size", "operators", "times"])
    write_whole(folder / OPERATORS, _packed(operators.replace_schema_metadata(build)), what=_WHAT)
    write_whole(folder / COUNTS, _packed(runs.replace_schema_metadata(build)), what=_WHAT)
    write_whole(folder / NOT_COUNTED, reasons, what=_WHAT)
    write_whole(folder / MODELS, text, what=_WHAT)


def _packed(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", compression_level=19)
    return out.getvalue()
