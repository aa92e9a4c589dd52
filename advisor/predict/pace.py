"""How fast the machine was while networks were measured: their pulses beside the pulse at full pace.

A machine that others use too runs everything slower for seconds or minutes, some networks more than others: those of
many small operators, whose threads wait for each other often, and those that read many weights. The pulse is what tells
such a moment. It comes and goes within a measurement too, so that the average pulse of each counts, beside what its
network took on average (`measure.stretches`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advisor.measure.run import Measured
from advisor.measure.stretches import SUFFERED, Stretch, stretch
from advisor.predict.probe import Probe
from advisor.predict.suffering import COMMON_DOUBT, OWN_DOUBT, usual

# The machine's full pace is not its fastest pulse, which may be a lucky moment, but what is usual among the fastest of
# each run that are about as fast as one that a tenth of the runs met. In the first 16 runs of 34 stores of two cores of
# an Intel Xeon, restless in many, it came out alike within a standard deviation of 9 %.
_FAST = 0.1
AT_FULL_PACE = 1.05  # slowdowns up to this are the pulse's own spread
_DISTURBED = 1.25  # a run this much slower than another of its network was disturbed, whatever its pulse
_NOISE = 0.04  # the same of two runs of a network at full pace
_Series = tuple[list[float] | None, list[tuple[int, float]] | None]


def stretch_of(found: Measured) -> Stretch | None:
    """A run beside the machine's pulse; None where its pace is not known."""
    return found.latency.stretch or _of_before(found.latency.p50, found.environment.get("pulse_ms"))


def stored_stretch(latency_ms: float, kept: object, series: object, pulses_ms: object) -> Stretch | None:
    """The same from what the store keeps, each JSON or anything else where a run has none.

    Args:
        latency_ms: The run's median.
        kept: Its stretch.
        series: Of an older run, which has none, all times and the pulses between them.
        pulses_ms: Of an older one yet, those before it and after it.
    """
    if isinstance(kept, str) and (found := msgspec.json.decode(kept, type=Stretch | None)):
        return found
    times_ms, pulses = msgspec.json.decode(series, type=_Series) if isinstance(series, str) else (None, None)
    if times_ms and pulses and (found := stretch(times_ms, pulses)):
        return found
    return _of_before(latency_ms, msgspec.json.decode(pulses_ms) if isinstance(pulses_ms, str) else None)


def _of_before(latency_ms: float, taken: Any) -> Stretch | None:
    """Of an older run, whose pulse was taken before it and after it alone: the whole of it."""
    if not isinstance(taken, list) or not taken or not all(isinstance(ms, int | float) and ms > 0 for ms in taken):
        return None
    return Stretch(latency_ms, float(np.exp(np.mean(np.log(taken)))), min(taken))


def least_ms(stretches: Sequence[Stretch | None]) -> list[float]:
    """The fastest pulse of each of which it is known."""
    return [one.least_ms for one in stretches if one is not None]


def slowdown(
    latency_ms: float, stretch: Stretch | None, full_ms: float | None, suffers: float = SUFFERED
) -> float:  # fmt: skip
    """How many times slower than at the machine's full pace a run was by its median; 1 where that is not known.

    Args:
        latency_ms: The median.
        stretch: Of that run.
        full_ms: The pulse at full pace.
        suffers: What its network suffers, see `suffering`.
    """
    if stretch is None or full_ms is None:
        return 1.0
    return latency_ms / float(_at_full_pace_ms(stretch.latency_ms, stretch.pulse_ms / full_ms, suffers))


def _at_full_pace_ms(latency_ms: Any, slowdowns: Any, suffers: Any) -> Any:
    return latency_ms / np.maximum(slowdowns, 1.0) ** suffers


def slowdowns(stretches: Sequence[Stretch | None], full_ms: float | None = None) -> NDArray[np.float64]:
    """Shape (n_runs,): how many times slower than at its full pace the machine was; 1 where that is not known.

    Args:
        stretches: Of runs on one device.
        full_ms: The pulse at its full pace; None takes that of these runs.
    """
    full_ms = full_pulse_ms(least_ms(stretches)) if full_ms is None else full_ms
    return np.array([pulse_slowdown(one, full_ms) for one in stretches])


def pulse_slowdown(stretch: Stretch | None, full_ms: float | None) -> float:
    """How many times slower than at its full pace the machine was during one run; 1 where that is not known."""
    return 1.0 if stretch is None or full_ms is None else stretch.pulse_ms / full_ms


def full_pulse_ms(known: Sequence[float]) -> float | None:
    """The pulse of the machine at its full pace, of the fastest of each run on it; None where there is none."""
    return float(np.median([ms for ms in known if ms <= AT_FULL_PACE * np.quantile(known, _FAST)])) if known else None


def together(
    networks: Sequence[Hashable], latencies_ms: Sequence[float], stretches: Sequence[Stretch | None],
    noisy: Sequence[bool], full_ms: float | None = None, suffers: float = SUFFERED,
) -> list[tuple[int, Stretch | None]]:  # fmt: skip
    """What the runs of every network say, in order of network: which of them stands for it, and all beside the pulse.

    It is of those that were not disturbed the one at the fullest pace, then a steady one, then the fastest. All of
    those count, each the less the slower the machine was, as what it suffered then is known roughly, and the less its
    own times agree.

    Args:
        networks: Of each run, comparable.
        latencies_ms: Medians; they count where the stretch is not known.
        full_ms: As of `slowdowns`.
        suffers: What is usual: runs are compared so.
    """
    full_ms = full_pulse_ms(least_ms(stretches)) if full_ms is None else full_ms
    each_ms = [
        ms if one is None or full_ms is None else one.at(full_ms, suffers)
        for ms, one in zip(latencies_ms, stretches, strict=True)
    ]
    runs = pd.DataFrame({"network": list(networks), "ms": each_ms, "noisy": noisy})
    runs["slow"] = np.maximum(slowdowns(stretches, full_ms), 1.0)
    counted = runs[undisturbed(networks, each_ms, runs["slow"].to_numpy())]
    paced = counted.assign(slow=np.maximum(counted["slow"], AT_FULL_PACE))
    ranked = paced.sort_values(["network", "slow", "noisy", "ms"], kind="stable")
    found = []
    for _, rows in ranked.groupby("network"):
        found.append((int(rows.index[0]), _mean([stretches[row] for row in rows.index], rows["slow"].to_numpy())))
    return found


def _mean(stretches: Sequence[Stretch | None], slow: NDArray[np.float64]) -> Stretch | None:
    known = [(one, by) for one, by in zip(stretches, slow.tolist(), strict=True) if one is not None]
    if not known:
        return None
    errors = np.array([one.error for one, _ in known])
    weights = 1 / (_NOISE**2 + np.square(errors) + OWN_DOUBT**2 * np.square(np.log([by for _, by in known])))
    logs = [(np.log(one.latency_ms), np.log(one.pulse_ms)) for one, _ in known]
    latency, pulse = np.average(logs, axis=0, weights=weights)
    error = float(np.sqrt(np.square(weights * errors).sum()) / weights.sum())
    return Stretch(float(np.exp(latency)), float(np.exp(pulse)), min(one.least_ms for one, _ in known), error)


def undisturbed(
    networks: Sequence[Hashable], latencies_ms: Sequence[float], slow: NDArray[np.float64]
) -> NDArray[np.bool_]:  # fmt: skip
    """Which runs took no more than `_DISTURBED` times as long as the quickest of their network, shape (n_runs,).

    As far as either was corrected for a slow moment, it may be more: by what a network may suffer otherwise than
    expected, in 19 of 20.

    Args:
        latencies_ms: At the machine's full pace.
        slow: Of each run, how many times slower than at its full pace the machine was.
    """
    runs = pd.DataFrame({"network": list(networks), "log": np.log(latencies_ms), "slow": np.log(slow)})
    quickest = runs.loc[runs.groupby("network")["log"].transform("idxmin")].reset_index(drop=True)
    in_doubt = 1.645 * OWN_DOUBT * np.hypot(runs["slow"], quickest["slow"])
    return np.asarray(runs["log"] - quickest["log"] <= np.log(_DISTURBED) + in_doubt)


def at_full_pace(probes: Sequence[Probe], full_ms: float | None = None) -> list[Probe]:
    """Every network once, in order of name and size, with the latency that it has at the machine's full pace.

    Args:
        probes: Of one setup.
        full_ms: As of `slowdowns`.
    """
    as_usual = usual(probes)
    told = together(
        [probe.key for probe in probes], [probe.latency_ms for probe in probes], [probe.stretch for probe in probes],
        [probe.noisy for probe in probes], full_ms, as_usual,
    )  # fmt: skip
    once = [replace(probes[row], stretch=of_all) for row, of_all in told]
    stretches = [probe.stretch for probe in once]
    slow = slowdowns(stretches, full_ms)
    here = np.array([one.latency_ms if one.stretch is None else one.stretch.latency_ms for one in once])
    suffers = [as_usual if probe.suffers is None else probe.suffers for probe in once]
    full = _at_full_pace_ms(here, slow, np.array(suffers))
    logs = np.log(np.maximum(slow, 1.0))
    return [
        replace(
            probe, latency_ms=ms, suffers=power, slow=by, unsure=0.0 if probe.stretch is None else probe.stretch.error
        )
        for probe, ms, power, by in zip(once, full.tolist(), suffers, logs.tolist(), strict=True)
    ]


def doubt(
    slow: NDArray[np.float64], powers: NDArray[np.float64] | float = COMMON_DOUBT**2
) -> NDArray[np.float64]:  # fmt: skip
    """Shape (n_probes, n_probes): covariance of the logarithms of probes, as far as it comes from slow moments.

    Args:
        slow: Of each probe, shape (n_probes,).
        powers: Covariance of what they suffer, as far as they share it, see `suffering.Suffering.shared_doubt`.
    """
    return np.asarray(powers * np.outer(slow, slow) + OWN_DOUBT**2 * np.diag(slow**2))


def doubt_of_mean(slow: NDArray[np.float64], single: float, power: float = COMMON_DOUBT**2) -> float:
    """The standard deviation of what several probes say of one thing, as far as it comes from slow moments.

    It is that of their mean with the least variance (generalised least squares), less that of as many at full pace.

    Args:
        slow: Of each probe.
        single: Standard deviation of what one at full pace says.
        power: Variance of what they suffer, as far as they share it.
    """
    n = len(slow)
    variance = 1 / np.linalg.solve(single**2 * np.eye(n) + doubt(slow, power), np.ones(n)).sum()
    return float(np.sqrt(max(variance - single**2 / n, 0.0)))
