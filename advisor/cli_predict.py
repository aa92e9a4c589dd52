"""The commands that predict: build-profiles, build-history, build-deviations, build-holes, backtest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from advisor import answer_json, workflows, workflows_deviations, workflows_holes, workflows_predict
from advisor.predict import backtest_file
from advisor.predict.backtest_plan import DRAWS, N_PROBES, Plan
from advisor.predict.profiling import BuildReport
from advisor.tables import Printable
from advisor.terminal import as_json, bar, opened_store, show
from advisor.workflows_deviations import DeviationsReport
from advisor.workflows_holes import HolesReport

if TYPE_CHECKING:
    from advisor.predict.backtest import Backtest
    from advisor.predict.backtest_summary import AnswerRow, PredictionRow


@click.command("build-profiles")
@as_json
def build_profiles(json_: bool) -> None:
    """Count the operators of every timm network for data/profiles.* (15 minutes; goes on where it was stopped)."""
    with opened_store() as store, bar("timm's networks") as advance:
        report = workflows_predict.build_profiles(
            store, lambda done, total, name: advance(done / max(total, 1), f"{name} {done}/{total}")
        )
    show(answer_json.record(report), json_, lambda: _report(report))


@click.command("build-history")
@as_json
def build_history(json_: bool) -> None:
    """Work out what published devices say for data/history.npz (seconds); after build-profiles or new results."""
    with opened_store() as store:
        past, prior = workflows_predict.build_history(store)
    said = {"devices": list(past.device_ids), "setups": len(past.patterns), "prior": answer_json.record(prior)}
    show(said, json_, lambda: iter([f"{len(past.patterns)} setups of {len(past.device_ids)} published devices."]))


@click.command("build-deviations")
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@as_json
def build_deviations(folders: tuple[Path, ...], json_: bool) -> None:
    """Work out how networks deviate from what their operators add up to, for data/deviations.csv.

    FOLDERS are ADVISOR_HOMEs of one machine, each with calibrations and other networks measured in the same setups.
    """
    with opened_store() as store:
        report = workflows_deviations.build_deviations(store, folders)
    show(answer_json.record(report), json_, lambda: _deviations(report))


def _deviations(report: DeviationsReport) -> Iterator[Printable]:
    for one in report.setups:
        said = "1 calibration says" if one.n_calibrations == 1 else f"{one.n_calibrations} calibrations say"
        yield f"{one.setup}: {one.n_networks} networks, beside what {said} of them."


@click.command("build-holes")
@as_json
def build_holes(json_: bool) -> None:
    """Predict networks that published setups lack for data/holes.* (two minutes), where that proves honest."""
    with opened_store() as store, bar("published setups") as advance:
        report = workflows_holes.build_holes(
            store, lambda done, total, name: advance(done / max(total, 1), f"{name} {done}/{total}")
        )
    show(answer_json.record(report), json_, lambda: _holes(report))


def _holes(report: HolesReport) -> Iterator[Printable]:
    table = Table(
        "Device", "Task", "Setup", "Networks", "Families", "In 90 %", "By family", "Median error", "Predicted"
    )
    for row in report.setups:
        setup = [row[name] for name in ("runtime", "precision", "layout", "unit") if row[name]]
        figures = [
            "–" if row[name] != row[name] else f"{row[name]:.1%}"
            for name in ("coverage", "family_coverage", "median_error")
        ]
        table.add_row(
            row["device_id"], row["task"], ", ".join([*setup, f"batch {row['batch_size']}"]), str(row["n_rows"]),
            str(row["n_families"]), *figures, "refused" if row["refused"] else str(row["n_predicted"]),
        )  # fmt: skip
    yield table
    yield f"{report.n_honest} of {len(report.setups)} setups predict honestly; {report.n_predicted:,} holes predicted."


def _report(report: BuildReport) -> Iterator[Printable]:
    again = f", {report.resumed} of them by an earlier build that was stopped" if report.resumed else ""
    yield (
        f"{report.profiles} profiles of {report.architectures} architectures with {report.operators} distinct "
        f"operators, counted by {report.counter} with timm {report.timm}{again}."
    )
    if report.not_counted:
        table = Table("Not counted", "px", "Reason")
        for row in report.not_counted:
            table.add_row(row.architecture, str(row.img_size), row.reason)
        yield table


@click.command()
@click.option("--draws", type=click.IntRange(1, 1000), default=DRAWS, show_default=True, help="Random probe sets.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random probe sets.")
@click.option("--save", is_flag=True, help="Keep it in data/backtest.json, which the page This machine shows.")
@as_json
def backtest(draws: int, seed: int, save: bool, json_: bool) -> None:
    """Hold every published device out, predict it from a few probes, and judge predictions and advice (minutes)."""
    with opened_store() as store, bar("held-out devices") as advance:
        found = workflows_predict.backtest(
            store, Plan(N_PROBES, draws, seed), lambda done, total, name: advance(done / max(total, 1), name)
        )
    record = _backtest_record(found)
    if save:
        backtest_file.save(workflows.DATA, record, datetime.now(UTC).date().isoformat())
    show(record, json_, lambda: _backtest_tables(found))


def _backtest_record(found: Backtest) -> dict[str, object]:
    from advisor.predict import backtest_summary  # loads scipy, which no other command needs

    return {
        "plan": answer_json.record(found.plan),
        "predictions": [answer_json.record(row) for row in backtest_summary.by_kind(found)],
        "devices": [answer_json.record(row) for row in backtest_summary.by_device(found)],
        "setups": [answer_json.record(case) for case in found.cases],
        "advice": [answer_json.record(row) for row in backtest_summary.advice_by_kind(found)],
        "priors": {device: answer_json.record(prior) for device, prior in found.priors.items()},
    }


def _backtest_tables(found: Backtest) -> Iterator[Printable]:
    from advisor.predict import backtest_summary

    draws = f"{found.plan.draws} random sets of probes and the chosen one; seed {found.plan.seed}"
    yield f"Every published device with enough networks held out with all its setups. {draws}."
    yield _predictions(backtest_summary.by_kind(found))
    largest = max(found.plan.n_probes)
    yield _predictions([r for r in backtest_summary.by_device(found) if r.n_probes == largest])
    yield "The most accurate network within a budget, over the whole range of budgets; no ties broken."
    yield _advice(backtest_summary.advice_by_kind(found))


def _predictions(rows: list[PredictionRow]) -> Table:
    table = Table(
        "Held out", "Task", "Probes", "Method", "Devices", "Setups", "Median error", "Within ±10 %", "90 % interval",
        "Spearman",
    )  # fmt: skip
    for row in rows:
        score = row.score
        covered = "–" if score.coverage is None else f"{score.coverage:.0%}"
        table.add_row(
            row.device or row.kind, row.task, f"{row.n_probes} {row.probes}", row.method, str(row.n_devices),
            str(row.n_setups), f"{score.median_error:.1%}", f"{score.within_10:.0%}", covered, f"{score.spearman:.3f}",
        )  # fmt: skip
    return table


def _advice(rows: list[AnswerRow]) -> Table:
    table = Table(
        "Held out", "Task", "Probes", "Method", "Devices", "Answers", "Budget broken", "Mean regret", "No answer",
        "Confirmations",
    )  # fmt: skip
    for row in rows:
        score = row.score
        table.add_row(
            row.kind, row.task, f"{row.n_probes} {row.probes}", row.method, str(row.n_devices), str(row.n_answers),
            f"{score.broken:.1%}", "–" if score.regret is None else f"{score.regret:.3f}", f"{score.unanswered:.1%}",
            f"{score.confirmations:.1f}",
        )  # fmt: skip
    return table
