"""Several results beside each other: a network's setups here, two runs, and other people's devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from advisor.evidence.store import Store
from advisor.measure.comparison import Comparison
from advisor.measure.run import Run
from advisor.metrics import METRICS
from advisor.views_measure import interval, parity_words, precision, roof_in_words, times_faster

VERDICT_SIGNS = {"steady": "✓ steady", "noisy": "≈ noisy"}
MAX_DEVICES = 12  # published devices beside a run
_EAGER = "pytorch-eager"
_MS = METRICS["latency_ms"].show


def side_by_side(runs: Sequence[Run], verdicts: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Runs of one network beside each other, the fastest first and the failed ones last.

    Args:
        verdicts: Run id -> verdict where the store knows better than the run (a sweep that drifted).

    Returns:
        `run_id`, `setup` (in words), `runtime`, `precision`, `latency_ms`, `ci95_low_ms`, `ci95_high_ms`,
        `throughput_per_s`, `speedup` (time of eager fp32 over its own; NaN where there is no eager), `verdict`,
        `parity`, `roof_fraction`, `reason`.
    """
    eager = next((r for r in runs if r.request.runtime == _EAGER and r.measured and _is_plain(r)), None)
    baseline = eager.measured.latency.p50 if eager and eager.measured else float("nan")
    rows = []
    for run in runs:
        found = run.measured
        p50 = found.latency.p50 if found else float("nan")
        low, high = found.latency.ci95 if found else (float("nan"), float("nan"))
        rows.append({
            "run_id": run.run_id, "setup": _setup(run, runs), "runtime": run.request.runtime,
            "precision": precision(run), "latency_ms": p50, "ci95_low_ms": low, "ci95_high_ms": high,
            "throughput_per_s": run.throughput_per_s, "speedup": baseline / p50,
            "verdict": (verdicts or {}).get(run.run_id, run.verdict) if found else run.status,
            "parity": parity_words(found.parity, run.request.runtime) if found else "–",
            "roof_fraction": run.roof_fraction, "reason": run.reason,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values(["latency_ms", "run_id"], na_position="last").reset_index(drop=True)


def _is_plain(run: Run) -> bool:
    # on a GPU PyTorch's fp32 may compute in TF32
    return run.measured is not None and run.measured.precision_used in ("fp32", "tf32")


def _setup(run: Run, among: Sequence[Run]) -> str:
    """Runtime and precision used, and whatever else differs among the runs."""
    used = run.measured.precision_used if run.measured else run.request.precision
    parts = [f"{run.request.runtime} {used}"]
    if len({other.request.layout for other in among}) > 1:
        parts.append("channels last" if run.request.layout == "nhwc" else "channels first")
    threads = {other.measured.threads for other in among if other.measured}
    if len(threads) > 1 and run.measured:
        parts.append(f"{run.measured.threads} threads")
    return ", ".join(parts)


def side_by_side_text(found: pd.DataFrame) -> pd.DataFrame:
    """`side_by_side` as text with units, for a page."""
    rows = []
    for row in found.to_dict("records"):
        timed = row["latency_ms"] == row["latency_ms"]
        against = "–" if row["speedup"] != row["speedup"] else times_faster(row["speedup"])
        rows.append({
            "Runtime": row["runtime"], "Precision used": row["precision"],
            "p50 (ms)": f"{row['latency_ms']:,.4g}" if timed else "–",
            "95 % interval": interval(row["ci95_low_ms"], row["ci95_high_ms"]) if timed else "–",
            "vs eager fp32": "baseline" if row["speedup"] == 1.0 else against,
            "img/s": f"{row['throughput_per_s']:,.4g}" if timed else "–",
            "Verdict": VERDICT_SIGNS.get(row["verdict"], f"✗ {row['verdict']}"),
            "Parity": row["parity"],
            "Of the roof": "–" if pd.isna(row["roof_fraction"]) else roof_in_words(row["roof_fraction"]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def side_by_side_sentence(found: pd.DataFrame, architecture: str) -> str:
    """The fastest setup, how much faster than eager fp32 it is, and whether that may be trusted."""
    best = found.iloc[0]
    if best["latency_ms"] != best["latency_ms"]:
        return f"Nothing of `{architecture}` could be measured: {best['reason']}"
    latency = f"**{_MS(float(best['latency_ms']))}**"
    if found["latency_ms"].notna().sum() == 1:
        said = f"**{best['setup']}** takes {latency}"
    else:
        said = f"Fastest here: **{best['setup']}** with {latency}"
        if best["speedup"] == best["speedup"] and best["speedup"] != 1.0:
            said += f", {times_faster(float(best['speedup']))} than eager fp32"
    return f"{said}, but it is noisy." if best["verdict"] == "noisy" else f"{said}."


def comparison_table(found: Comparison, names: tuple[str, str]) -> pd.DataFrame:
    """In what two runs differ, as text."""
    return pd.DataFrame(
        [{"": one.name, names[0]: one.first, names[1]: one.second} for one in found.differences],
        columns=["", *names],
    )


def published_elsewhere(store: Store, run: Run) -> tuple[str, pd.DataFrame]:
    """The same network at the same size on other devices beside this one: the metric, and a row a setup.

    Latency at the run's batch size where it is published, else throughput at any; the `MAX_DEVICES` devices whose
    best result is nearest to ours, and this one. The columns are those that `charts_compare.device_figure` reads.
    """
    from advisor import views_compare  # with it comes scipy.stats, which takes a second

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
