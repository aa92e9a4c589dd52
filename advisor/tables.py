"""Answers as rich tables and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

import pandas as pd
from rich.table import Table

from advisor.advice import measured
from advisor.advice.explain import Explanation
from advisor.advice.setups import Axis
from advisor.evidence.catalogue import BuildReport
from advisor.evidence.exchange import ExportReport, ImportReport
from advisor.evidence.refresh import RefreshReport
from advisor.metrics import METRICS
from advisor.records import Candidate, ClaimResult, Device, Recommendation

Printable = Table | str
_SHOWN_TIES = 8
_SHOWN_REJECTS = 20


def table(title: str, *columns: str) -> Table:
    """An empty table; columns of numbers, those with a unit or ending in " #", are set flush right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith((")", "px", "#")) else "left"
        made.add_column(column.removesuffix(" #"), justify=justify, overflow="fold", no_wrap=column == "weights")
    return made


def _cells(label: str, one: Candidate | None, axis: Axis) -> tuple[str, ...]:
    if one is None:
        return (label, "none fits")
    return (
        label,
        one.weights,
        f"{one.img_size}",
        f"{one.accuracy:.2f} ±{one.accuracy_error:.2f}" if one.accuracy is not None else "–",
        METRICS[axis].show(getattr(one, axis)).removesuffix(METRICS[axis].unit).strip()
        + (f" ({measured.interval_words(one, axis)})" if one.interval_of(axis) else ""),
        f"{one.params_m:.1f}" if one.params_m is not None else "–",
        one.licence or "unknown",
        measured.known_as(one),
        one.source_id,
        ", ".join(filter(None, (one.runtime, one.precision, one.layout, f"batch {one.batch_size or '?'}"))),
    )


def recommendation(answer: Recommendation) -> Iterator[Printable]:
    """The answer: the pick in a sentence, the alternatives in a table, the reasons, and what would change it."""
    yield answer.setup
    if answer.pick is None:
        yield f"[bold]No answer.[/] {answer.nearest_miss.text if answer.nearest_miss else ''}"
    else:
        speed = METRICS[answer.axis].show(getattr(answer.pick, answer.axis))
        accuracy = METRICS[answer.pick.accuracy_name]
        of = "" if answer.pick.accuracy_of == "these weights" else " of the float weights"
        beside = f" ({measured.beside(answer.pick, answer.axis)})" if answer.pick.evidence != "published" else ""
        yield (
            f"[bold]Use {answer.pick.weights}[/] at {answer.pick.img_size} px: {accuracy.show(answer.pick.accuracy)} "
            f"{accuracy.label}{of}, {speed}{beside}."
        )
    if answer.considered:
        yield _alternatives(answer)
    for reason in answer.reasons:
        yield f"• {reason.text} [dim]({reason.source})[/]"
    if answer.confirm:
        yield f"[bold]Confirm it:[/] {answer.confirm}"
    for other in answer.might_win:
        yield f"? {other.text}"
    for change in answer.what_if:
        yield f"→ {change.text}"
    if answer.rejected:
        rejected = ", ".join(f"{limit} {count:,}" for limit, count in answer.rejected.items())
        yield f"[dim]{answer.feasible:,} of {answer.considered:,} candidates fit; rejected by {rejected}.[/]"


def _alternatives(answer: Recommendation) -> Table:
    accuracy, speed = METRICS[answer.question.accuracy].label, METRICS[answer.axis]
    shown = table(
        "", "", "weights", "px", f"{accuracy} (%)", f"{speed.label.lower()} ({speed.unit})", "params (M)", "licence",
        "evidence", "source", "setup",
    )  # fmt: skip
    rows = [("runner-up", answer.runner_up), *answer.by_family.items()]
    if answer.beyond_families:
        rows.append(("any family", answer.beyond_families.best))
    rows += [("tie", tie) for tie in answer.ties[:_SHOWN_TIES]]
    if answer.pick:
        shown.add_row(*_cells("pick", answer.pick, answer.axis), style="bold")
    for label, one in rows:
        shown.add_row(*_cells(label, one, answer.axis))
    if len(answer.ties) > _SHOWN_TIES:
        shown.add_row("", f"and {len(answer.ties) - _SHOWN_TIES} more ties (all in --json)")
    return shown


def devices(found: Sequence[Device]) -> Iterator[Printable]:
    """Devices by kind, most models first."""
    if not found:
        yield "No device matches; 'devices --all' lists those that no advice can be given for, too."
        return
    shown = table("", "kind", "device", "name", "models #", "that can decide #", "results #")
    for one in sorted(found, key=lambda d: (d.kind, -d.n_decidable, -d.n_models, d.device_id)):
        counts = (one.n_models, one.n_decidable, one.n_rows)
        shown.add_row(one.kind, one.device_id, one.name, *(f"{count:,}" for count in counts))
    yield shown


def models(found: pd.DataFrame, limit: int) -> Iterator[Printable]:
    """Weights with what the catalogue knows, by name."""
    if found.empty:
        yield "No weights match; try a shorter --search."
        return
    shown = table("", "weights", "family", "params (M)", "MACs (G)", "px", "pretraining", "licence")
    for row in found.head(limit).to_dict("records"):
        numbers = (
            METRICS["params_m"].show(row["params_m"]),
            METRICS["gmacs"].show(row["gmacs"]),
            str(row["img_size"]),
        )
        shown.add_row(row["weights"], row["family"], *numbers, row["pretraining"], row["licence"] or "unknown")
    yield shown
    if len(found) > limit:
        yield f"{limit} of {len(found):,} shown; --limit shows more, --json all."


def claims(results: Sequence[ClaimResult]) -> Iterator[Printable]:
    """Verdicts by claim; devices without enough evidence are only counted."""
    for _, group in groupby(sorted(results, key=lambda r: r.claim_id), key=lambda r: r.claim_id):
        found = list(group)
        decided = [r for r in found if r.verdict != "not enough evidence" or len(found) == 1]
        rule = f" Holds when {found[0].holds_when}." if found[0].holds_when else ""
        shown = table(f"{found[0].title} ({found[0].source}){rule}", "device", "verdict", "figures")
        for one in decided:
            shown.add_row(one.device_id, one.verdict, one.figures)
        if len(decided) < len(found):
            shown.add_row("", "not enough evidence", f"on {len(found) - len(decided)} other devices")
        yield shown


def explanations(found: Sequence[Explanation]) -> Iterator[Printable]:
    """One sentence a candidate."""
    for one in found:
        yield f"• {one.text}"


def import_report(report: ImportReport) -> Iterator[Printable]:
    """What came in, what was known already, and the rejected rows with their reasons."""
    yield f"{report.n_rows:,} rows: {report.n_new:,} new, {report.n_known:,} known, {len(report.rejects):,} rejected."
    for reject in report.rejects[:_SHOWN_REJECTS]:
        yield f"  line {reject.line}: {reject.reason}"
    if len(report.rejects) > _SHOWN_REJECTS:
        yield f"  and {len(report.rejects) - _SHOWN_REJECTS:,} more (all in --json)"


def export_report(report: ExportReport) -> Iterator[Printable]:
    """Where the rows went."""
    yield f"{report.n_rows:,} rows written to {report.path}."


def refresh_report(report: RefreshReport) -> Iterator[Printable]:
    """What is new, changed and gone, by file and with examples."""
    shown = table(f"From {report.url}", "file", "state", "rows #", "new #", "changed #", "gone #")
    for one in report.files:
        if one.state != "same":
            counts = (one.n_rows, one.n_new, one.n_changed, one.n_gone)
            shown.add_row(one.file, one.state, *(f"{count:,}" for count in counts))
    yield shown if shown.row_count else "Nothing is newer than what is in use."
    for word, examples in (("new", report.new), ("changed", report.changed), ("gone", report.gone)):
        for text in examples:
            yield f"  {word}: {text}"
    if report.folder is not None:
        yield (
            "What was predicted for published devices was made from the earlier tables and is not shown any more: run "
            "'python -m advisor build-holes' to predict it anew."
        )


def build_report(report: BuildReport) -> Iterator[Printable]:
    """How many weights and architectures there are now, and what could not be built."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions)
    written = f"{report.written:,} weights and {report.architectures:,} architectures"
    yield f"{written} written ({versions}); {len(report.failed):,} could not be built."
    for name, reason in report.failed:
        yield f"  {name}: {reason}"
