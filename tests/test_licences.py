"""Licences become SPDX ids where they are, and only known ones pass as commercial."""

from __future__ import annotations

import pytest

from advisor.evidence.licences import normalise


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("apache-2.0", ("Apache-2.0", True)),
        ("Apache-2.0", ("Apache-2.0", True)),
        ("mit", ("MIT", True)),
        ("bsd-3-clause", ("BSD-3-Clause", True)),
        ("cc-by-4.0", ("CC-BY-4.0", True)),
        ("MIT OR Apache-2.0", ("MIT OR Apache-2.0", True)),
        ("cc-by-nc-4.0", ("CC-BY-NC-4.0", False)),
        ("CC-BY-NC-SA-4.0", ("CC-BY-NC-SA-4.0", False)),
        ("apple-amlr", ("custom", False)),
        ("seer-license", ("custom", False)),
        ("fair-noncommercial-research-license", ("custom", False)),
        ("dinov3-license", ("custom", None)),
        ("gemma", ("custom", None)),
        ("a licence of my own", ("custom", None)),
        ("MIT AND", ("custom", None)),
        ("unknown", ("unknown", None)),
        ("other", ("unknown", None)),
        ("  ", ("unknown", None)),
        (None, ("unknown", None)),
    ],
)
def test_licence_is_normalised(given: str | None, expected: tuple[str, bool | None]) -> None:
    assert normalise(given) == expected


def test_spdx_id_outside_our_list_is_unclear_not_allowed() -> None:
    assert normalise("CC-BY-ND-4.0") == ("CC-BY-ND-4.0", None)
