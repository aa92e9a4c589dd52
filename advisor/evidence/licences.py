"""Licences of weights: their SPDX ids, and whether they are known to allow commercial use."""

from __future__ import annotations

from functools import cache

from license_expression import (  # type: ignore[import-untyped]
    ExpressionError,
    Licensing,
    get_spdx_licensing,
)

CUSTOM = "custom"
UNKNOWN = "unknown"

_SILENT = {"", "unknown", "other", "none", "n/a"}

# Licences whose own text grants use without regard to its purpose.
_COMMERCIAL = {
    "0BSD", "AFL-3.0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0",
    "CC-BY-SA-4.0", "CC0-1.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later",
    "AGPL-3.0-only", "AGPL-3.0-or-later", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0", "Unlicense", "Zlib",
}  # fmt: skip

# Named licences that are no SPDX ids and whose text forbids commercial use.
_NON_COMMERCIAL = {
    "apple-amlr",  # Apple Machine Learning Research Model: "for research purposes" only
    "fair-noncommercial-research-license",
    "seer-license",  # timm's model card: "a non-commercial license with usage and distribution restrictions"
}


def normalise(licence: str | None) -> tuple[str, bool | None]:
    """The SPDX id of a licence as given, and whether commercial use is known to be allowed.

    Returns:
        The id, `CUSTOM` for a named licence that is none, `UNKNOWN` where nothing is stated; then True if
        the licence is known to allow commercial use, False if it is known to forbid it, None otherwise.
        Only True may pass a filter on commercial use: many custom licences allow it with conditions that
        nobody but the user can judge.
    """
    given = (licence or "").strip()
    if given.lower() in _SILENT:
        return UNKNOWN, None
    try:
        parsed = _spdx().parse(given, validate=True, strict=True)
    except ExpressionError:
        return CUSTOM, False if given.lower() in _NON_COMMERCIAL else None
    ids = {symbol.key for symbol in parsed.symbols}
    if any(name.startswith("LicenseRef-") for name in ids):
        return CUSTOM, None
    return str(parsed), _allows_commercial(ids)


def _allows_commercial(ids: set[str]) -> bool | None:
    """Whether all licences of an expression allow commercial use, read strictly: `OR` counts like `AND`."""
    if any("-NC-" in name for name in ids):
        return False
    return True if ids <= _COMMERCIAL else None


@cache
def _spdx() -> Licensing:
    # reading the index of SPDX ids takes a third of a second
    return get_spdx_licensing()
