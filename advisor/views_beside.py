"""Several results beside each other: a network's setups here, two runs, and other people's devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from advisor import views_compare
from advisor.evidence.store import Store
from advisor.measure.comparison import RUN_TO_RUN, Comparison
from advisor.measure.run import Run
from advisor.metrics import METRICS
from advisor.views_measure import interval, parity_words, precision, roof_in_words, times_faster

VERDICT_SIGNS = {"steady": "✓ steady", "noisy": "≈ noisy"}
MAX_DEVICES = 12  # published devices beside a run
_MOST_ALIKE = 2  # setups named that cannot be told from the fastest
_EAGER = "pytorch-eager"
_MS = METRICS["latency_ms"].show
_Row = Mapping[Any, Any]  # of `side_by_side`


def side_by_side(runs: Sequence[Run], verdicts: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Runs of one network beside each other, the fastest first and the failed ones last.

    Args:
        runs: Where two could be the baseline of the same threads, the first one is.
        verdicts: Run id -> verdict where the store knows better than the run (a sweep that drifted).

    Returns:
        `run_id`, `setup` (in words, no two alike), `runtime`, `apart` (what beside runtime and precision tells it
        from the others), `precision`, `latency_ms`, `ci95_low_ms`, `ci95_high_ms`, `throughput_per_s`, `baseline`
        (run id of eager fp32, channels first, with as many threads; "" where there is none), `speedup` (time of the
        baseline over its own; NaN without one), `verdict`, `parity`, `roof_fraction`, `reason`.
    """
    baselines: dict[int, Run] = {}
    for run in runs:
        if run.measured is not None and _is_plain_eager(run):
            baselines.setdefault(run.measured.threads, run)
    parts = _apart(runs)
    rows = []
    for run, apart in zip(runs, parts, strict=True):
        found = run.measured
        p50 = found.latency.p50 if found else float("nan")
        low, high = found.latency.ci95 if found else (float("nan"), float("nan"))
        eager = baselines.get(found.threads) if found else None
        rows.append({
            "run_id": run.run_id, "setup": ", ".join([_setup(run), *apart]), "runtime": run.request.runtime,
            "apart": ", ".join(apart), "precision": precision(run), "latency_ms": p50, "ci95_low_ms": low,
            "ci95_high_ms": high, "throughput_per_s": run.throughput_per_s, "baseline": eager.run_id if eager else "",
            "speedup": eager.measured.latency.p50 / p50 if eager and eager.measured else float("nan"),
            "verdict": (verdicts or {}).get(run.run_id, run.verdict) if found else run.status,
            "parity": parity_words(found.parity, run.request.runtime) if found else "–",
            "roof_fraction": run.roof_fraction, "reason": run.reason,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values(["latency_ms", "run_id"], na_position="last").reset_index(drop=True)


def _is_plain_eager(run: Run) -> bool:
    # on a GPU PyTorch's fp32 may compute in TF32
    used = run.measured.precision_used if run.measured else ""
    return run.request.runtime == _EAGER and run.request.layout == "nchw" and used in ("fp32", "tf32")


def _setup(run: Run) -> str:
    """Runtime and precision: the one used, or asked for where nothing was timed."""
    return f"{run.request.runtime} {run.measured.precision_used if run.measured else run.request.precision}"


def _apart(runs: Sequence[Run]) -> list[list[str]]:
    """For each run what else differs among them: layout, threads; where that is not enough, when it was started."""
    layouts = {run.request.layout for run in runs}
    threads = {run.measured.threads for run in runs if run.measured}
    found = []
    for run in runs:
        parts = []
        if len(layouts) > 1:
            parts.append("channels last" if run.request.layout == "nhwc" else "channels first")
        if len(threads) > 1 and run.measured:
            parts.append(f"{run.measured.threads} thread{'s' if run.measured.threads != 1 else ''}")
        found.append(parts)
    names = [(_setup(run), *parts) for run, parts in zip(runs, found, strict=True)]
    return [
        [*parts, f"started {run.started_at[:19].replace('T', ' ')}"] if names.count(name) > 1 else parts
        for run, parts, name in zip(runs, found, names, strict=True)
    ]


def told_apart(one: _Row, other: _Row) -> bool:
    """Whether two rows of `side_by_side` show a difference: intervals apart, medians further than a rerun moves them.

    The interval knows one process only, see `comparison.RUN_TO_RUN`.
    """
    fast, slow = sorted((one, other), key=lambda row: float(row["latency_ms"]))
    return bool(
        fast["ci95_high_ms"] < slow["ci95_low_ms"] and slow["latency_ms"] > (1 + RUN_TO_RUN) * fast["latency_ms"]
    )


def side_by_side_text(found: pd.DataFrame) -> pd.DataFrame:
    """`side_by_side` as text with units, for a page."""
    by_id = {row["run_id"]: row for row in found.to_dict("records")}
    rows = []
    for row in by_id.values():
        timed = row["latency_ms"] == row["latency_ms"]
        rows.append({
            "Runtime": row["runtime"] + (f", {row['apart']}" if row["apart"] else ""),
            "Precision used": row["precision"],
            "p50 (ms)": f"{row['latency_ms']:,.4g}" if timed else "–",
            "Verdict": VERDICT_SIGNS.get(row["verdict"], f"✗ {row['verdict']}"),
            "95 % interval": interval(row["ci95_low_ms"], row["ci95_high_ms"]) if timed else "–",
            "vs eager fp32": _against(row, by_id.get(row["baseline"])),
            "img/s": f"{row['throughput_per_s']:,.4g}" if timed else "–",
            "Parity": row["parity"],
            "Of the roof": "–" if pd.isna(row["roof_fraction"]) else roof_in_words(row["roof_fraction"]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _against(row: _Row, baseline: _Row | None) -> str:
    if baseline is None:
        return "–"
    if row["run_id"] == baseline["run_id"]:
        return "baseline"
    return times_faster(float(row["speedup"])) if told_apart(row, baseline) else "not told apart"


def side_by_side_sentence(found: pd.DataFrame, architecture: str) -> str:
    """The fastest setup, which others cannot be told from it, how much faster than eager fp32 it is; noisy ones named.

    Setups that differ by less than a rerun would move them have no winner.
    """
    best, *others = found.to_dict("records")
    if best["latency_ms"] != best["latency_ms"]:
        return f"Nothing of `{architecture}` could be measured: {best['reason']}"
    timed = [row for row in others if row["latency_ms"] == row["latency_ms"]]
    latency = f"**{_MS(float(best['latency_ms']))}**{_if_noisy(best)}"
    if not timed:
        return f"**{best['setup']}** takes {latency}."
    alike = [row for row in timed if not told_apart(best, row)]
    said = f"{'Lowest median' if alike else 'Fastest'} here: **{best['setup']}** with {latency}"
    if alike:
        named = [_name(row, best) + _if_noisy(row) for row in alike[:_MOST_ALIKE]]
        if len(alike) > _MOST_ALIKE:
            named.append(f"{len(alike) - _MOST_ALIKE} more")
        said += f", not told apart from {' and '.join(named)}"
    eager = next((row for row in timed if row["run_id"] == best["baseline"]), None)
    if eager is not None and eager not in alike:
        said += f", {times_faster(float(best['speedup']))} than eager fp32{_if_noisy(eager)}"
    return f"{said}."


def _name(row: _Row, best: _Row) -> str:
    return "eager fp32" if row["run_id"] == best["baseline"] else str(row["setup"])


def _if_noisy(row: _Row) -> str:
    return " (noisy)" if row["verdict"] == "noisy" else ""


def comparison_table(found: Comparison, names: tuple[str, str]) -> pd.DataFrame:
    """In what two runs differ, as text."""
    return pd.DataFrame(
        [{"": one.name, names[0]: one.first, names[1]: one.second} for one in found.differences],
        columns=["", *names],
    )


def published_elsewhere(store: Store, run: Run) -> tuple[str, pd.DataFrame]:
    """The same network at the same size on other devices beside this one: the metric, and a row a setup.

    Latency at the run's batch size where it is published, else throughput at any; the `MAX_DEVICES` devices whose
    best result is nearest to ours, and this one; as `views_compare.by_device` gives them.
    """
    found = run.measured
    if found is None:
        return "latency_ms", pd.DataFrame()
    every = views_compare.everywhere(store, run.request.architecture, found.img_size)
    batch_size = run.request.batch_size
    for metric, batch in (("latency_ms", batch_size), ("throughput_per_s", None)):
        rows = views_compare.by_device(every, metric, batch)
        if (rows["device_id"] != run.device_id).any():
            return metric, _nearest_devices(rows, metric, run)
    return "latency_ms", pd.DataFrame()


def _nearest_devices(rows: pd.DataFrame, metric: str, run: Run) -> pd.DataFrame:
    assert run.measured is not None
    here = run.measured.latency.p50 if metric == "latency_ms" else run.throughput_per_s
    assert here is not None
    others = rows[rows["device_id"] != run.device_id].drop_duplicates("device_id")
    apart = (others[metric] / here).map(lambda ratio: max(ratio, 1 / ratio))
    kept = set(others.loc[apart.sort_values(kind="stable").index[:MAX_DEVICES], "device_id"])
    found = rows[rows["device_id"].isin(kept | {run.device_id})].reset_index(drop=True)
    return found.assign(device=found["device"].where(found["device_id"] != run.device_id, "This machine"))
