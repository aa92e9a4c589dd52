"""What the commands share: options, tables or JSON on standard output, progress on standard error, the store."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from advisor import workflows
from advisor.evidence.store import Store
from advisor.measure.job_state import JobState
from advisor.tables import Printable

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON instead of a table.")


def as_one(
    name: str, options: Sequence[Callable[[Any], Any]], make: Callable[[dict[str, Any]], Any]
) -> Callable[[F], F]:
    """Options of a command that reach it as one value of that name.

    Args:
        make: Takes what was given to these options out of everything given, and makes the value of it.
    """

    def decorated(command: F) -> F:
        @functools.wraps(command)
        def with_value(**given: Any) -> Any:
            value = make(given)
            return command(**{name: value}, **given)

        for option in reversed(options):
            with_value = option(with_value)
        return with_value  # type: ignore[return-value]

    return decorated


def show(data: Any, json_: bool, table: Callable[[], Iterator[Printable]]) -> None:
    """Print an answer as JSON or as its table."""
    if json_:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    console = Console(width=None if Console().is_terminal else 190, highlight=False)
    for part in table():
        console.print(part)


@contextmanager
def bar(what: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar on standard error, so that standard output stays clean."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=1.0)

        def advance(share: float, now: str) -> None:
            progress.update(task, completed=share, description=now)

        yield advance


@contextmanager
def job_bar(what: str) -> Iterator[Callable[[JobState], None]]:
    """A progress bar of a job of measuring on standard error, with what is measured now."""
    with bar(what) as advance:

        def on_change(state: JobState) -> None:
            now = "" if state.now is None else state.now.text
            current = "" if state.current is None else f"{state.current.label}: "
            share = max(state.n_done / max(state.n_total, 1), state.time_share)
            advance(share, f"{state.n_done}/{state.n_total} {current}{now}")

        yield on_change


@contextmanager
def opened_store() -> Iterator[Store]:
    """The store, built first if data/ changed, with a progress bar while that takes."""
    store = workflows.open_store()
    with bar("Building the store") as advance:
        store.ensure(advance)
    yield store
