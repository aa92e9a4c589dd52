"""The house: imports point one way, each outside thing has one door, and importing the advisor stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "advisor"
FACES = {"cli", "ui", "charts", "tables", "views", "links", "answer_json", "__main__"}
# layer -> the layers it may import from (itself always)
ALLOWED = {
    "words": set(),
    "evidence": {"words"},
    "advice": {"words", "evidence"},
    "measure": {"words", "evidence"},
    "predict": {"words", "evidence", "measure"},
    "workflows": {"words", "evidence", "advice", "measure", "predict"},
    "faces": {"words", "evidence", "advice", "measure", "predict", "workflows"},
}
PACKAGES = ("advisor", "advisor.evidence", "advisor.advice", "advisor.measure", "advisor.predict")
MODULES = sorted(p for p in PACKAGE.rglob("*.py"))
SCRIPTS = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


def layer(module: str) -> str:
    """The layer of a dotted module of ours."""
    parts = module.split(".")[1:]
    if not parts or parts[0] in ("errors", "records", "metrics"):
        return "words"
    if parts[0] in ("evidence", "advice", "measure", "predict"):
        return parts[0]
    if parts[0].startswith("workflows"):
        return "workflows"
    return "faces"


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield str(node.module)
            if str(node.module) in PACKAGES:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_one_way(path: Path) -> None:
    own = layer(dotted(path))
    if dotted(path) == "advisor":
        return  # the facade re-exports
    for name in imports(path):
        if name == "advisor" or not name.startswith("advisor."):
            continue
        other = layer(name)
        assert other == own or other in ALLOWED[own], f"{dotted(path)} ({own}) imports {name} ({other})"


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda p: p.stem)
def test_each_outside_thing_has_one_door(path: Path) -> None:
    names = {name.partition(".")[0] for name in imports(path)}
    module = dotted(path)
    if names & {"torch", "timm", "torchvision"}:
        assert ".workers." in module or ".runtimes." in module
    if names & {"onnx", "onnxruntime", "openvino"}:
        assert ".runtimes." in module
    if "duckdb" in names:
        assert module == "advisor.evidence.store"
    if "streamlit" in names:
        assert path in SCRIPTS or module.startswith("advisor.ui")
    if names & {"subprocess", "multiprocessing"}:
        assert module in ("advisor.evidence.child", "advisor.measure.host")
    if "httpx" in names:
        assert module == "advisor.evidence.download"


def test_pages_import_no_page_and_hold_no_sql() -> None:
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        assert not any(name.partition(".")[0] == "pages" for name in imports(path))
        assert "SELECT " not in text


@pytest.mark.parametrize("module", ["advisor", "advisor.workflows", "advisor.cli"])
def test_importing_loads_neither_torch_nor_streamlit(module: str) -> None:
    script = (
        f"import sys, {module}; "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'timm', 'torchvision', 'streamlit'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda p: p.stem)
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
