"""The command line: parse, call a workflow, print a table or JSON. One sentence and exit code 1 on bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from advisor import answer_json, cli_calibrate, cli_measure, cli_predict, tables, workflows
from advisor.errors import AdvisorError
from advisor.metrics import ACCURACIES
from advisor.records import FOUR_FAMILIES, Question
from advisor.terminal import as_json, as_one, bar, opened_store, show


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


def _asked(given: dict[str, Any]) -> Question:
    """The question of a command's options, which are taken out of what was given."""
    fields = {name: given.pop(name) for name in _QUESTION_FIELDS}
    fields["families"] = tuple(f for f in (part.strip() for part in fields["families"].split(",")) if f)
    return Question(**fields)


_OPTIONS = (
    click.option("--device", "device_id", required=True, help="Device id; see 'devices'."),
    click.option("--runtime", help="Only this runtime, e.g. pytorch-eager, pytorch-compile, onnxruntime, ncnn."),
    click.option("--precision", help="Only this precision, e.g. fp32, amp-fp16, int8."),
    click.option("--layout", help="Only this memory layout: nchw or nhwc."),
    click.option("--batch-size", type=int, help="Only this batch size (latency limits: 1 unless given)."),
    click.option("--max-latency-ms", type=float, help="One forward pass of one batch, at most."),
    click.option("--min-throughput", type=float, help="Images per second, at least."),
    click.option("--max-params-m", type=float, help="Parameters in millions, at most."),
    click.option("--max-memory-mb", type=float, help="Peak memory, at most; unknown memory does not pass."),
    click.option("--max-file-mb", type=float, help="Weights file, at most."),
    click.option("--min-accuracy", type=float, help="Percent of the accuracy that decides, at least."),
    click.option("--accuracy", default="top1", show_default=True, help=f"Decides: {', '.join(ACCURACIES)}."),
    click.option("--max-img-size", type=int, help="Image size in px, at most."),
    click.option("--licence", type=click.Choice(["any", "commercial"]), default="any", show_default=True),
    click.option("--pretraining", type=click.Choice(["any", "imagenet-1k"]), default="any", show_default=True),
    click.option("--families", default=",".join(FOUR_FAMILIES), show_default=True, help="Comma-separated, or 'all'."),
    click.option("--task", type=click.Choice(["infer", "train"]), default="infer", show_default=True),
)
_QUESTION_FIELDS = (
    "device_id", "runtime", "precision", "layout", "batch_size", "max_latency_ms", "min_throughput", "max_params_m",
    "max_memory_mb", "max_file_mb", "min_accuracy", "accuracy", "max_img_size", "licence", "pretraining", "families",
    "task",
)  # fmt: skip
_question = as_one("question", _OPTIONS, _asked)


@main.command()
@_question
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
@_question
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
main.add_command(cli_predict.build_profiles)
main.add_command(cli_predict.backtest)
