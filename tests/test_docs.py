"""README says what there is: commands, options, settings, accuracies, and files that exist."""

from __future__ import annotations

import re

import pytest

from advisor.cli import main
from advisor.metrics import ACCURACIES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_is_documented(name: str) -> None:
    assert f"python -m advisor {name}" in README


@pytest.mark.parametrize("option", sorted(o for p in main.commands["recommend"].params for o in p.opts))
def test_every_option_of_recommend_is_documented(option: str) -> None:
    assert f"{option}" in README


@pytest.mark.parametrize("name", ACCURACIES)
def test_every_accuracy_is_documented(name: str) -> None:
    assert f"`{name}`" in README


def test_every_documented_benchmark_and_picture_exists() -> None:
    for module in re.findall(r"python -m (tests\.[\w.]+)", README):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).is_file(), picture


def test_documented_example_commands_parse() -> None:
    for line in re.findall(r"`python -m advisor ([^`]+)`", README):
        name, *args = line.split()
        main.commands[name].make_context(name, list(args), resilient_parsing=True)


def test_setting_that_moves_the_store_is_documented() -> None:
    assert "ADVISOR_HOME" in README
