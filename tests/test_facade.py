"""The facade re-exports what __all__ names, and nothing else of ours, and loads nothing before it is asked."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import advisor
from tests.conftest import ROOT


def test_all_names_what_is_imported_for_readers() -> None:
    tree = ast.parse((ROOT / "advisor" / "__init__.py").read_text(encoding="utf-8"))
    shown = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("advisor.")
        for alias in node.names
    ]
    assert sorted(shown) == sorted(advisor.__all__)
    assert len(advisor.__all__) == len(set(advisor.__all__))


@pytest.mark.parametrize("name", advisor.__all__)
def test_every_name_is_there_and_at_home_where_it_says(name: str) -> None:
    assert getattr(advisor, name) is not None


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'resnet'"):
        _ = advisor.resnet


def test_importing_a_module_of_the_measuring_process_stays_light() -> None:
    script = "import sys, advisor.measure.request; print({'pandas', 'duckdb', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
