"""The command that finds the best network on this machine: predict all, measure the few that could win."""

from __future__ import annotations

from typing import Any

import click

from advisor import find_json, tables_find, views_find, workflows_find, workflows_find_probing
from advisor.cli_question import BATCH_SIZE, LAYOUT, LIMITS, asked
from advisor.measure.request import PRECISIONS, RUNTIMES
from advisor.records import Question
from advisor.terminal import as_json, as_one, job_bar, opened_store, show

_OPTIONS = (
    click.option(
        "--device", "device_id", default="cpu", show_default=True, help="cpu, cuda:N or mps of this machine."
    ),
    click.option("--max-latency-ms", type=float, required=True, help="One forward pass of one batch, at most."),
    click.option(
        "--runtime", default=workflows_find.BEST, show_default=True,
        help=f"{', '.join(RUNTIMES)}, or '{workflows_find.BEST}' to choose among all that are installed.",
    ),
    click.option("--precision", help=f"Only this precision: {', '.join(PRECISIONS)}."),
    LAYOUT,
    BATCH_SIZE,
    *LIMITS,
)  # fmt: skip


def _question(given: dict[str, Any]) -> Question:
    if given["runtime"] == workflows_find.BEST:
        given["runtime"] = None
    return asked(given)


@click.command()
@as_one("question", _OPTIONS, _question)
@click.option(
    "--confirm", type=int, default=workflows_find.CONFIRM, show_default=True, help="Most candidates to measure."
)
@click.option(
    "--budget-s", type=float, default=workflows_find.BUDGET_S, show_default=True,
    help="No further measurement is begun after so many seconds.",
)  # fmt: skip
@as_json
def find(question: Question, confirm: int, budget_s: float, json_: bool) -> None:
    """The most accurate network within a latency on this machine: predicted, confirmed by measuring, and answered."""
    with opened_store() as store:
        if asked_first := workflows_find.unprobed(store, question):
            said = views_find.probing_words(asked_first, workflows_find_probing.expected_s(asked_first))
            click.echo(f"{said[0].upper()}{said[1:]}. A --runtime makes it a search with that one alone.", err=True)
        with job_bar("searching") as on_change:
            found = workflows_find.find(store, question, confirm=confirm, budget_s=budget_s, on_change=on_change)
    show(find_json.answer(found), json_, lambda: tables_find.answer(found))
    if found.problem:
        raise click.ClickException(found.problem)
    if found.status == "cancelled":
        raise click.exceptions.Exit(130)  # as a program that Ctrl-C ended
