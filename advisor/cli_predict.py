"""The commands that predict: build-profiles."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.table import Table

from advisor import answer_json, workflows_predict
from advisor.predict.profiling import BuildReport
from advisor.tables import Printable
from advisor.terminal import as_json, bar, opened_store, show


@click.command("build-profiles")
@as_json
def build_profiles(json_: bool) -> None:
    """Count the operators of every timm network for data/profiles.* (15 minutes; goes on where it was stopped)."""
    with opened_store() as store, bar("timm's networks") as advance:
        report = workflows_predict.build_profiles(
            store, lambda done, total, name: advance(done / max(total, 1), f"{name} {done}/{total}")
        )
    show(answer_json.record(report), json_, lambda: _report(report))


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
