"""The commands that learn this machine and say what networks take on it: calibrate, predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.table import Table

from advisor import workflows_calibrate, workflows_measure
from advisor.answer_json import plain
from advisor.errors import BadQuestion
from advisor.evidence.store import Store
from advisor.measure.request import LAYOUTS, PRECISIONS, RUNTIMES
from advisor.predict.columns import Setup
from advisor.tables import Printable, table
from advisor.terminal import as_json, job_bar, opened_store, show
from advisor.workflows_calibrate import BUDGET_S, N_PROBES, Calibrated, Prediction

_INTERRUPTED = 130  # the exit code of a command that Ctrl-C has ended
_DEVICE = click.option(
    "--device", "target", default="cpu", show_default=True, help="cpu, cuda:N or mps of this machine."
)


@click.command()
@_DEVICE
@click.option("--runtime", default="pytorch-eager", show_default=True, help=f"{', '.join(RUNTIMES)}.")
@click.option("--precision", default="fp32", show_default=True, help=f"{', '.join(PRECISIONS)}.")
@click.option("--layout", default="nchw", show_default=True, help=f"{' or '.join(LAYOUTS)} (channels last).")
@click.option("--batch-size", type=int, default=1, show_default=True, help="Images of one forward pass.")
@click.option("--threads", type=int, help="The cores that may be used if not given.")
@click.option("--budget-s", type=float, default=BUDGET_S, show_default=True, help=f"Seconds for {N_PROBES} probes.")
@as_json
def calibrate(
    target: str, runtime: str, precision: str, layout: str, batch_size: int, threads: int | None, budget_s: float,
    json_: bool,
) -> None:  # fmt: skip
    """Measure a dozen small networks on this machine, and predict what every other one takes."""
    asked = workflows_calibrate.asked(
        target, runtime=runtime, precision=precision, layout=layout, batch_size=batch_size, threads=threads
    )
    with opened_store() as store:
        job_id = workflows_calibrate.submit_calibration(store, asked, budget_s=budget_s)
        try:
            with job_bar(asked.title) as on_change:
                found = workflows_calibrate.finished(store, job_id, on_change)
        except KeyboardInterrupt:
            click.echo(f"\n{_kept(store, job_id)}", err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from None
    show(_calibrated_record(found), json_, lambda: _calibrated_tables(found))
    if found.problem:
        raise click.ClickException(found.problem)


def _kept(store: Store, job_id: str) -> str:
    made = workflows_calibrate.calibration_of(store, job_id)
    runs = workflows_measure.runs(store).set_index("run_id")["architecture"]
    n = 0 if made is None else runs.loc[list(made.run_ids)].nunique()
    return f"Cancelled. {n} probe{' was' if n == 1 else 's were'} measured and {'is' if n == 1 else 'are'} kept."


def _calibrated_record(found: Calibrated) -> dict[str, Any]:
    made = found.calibration
    return {
        "calibration_id": made.calibration_id,
        "status": made.status,
        **_setup_record(made.setup),
        "precision_asked": made.asked.precision,
        "fingerprint": made.fingerprint,
        "started_at": made.started_at,
        "seconds": found.seconds,
        "probes": [_probe_record(row) for row in found.probes.to_dict("records")],
        "n_noisy": len(found.noisy),
        "n_slowed": len(found.known.slowed),
        "skipped": [{"architecture": name, "reason": reason} for name, reason in made.skipped],
        "drift": made.drift,
        "drifted": made.drifted,
        "n_measured": found.known.n_probes,
        "n_predicted": found.known.n_predicted,
        "slowdown": found.known.slower.times,
        "interval_ratio": plain(found.known.interval_ratio),
        "notes": list(found.notes),
    }


def _setup_record(setup: Setup) -> dict[str, Any]:
    return {
        "device_id": setup.device_id, "runtime": setup.runtime, "precision": setup.precision, "layout": setup.layout,
        "batch_size": setup.batch_size, "threads": int(setup.threads), "software": setup.software,
    }  # fmt: skip


def _probe_record(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "architecture": row["architecture"], "img_size": int(row["img_size"]),
        "latency_ms": {"p50": row["p50_ms"], "ci95": [row["ci95_low_ms"], row["ci95_high_ms"]]},
        "verdict": row["verdict"], "verdict_reasons": row["verdict_reasons"], "evidence": "measured",
        "run_id": row["run_id"], "seconds": row["seconds"],
    }  # fmt: skip


def _calibrated_tables(found: Calibrated) -> Iterator[Printable]:
    made, known = found.calibration, found.known
    shown = table("", "probe", "px", "p50 (ms)", "95 % interval (ms)", "verdict", "run")
    for row in found.probes.to_dict("records"):
        shown.add_row(
            row["architecture"], f"{row['img_size']:.0f}", f"{row['p50_ms']:.4g}",
            f"{row['ci95_low_ms']:.4g}–{row['ci95_high_ms']:.4g}", row["verdict"], row["run_id"],
        )  # fmt: skip
    yield shown
    for note in found.notes:
        yield f"! {note}"
    n_probes = found.probes["architecture"].nunique()
    yield (
        f"{made.asked.label}, {_threads(made.setup)}: {n_probes} probes in {found.seconds:.0f} s predict "
        f"{known.n_predicted:,} networks and sizes, half of them to a factor of {known.interval_ratio:.2f} between "
        "the ends of the 90 % interval. Ask 'python -m advisor predict MODEL'."
    )


def _threads(setup: Setup) -> str:
    return f"{setup.threads} thread{'' if setup.threads == '1' else 's'}"


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--img-size", type=int, help="Side in px; the network's own if not given.")
@_DEVICE
@click.option("--runtime", help=f"Only this one of {', '.join(RUNTIMES)}.")
@click.option("--precision", help="Only this precision, asked for or really used.")
@click.option("--batch-size", type=int, default=1, show_default=True, help="Images of one forward pass.")
@as_json
def predict(
    models: Sequence[str], img_size: int | None, target: str, runtime: str | None, precision: str | None,
    batch_size: int, json_: bool,
) -> None:  # fmt: skip
    """What MODELs (names of timm) take on this machine in every calibrated setup, with 90 % intervals."""
    for option, value, allowed in (("--runtime", runtime, RUNTIMES), ("--precision", precision, PRECISIONS)):
        if value is not None and value not in allowed:
            raise BadQuestion(f"{option} must be one of {', '.join(allowed)}, not '{value[:40]}'.")
    with opened_store() as store:
        found = workflows_calibrate.predict(
            store, models, img_size=img_size, target=target, runtime=runtime, precision=precision,
            batch_size=batch_size,
        )  # fmt: skip
    show([_prediction_record(one) for one in found], json_, lambda: _predicted_tables(found))


def _predicted_tables(found: Sequence[Prediction]) -> Iterator[Printable]:
    yield _prediction_table(found)
    for sentence in dict.fromkeys(one.slowness.sentence for one in found if one.slowness.told):
        yield f"! {sentence}"


def _prediction_record(one: Prediction) -> dict[str, Any]:
    return {
        "architecture": one.architecture,
        "img_size": one.img_size,
        "latency_ms": {"p50": one.p50_ms, "lo90": one.lo90_ms, "hi90": one.hi90_ms},
        "evidence": one.evidence,
        "verdict": one.verdict,
        **_setup_record(one.setup),
        "calibration_id": one.calibration_id,
        "run_id": one.run_id,
        "slowdown": one.slowness.times,
    }


def _prediction_table(found: Sequence[Prediction]) -> Table:
    shown = table(
        "", "model", "px", "runtime", "precision", "batch #", "threads", "p50 (ms)", "90 % interval (ms)", "evidence",
        "run",
    )  # fmt: skip
    for one in found:
        evidence = one.evidence if one.verdict != "noisy" else f"{one.evidence}, noisy"
        shown.add_row(
            one.architecture, str(one.img_size), one.setup.runtime, one.setup.precision, str(one.setup.batch_size),
            one.setup.threads, f"{one.p50_ms:.4g}", f"{one.lo90_ms:.4g}–{one.hi90_ms:.4g}", evidence, one.run_id or "",
        )  # fmt: skip
    return shown
