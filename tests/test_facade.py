"""The facade re-exports what __all__ names, and nothing else of ours."""

from __future__ import annotations

import types

import advisor


def test_all_names_what_is_there() -> None:
    there = {
        name
        for name, value in vars(advisor).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert there == set(advisor.__all__)
    assert len(advisor.__all__) == len(set(advisor.__all__))
