"""The command line: parse, call a workflow, print a table or JSON. One sentence and exit code 1 on bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from advisor import answer_json, cli_calibrate, cli_find, cli_measure, cli_predict, tables, workflows
from advisor.cli_question import question as question_options
from advisor.errors import AdvisorError
from advisor.records import Question
from advisor.terminal import as_json, bar, opened_store, show


class _OneSentence(click.Group):
    """Turns our own errors into one line and exit code 1; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as exc:
            raise click.ClickException(exc.format_message()) from exc
        except AdvisorError as exc:
            raise click.ClickException(str(exc)) from exc

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except NoArgsIsHelpError:
            raise
        except click.UsageError as exc:
            raise click.ClickException(exc.format_message()) from exc


@click.group(cls=_OneSentence, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Which image-classification network should I use on my device, within my budget?"""


@main.command()
@question_options
@as_json
def recommend(question: Question, json_: bool) -> None:
    """The network to use on a device within the limits, why, and what would change it."""
    with opened_store() as store:
        answer = workflows.recommend(store, question)
    show(answer_json.recommendation(answer), json_, lambda: tables.recommendation(answer))


@main.command()
@click.option("--search", default="", help="Part of an id or a name.")
@click.option("--all", "everything", is_flag=True, help="Also devices that no advice can be given for.")
@as_json
def devices(search: str, everything: bool, json_: bool) -> None:
    """The devices there is evidence for, with their setups."""
    with opened_store() as store:
        known = workflows.devices(store) if everything else workflows.advisable(store)
        found = [d for d in known if search.lower() in f"{d.device_id} {d.name}".lower()]
        described = [answer_json.device(d, workflows.setups(store, d.device_id)) for d in found]
    show(described, json_, lambda: tables.devices(found))


@main.command()
@click.option("--search", default="", help="Part of a name.")
@click.option("--family", help="Only this family.")
@click.option("--licence", type=click.Choice(["any", "commercial"]), default="any")
@click.option("--device", "device_id", help="Only models with a speed on this device.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows of the table.")
@as_json
def models(search: str, family: str | None, licence: str, device_id: str | None, limit: int, json_: bool) -> None:
    """timm's pretrained weights: family, size, licence, pretraining, recipe."""
    with opened_store() as store:
        found = workflows.models(store, search=search, family=family, licence=licence, device_id=device_id)
    show(answer_json.rows(found), json_, lambda: tables.models(found, limit))


@main.command()
@click.option("--device", "device_id", help="Only this device (all devices if not given).")
@as_json
def claims(device_id: str | None, json_: bool) -> None:
    """The field's well-known claims, checked against the evidence device by device."""
    with opened_store() as store:
        if device_id is not None:
            results = list(workflows.claims_on(store, workflows.device(store, device_id).device_id))
        else:
            results = workflows.all_claims(store)
    show([answer_json.claim(r) for r in results], json_, lambda: tables.claims(results))


@main.command()
@click.argument("model")
@question_options
@as_json
def explain(model: str, question: Question, json_: bool) -> None:
    """Why MODEL (weights or architecture) is, or is not, the answer."""
    with opened_store() as store:
        found = workflows.explain(store, question, model)
    show([answer_json.explanation(e) for e in found], json_, lambda: tables.explanations(found))


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def import_(file: Path, json_: bool) -> None:
    """Add the results of a Parquet or CSV FILE to your own store; rejected rows are listed with the reason."""
    with opened_store() as store:
        report = workflows.import_results(store, file)
    show(answer_json.record(report), json_, lambda: tables.import_report(report))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(["speed", "accuracy"]), default="speed", show_default=True)
@click.option("--device", "device_id", help="Only this device's rows.")
@as_json
def export(file: Path, kind: str, device_id: str | None, json_: bool) -> None:
    """Write results to a Parquet or CSV FILE, with source, conditions and kind of evidence."""
    with opened_store() as store:
        report = workflows.export_results(store, file, kind=kind, device_id=device_id)
    show(answer_json.record(report), json_, lambda: tables.export_report(report))


@main.command()
@click.option("--url", help="Base URL of a mirror of timm's results folder.")
@as_json
def refresh(url: str | None, json_: bool) -> None:
    """Fetch newer timm result tables, check every row, and swap them in in one step."""
    with opened_store() as store, bar("Fetching") as advance:
        report = workflows.refresh(store, url=url, progress=advance)
    show(answer_json.record(report), json_, lambda: tables.refresh_report(report))


@main.command("build-catalogue")
@as_json
def build_catalogue(json_: bool) -> None:
    """Rebuild data/catalogue.csv and data/architectures.csv from the installed timm (a few minutes)."""
    with bar("timm's models") as advance:
        report = workflows.build_catalogue(lambda done, total, name: advance(done / max(total, 1), name))
    show(answer_json.record(report), json_, lambda: tables.build_report(report))


main.add_command(cli_measure.measure)
main.add_command(cli_measure.sweep)
main.add_command(cli_measure.machine)
main.add_command(cli_measure.runs)
main.add_command(cli_calibrate.calibrate)
main.add_command(cli_calibrate.predict)
main.add_command(cli_find.find)
main.add_command(cli_predict.build_profiles)
main.add_command(cli_predict.build_history)
main.add_command(cli_predict.build_deviations)
main.add_command(cli_predict.build_holes)
main.add_command(cli_predict.backtest)
