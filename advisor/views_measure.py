"""What a measurement shows: a run as figures, tables and sentences. No Streamlit, no chart library."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from advisor.measure import lines
from advisor.measure.run import Measured, OperatorClass, Parity, Run
from advisor.metrics import METRICS, percent

_EAGER = "pytorch-eager"
_BETWEEN = "between operators"  # as the worker names what is left of the time
_MS = METRICS["latency_ms"].show
_PER_S = METRICS["throughput_per_s"].show
_MB = METRICS["peak_memory_mb"].show
_SECONDS_A_MINUTE = 90  # above this a duration is told in minutes
_TIMES_HEAD = "run_id,evidence,sample,latency_ms,passes_per_time"


# -- words for figures -----------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """A duration as people say it: '25 s', '4 min', '1.5 h'."""
    if seconds < _SECONDS_A_MINUTE:
        return f"{max(seconds, 0):.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def counted(value: float) -> str:
    """A rate or count with a prefix: 3.2 M, 41 G."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g} "


def interval(low: float, high: float) -> str:
    """An interval, without unit: '12.8–13.1'."""
    return f"{low:,.4g}–{high:,.4g}"


def parity_words(parity: Parity | None, runtime: str) -> str:
    """How near the runtime's output is to eager fp32: a sign, a word and the relative difference."""
    if parity is None:
        return "is the reference" if runtime == _EAGER else "not checked"
    figure = f"{parity.max_rel:.1e} relative"
    if parity.tolerance is None:
        return f"{figure}, not judged"
    return f"{'✓' if parity.ok else '✗'} {figure}"


def times_faster(ratio: float) -> str:
    """A ratio of times, other over ours, in words; only of setups that can be told apart."""
    return f"{ratio:.2f}x faster" if ratio > 1 else f"{1 / ratio:.2f}x slower"


# -- one run ---------------------------------------------------------------------------------------------


def title(run: Run) -> str:
    """Markdown of what was run: the network, its size, and the setup really used."""
    found, request = run.measured, run.request
    size = found.img_size if found else request.img_size
    parts = [
        f"`{request.architecture}`" + (f" at {size} px" if size else ""), request.runtime,
        precision(run), f"batch {request.batch_size}", *(["channels last"] if request.layout == "nhwc" else []),
        *([f"{found.threads} thread{'s' if found.threads != 1 else ''}"] if found and request.target == "cpu" else []),
    ]  # fmt: skip
    return " · ".join(parts)


def precision(run: Run) -> str:
    """The precision that was really used, and what was asked for where that is another; a dash where nothing ran."""
    if run.measured is None:
        return "–"
    asked, used = run.request.precision, run.measured.precision_used
    return used if used == asked else f"{used} (asked: {asked})"


def figures(run: Run) -> dict[str, str]:
    """The figures of a run that succeeded, label -> value with unit; what was not measured is left out."""
    found = run.measured
    if found is None:
        return {}
    latency, peak = found.latency, run.peak_memory_mb
    block = f", each the mean of {latency.block}" if latency.block > 1 else ""
    shown: dict[str, str | None] = {
        "Latency p50 (95 % interval)": f"{_MS(latency.p50)} ({interval(*latency.ci95)})",
        "p90": _MS(latency.p90),
        "p99": None if latency.p99 is None else _MS(latency.p99),
        "MAD": _MS(latency.mad),
        "Samples": f"{latency.n_samples:,}{block}",
        "Cold start": _MS(latency.cold_start_ms),
        f"Throughput (batch {run.request.batch_size})": _PER_S(run.throughput_per_s),
        "Peak memory": None if peak is None else _MB(peak),
        "Weights file": METRICS["file_mb"].show(found.memory.weights_file_mb),
        "Of the roof": None if run.roof_fraction is None else roof_in_words(run.roof_fraction),
        "Parity with eager fp32": parity_words(found.parity, run.request.runtime),
    }
    return {label: value for label, value in shown.items() if value is not None}


def why(run: Run) -> list[str]:
    """Why the network is as fast as it is, one sentence each: the class out of proportion, and the roof."""
    found = run.measured
    if found is None or found.work is None:
        return []
    said = []
    operators = [one for one in found.work.operators if one.share > 0]
    if operators:
        heaviest = max(operators, key=lambda one: one.share - mac_share(one, operators))
        said.append(
            f"{percent(heaviest.share)} of the time lies between operators: Python, dispatch, launching."
            if heaviest.name == _BETWEEN
            else f"{heaviest.name.capitalize()} takes {percent(heaviest.share)} of the time of all operators for "
            f"{percent(mac_share(heaviest, operators))} of the multiply-adds."
        )
    if found.roof is not None and run.roof_fraction is not None:
        intensity = found.work.macs / found.work.bytes
        ridge = found.roof.macs_per_s / found.roof.bytes_per_s
        bound = "memory traffic" if intensity < ridge else "arithmetic"
        share = f"{percent(run.roof_fraction)} of" if run.roof_fraction <= 1 else "more than"
        said.append(
            f"It does {counted(found.work.macs / found.latency.p50 * 1000)}MAC/s, {share} what was measured as the "
            f"most that this machine does at {intensity:.3g} MACs a byte, where {bound} is the limit."
        )
    return said


def mac_share(one: OperatorClass, every: Sequence[OperatorClass]) -> float:
    """The share of one class in the multiply-adds of all classes, 0 to 1; shares of time are told the same way."""
    return one.macs / (sum(other.macs for other in every) or 1.0)


def operator_table(run: Run) -> pd.DataFrame:
    """Classes of operators as text, the one with the most time first."""
    work = run.measured.work if run.measured else None
    every = work.operators if work else ()
    return pd.DataFrame(
        [
            {
                "Operators": one.name, "Time (ms)": f"{one.time_ms:.3g}", "Share of time": percent(one.share),
                "MACs": counted(one.macs).strip() if one.macs else "–",
                "Share of MACs": percent(mac_share(one, every)) if one.macs else "–",
                "MAC/s": counted(one.macs / one.time_ms * 1000).strip() if one.macs and one.time_ms else "–",
            }
            for one in every
        ]
    )  # fmt: skip


def batch_table(run: Run) -> pd.DataFrame:
    """The batch sweep as text, the best batch marked."""
    sweep = run.measured.throughput if run.measured else None
    if sweep is None:
        return pd.DataFrame()
    return pd.DataFrame(
        [
            {
                "Batch size": f"{point.batch_size}", "Throughput (img/s)": f"{point.throughput_per_s:,.5g}"
                + (" ★" if point.batch_size == sweep.best_batch_size else ""),
                "One batch (ms)": f"{point.latency_ms:,.4g}", "Samples": f"{point.n_samples}",
            }
            for point in sweep.curve
        ]
    )  # fmt: skip


def training_figures(run: Run) -> dict[str, str]:
    """The training step and the largest batches, label -> value with unit."""
    found = run.measured
    shown: dict[str, str | None] = {}
    if found is not None and (step := found.training) is not None:
        shown |= {
            f"Training step, batch {step.batch_size}": f"{_MS(step.step_ms)} ({_interval(step.ci95)})",
            "Training throughput": _PER_S(step.throughput_per_s),
            "Precision and optimiser": f"{step.precision}, {step.optimiser}",
            "Peak memory of training": None if step.peak_memory_mb is None else _MB(step.peak_memory_mb),
        }
    if found is not None and (most := found.largest_batch) is not None:
        shown |= {
            "Largest batch that infers": largest_in_words(most.infer, most.advised_infer),
            "Largest batch that trains": largest_in_words(most.train, most.advised_train),
            "What ended the search": most.limit,
        }
    return {label: value for label, value in shown.items() if value is not None}


def roof_in_words(fraction: float) -> str:
    """The share of what the machine can do; more than all of it says that the roof was measured in a busy moment."""
    return percent(fraction) if fraction <= 1 else "above the roof measured"


def largest_in_words(most: int | None, advised: int | None) -> str | None:
    """A largest batch; one that was not ended by memory is a lower bound."""
    if most is None:
        return None
    return f"at least {most:,}" if advised is None else f"{most:,} ({advised:,} with 10 % headroom)"


def memory_figures(run: Run) -> dict[str, str]:
    """Peaks of memory and the size of the weights, label -> value with unit."""
    memory = run.measured.memory if run.measured else None
    if memory is None:
        return {}
    shown = {
        "Peak allocated on the GPU": memory.peak_allocated_mb, "Peak reserved on the GPU": memory.peak_reserved_mb,
        "Peak of the process above its baseline": memory.peak_rss_mb, "Weights file": memory.weights_file_mb,
    }  # fmt: skip
    return {label: _MB(value) for label, value in shown.items() if value is not None}


def stage_table(run: Run) -> pd.DataFrame:
    """The stages from JPEG to logits as text, in their order, and the whole."""
    whole = run.measured.end_to_end if run.measured else None
    if whole is None:
        return pd.DataFrame()
    rows = [(one.name, one.latency_ms, one.share) for one in whole.stages] + [("all", whole.total_ms, 1.0)]
    return pd.DataFrame(
        [{"Stage": name, "Time (ms)": f"{ms:,.4g}", "Share": percent(share)} for name, ms, share in rows]
    )


def end_to_end_sentence(run: Run) -> str:
    """Whether the network is what an application waits for."""
    whole = run.measured.end_to_end if run.measured else None
    if whole is None:
        return ""
    slowest = max(whole.stages, key=lambda one: one.share)
    return (
        f"One JPEG ({whole.image}) takes {_MS(whole.total_ms)} from file to logits; {slowest.name} is "
        f"{percent(slowest.share)} of it."
    )


def _interval(ci95: tuple[float, float] | None) -> str:
    return interval(*ci95) if ci95 else "too few samples for an interval"


def feature_sentence(run: Run) -> str:
    """What the backbone alone costs at the size asked for."""
    found = run.measured.features if run.measured else None
    if found is None:
        return ""
    maps = ", ".join(f"{c} at 1/{r}" for c, r in zip(found.channels, found.reductions, strict=False))
    return (
        f"The backbone alone (features_only) at {found.height} x {found.width} px takes {_MS(found.latency_ms)} "
        f"({_interval(found.ci95)}); its channels: {maps}."
    )


def timing_sentence(run: Run) -> str:
    """How the times were taken: warm-up, number, clock, and why it stopped."""
    found = run.measured
    if found is None:
        return ""
    latency = found.latency
    settled = "settled" if latency.settled else "never settled"
    block = f" of {latency.block} passes each" if latency.block > 1 else ""
    why = "its interval was narrow enough" if latency.stopped == "precise" else "of the time limit"
    return (
        f"{latency.n_samples:,} samples{block} after {latency.warmup_passes:,} passes of warm-up, which {settled}; "
        f"timed by {latency.timer}; stopped because {why}"
        + (f"; {latency.dropped} readings left out as the clock stood still or went back." if latency.dropped else ".")
    )


# -- everything recorded -----------------------------------------------------------------------------------


def environment_table(run: Run) -> pd.DataFrame:
    """Everything recorded with a run as name and value, groups in a fixed order."""
    request = lines.plain(run.request)
    rows: list[tuple[str, str, str]] = [
        ("run", "run id", run.run_id), ("run", "job id", run.job_id), ("run", "started (UTC)", run.started_at),
        ("run", "device id", run.device_id), ("run", "wall time", f"{run.seconds:.1f} s"),
    ]  # fmt: skip
    rows += [("asked for", name, _shown(value)) for name, value in request.items()]
    found = run.measured
    if found is not None:
        rows += [("used", name, value) for name, value in _used(found).items()]
        rows += [("wall time", name, f"{seconds:.2f} s") for name, seconds in found.seconds.items()]
        rows += [("environment", name, value) for name, value in _flat(found.environment)]
    return pd.DataFrame(rows, columns=["group", "name", "value"])


def _used(found: Measured) -> dict[str, str]:
    latency, load = found.latency, found.load
    return {
        "image size": f"{found.img_size} px", "threads": str(found.threads), "precision": found.precision_used,
        "parameters": f"{found.params:,}", "timer": latency.timer,
        "passes between two clock readings": f"{latency.block}", "warm-up passes": f"{latency.warmup_passes}",
        "warm-up settled": _shown(latency.settled),
        "stopped": latency.stopped, "readings dropped": f"{latency.dropped}",
        "cores that others took": f"{load.other_cores:.2f}", "steal": percent(load.steal_share),
        "throttling": load.throttled or "none seen",
    }  # fmt: skip


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}".replace("_", " "), _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(one) for one in value) or "none"
    return "as the model or machine has it" if value is None else str(value)


def times_csv(run: Run) -> str:
    """Every raw time as CSV: of which run, its place, the ms of one pass, and of how many passes it is the mean."""
    if run.measured is None:
        return f"{_TIMES_HEAD}\n"
    latency = run.measured.latency
    rows = (f"{run.run_id},measured,{i},{ms!r},{latency.block}" for i, ms in enumerate(latency.times_ms))
    return "\n".join([_TIMES_HEAD, *rows, ""])


def run_json(run: Run) -> str:
    """The whole run as JSON, raw times included."""
    return json.dumps(lines.plain(run), indent=1)
