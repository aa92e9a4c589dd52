"""The commands that measure: measure, sweep, machine, runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from advisor import run_json, tables_measure, workflows_measure
from advisor.answer_json import plain, rows
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure import sweep as sweeps
from advisor.measure.job_state import JobState
from advisor.measure.request import LAYOUTS, PRECISIONS, RUNTIMES, Request
from advisor.measure.run import Run
from advisor.records import FOUR_FAMILIES
from advisor.terminal import as_json, as_one, job_bar, opened_store, show
from advisor.workflows_measure import EVERY_RUNTIME, Finished, Wanted

F = TypeVar("F", bound=Callable[..., Any])

_SWEPT = 20  # networks of a sweep that names none
# option -> what it adds to the latency
_EXTRAS = {
    "throughput": "throughput", "train": "train", "max_batch": "max-batch", "end_to_end": "end-to-end",
    "features": "features", "operators": "operators",
}  # fmt: skip


def _size(_context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if found is None:
        raise BadQuestion(f"{option.opts[0]} is height x width in px, such as 512x768, not '{text[:40]}'.")
    return int(found[1]), int(found[2])


_SETUP = (
    click.option("--device", "target", default="cpu", show_default=True, help="cpu, cuda:N or mps of this machine."),
    click.option("--precision", help=f"{', '.join(PRECISIONS)}; what each runtime is usually run at if not given."),
    click.option("--batch-size", type=int, default=1, show_default=True, help="Images of one forward pass."),
    click.option("--img-size", type=int, help="Side in px; the network's own if not given."),
    click.option("--layout", default="nchw", show_default=True, help=f"{' or '.join(LAYOUTS)} (channels last)."),
    click.option("--threads", type=int, help="The cores that may be used if not given."),
    click.option("--throughput", is_flag=True, help="Also batch sizes 1, 2, 4 ... until it stops rising."),
    click.option("--train", is_flag=True, help="Also a training step: forward, backward, optimiser."),
    click.option("--max-batch", is_flag=True, help="Also the largest batch that infers and that trains."),
    click.option("--end-to-end", is_flag=True, help="Also decode, resize, normalise, copy, forward of a JPEG."),
    click.option("--features", is_flag=True, help="Also the backbone alone, for detection and segmentation."),
    click.option("--features-size", "features_hw", callback=_size, help="HEIGHTxWIDTH in px of the backbone."),
    click.option("--operators", is_flag=True, help="Also the time of each class of operators."),
    click.option(
        "--time-limit",
        "time_limit_s",
        type=float,
        help="Seconds for one model and runtime.  [60, more for what takes longer]",
    ),
)
_SETUP_FIELDS = ("target", "runtime", "precision", "layout", "batch_size", "img_size", "threads", "time_limit_s")


def _wanted(given: dict[str, Any]) -> Wanted:
    """The setup of a command's options, which are taken out of what was given."""
    features_hw = given.pop("features_hw")
    asked = {option: given.pop(option) for option in _EXTRAS}
    asked["features"] = asked["features"] or features_hw is not None
    extras = tuple(_EXTRAS[option] for option in _EXTRAS if asked[option])
    fields = {name: given.pop(name) for name in _SETUP_FIELDS}
    return Wanted(extras=extras, features_hw=features_hw, **fields)


def _setup(runtime: str) -> Callable[[F], F]:
    """The options of a setup, handed to the command as one `wanted`; `runtime` is the default one."""
    which = click.option(
        "--runtime", default=runtime, show_default=True,
        help=f"{', '.join(RUNTIMES)}, or '{EVERY_RUNTIME}' for every installed one.",
    )  # fmt: skip
    return as_one("wanted", (*_SETUP[:1], which, *_SETUP[1:]), _wanted)


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@_setup(EVERY_RUNTIME)
@as_json
def measure(models: Sequence[str], wanted: Wanted, json_: bool) -> None:
    """Measure MODELs (names of timm) on this machine; the advisor then answers from the results."""
    with opened_store() as store:
        requests = workflows_measure.requests(models, wanted)
        with _job_bar(store, requests) as on_change:
            found = workflows_measure.measure(store, requests, title=_title(models), on_change=on_change)
    _tell(found.runs, json_, found.problem)


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--top", type=click.IntRange(min=1), help=f"As many of the most promising networks.  [{_SWEPT}]")
@click.option("--families", default=",".join(FOUR_FAMILIES), show_default=True, help="Of --top: families, or 'all'.")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="A TOML or JSON file of what to measure.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random order.")
@_setup("pytorch-eager")
@as_json
def sweep(
    models: Sequence[str], top: int | None, families: str, plan_file: Path | None, seed: int, wanted: Wanted,
    json_: bool,
) -> None:  # fmt: skip
    """Measure many networks in random order between two runs of a sentinel; an interrupted sweep goes on."""
    if sum((bool(models), top is not None, plan_file is not None)) > 1:
        raise BadQuestion("Give a sweep either MODELs, or --top, or --plan.")
    with opened_store() as store:
        if plan_file is not None:
            plan = sweeps.read_plan(plan_file)
        else:
            names = [name.strip() for name in families.split(",") if name.strip()]
            chosen = list(models) or workflows_measure.sweep_networks(
                store, top or _SWEPT, families=names, target=wanted.target
            )
            plan = sweeps.plan(workflows_measure.requests(chosen, wanted), seed=seed)
        workflows_measure.recover(store)
        what = workflows_measure.sweep_of(store, plan)
        new = Finished((), "")
        if what.left:
            with _job_bar(store, what.left) as on_change:
                new = workflows_measure.run_sweep(store, what, on_change=on_change)
        earlier = [workflows_measure.run(store, run_id) for run_id in what.done]
        drift = workflows_measure.drift(store, what.sweep_id)
    if not json_:
        click.echo(f"{len(what.done)} of {len(plan.requests)} were measured before; {len(what.left)} now. {drift}")
    _tell((*earlier, *new.runs), json_, new.problem)


@click.command()
@click.option("--device", "target", default="cpu", show_default=True, help="cpu, cuda:N or mps of this machine.")
@as_json
def machine(target: str, json_: bool) -> None:
    """What this machine is, what it can measure with, and what it achieves at most."""
    with opened_store() as store:
        workflows_measure.recover(store)
        report = workflows_measure.machine_report(store, target)
    show(plain(report), json_, lambda: tables_measure.machine(report))


@click.command()
@click.option("--search", default="", help="Part of a model's name.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows of the table.")
@click.option("--show", "show_id", metavar="RUN", help="One run with everything that was recorded.")
@click.option("--compare", nargs=2, metavar="RUN RUN", help="Is one of two runs faster, and by how much?")
@click.option("--delete", multiple=True, metavar="RUN", help="Take a run out of history and advice.")
@click.option("--restore", multiple=True, metavar="RUN", help="Undo --delete.")
@click.option("--deleted", is_flag=True, help="List what was deleted instead.")
@as_json
def runs(
    search: str, limit: int, show_id: str | None, compare: tuple[str, str] | None, delete: tuple[str, ...],
    restore: tuple[str, ...], deleted: bool, json_: bool,
) -> None:  # fmt: skip
    """What was measured on this machine, newest first."""
    with opened_store() as store:
        workflows_measure.recover(store)
        if delete:
            workflows_measure.delete_runs(store, delete)
        if restore:
            workflows_measure.restore_runs(store, restore)
        if compare:
            found = workflows_measure.compare_runs(store, *compare)
            pair = [workflows_measure.run(store, run_id) for run_id in compare]
            show(run_json.comparison(found), json_, lambda: tables_measure.comparison(found, *pair))
            return
        if show_id:
            one = workflows_measure.run(store, show_id)
            show(run_json.run(one), json_, lambda: tables_measure.runs([one]))
            return
        listed = workflows_measure.runs(store, deleted=deleted)
    listed = listed[listed["deleted"]] if deleted else listed
    listed = listed[listed["architecture"].str.contains(search.strip(), case=False, regex=False)]
    evidence = listed["status"].map({"ok": "measured"})
    plain_rows = rows(listed.drop(columns="request").assign(evidence=evidence))
    show(plain_rows, json_, lambda: tables_measure.history(listed, limit))


def _title(models: Sequence[str]) -> str:
    return models[0] if len(models) == 1 else f"{models[0]} and {len(models) - 1} more"


def _tell(found: Sequence[Run], json_: bool, problem: str) -> None:
    """Print runs; exit code 1 where there is none that worked, or what was done is not all in the store."""
    show([run_json.run(one) for one in found], json_, lambda: tables_measure.runs(found))
    if problem:
        raise click.ClickException(problem)
    if not any(one.status == "ok" for one in found):
        raise click.exceptions.Exit(1)


@contextmanager
def _job_bar(store: Store, requests: Sequence[Request]) -> Iterator[Callable[[JobState], None]]:
    """A progress bar of a job on standard error, with the time that is left by the estimate."""
    expected_s = workflows_measure.estimate_s(store, requests)
    with job_bar(f"about {expected_s:.0f} s") as on_change:
        yield on_change
