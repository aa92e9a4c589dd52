"""Searches over the networks of the small data on an invented machine: what is predicted and what is true is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.evidence.store import Store
from advisor.measure.request import Request
from advisor.measure.run import Memory, Run
from advisor.measure.stretches import SUFFERED
from advisor.predict import profile_files
from advisor.predict.calibration import Asked, Calibration
from advisor.predict.columns import Setup
from advisor.predict.known import Known, MeasuredHere
from advisor.predict.predictor import Posterior
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles
from advisor.predict.slowness import Slowness
from advisor.records import Question
from advisor.workflows_find_answer import Ending, FindAnswer, answer
from advisor.workflows_find_options import known_results, options
from advisor.workflows_find_play import Case, Extra, next_request, play
from tests.run_data import MACHINE, VERSIONS, failed, run
from tests.small_data import I7_MS

HERE = MACHINE["device_id"]
EAGER, OPENVINO = ("pytorch-eager", "fp32"), ("openvino", "bf16")
KEYS = sorted(key for key in I7_MS if not key[0].startswith("test_"))
FULL_MS = 1.0  # the machine's pulse at its full pace
_SOFTWARE = "torch 2.15.0, timm 1.0.31"
PROBE = {("mobilenetv3_large_100", 224): MeasuredHere("run-probe", 6.0, (5.9, 6.1), "steady")}  # 75.8 %


def profiles() -> Profiles:
    """Those of the small data's networks."""
    shipped = profile_files.load()
    return shipped.only(shipped.rows(KEYS))


def known(
    predicted_ms: dict[tuple[str, int], float], *, runtime: str = "pytorch-eager", precision: str = "fp32",
    deviation: float = 0.1, measured: dict[tuple[str, int], MeasuredHere] | None = None, probes: tuple[Probe, ...] = (),
) -> Known:  # fmt: skip
    """A setup of this machine with these predictions."""
    asked = Asked("cpu", runtime, precision, "nchw", 1, 2)
    setup = Setup("cpu", HERE, "infer", runtime, _SOFTWARE, "2", "", precision, "nchw", 1)
    made = Calibration("calibration-1", asked, setup, {}, "2026-07-01T10:00:00+00:00", (), (), 0.0, "complete")
    found = {KEYS.index(key): one for key, one in (measured or {}).items()}
    middle = np.log([predicted_ms[key] for key in KEYS])
    posterior = Posterior(middle, np.full(len(KEYS), deviation))
    return Known(setup, asked, made, (), 12, posterior, profiles(), found, probes, full_ms=FULL_MS)


@dataclass(frozen=True, eq=False)
class Stubborn:
    """Believes what it believed, but where something was measured."""

    knowns: tuple[Known, ...]

    def posteriors(self, extra: Extra, rows: Sequence[NDArray[np.intp]]) -> list[Posterior]:
        found = [Posterior(one.posterior.mean.copy(), one.posterior.deviation.copy()) for one in self.knowns]
        for place, row, probe in extra:
            found[place].mean[row], found[place].deviation[row] = np.log(probe.latency_ms), 0.01
        return [Posterior(one.mean[some], one.deviation[some]) for one, some in zip(found, rows, strict=True)]

    def correlation(self, _extra: Extra, _known: int, _rows: NDArray[np.intp]) -> None:
        return None


@dataclass
class Bench:
    """A machine whose latencies are known.

    Attributes:
        true_ms: By runtime, then by network; a network without one fails.
        noisy: Architectures whose runs are noisy.
        memory_mb: Peak memory of each architecture, 150 where it is not named.
        half_width: Of the interval of a median, as a share of it.
        slow: By architecture, how many times slower than at the machine's full pace each of its runs is in turn; once
            they are used up the machine is at its full pace.
        before: How many times slower it was in its last measurements before the search.
        suffered: The power of the pulse's slowdown by which those runs are slower.
    """

    store: Store
    knowns: tuple[Known, ...]
    true_ms: dict[str, dict[tuple[str, int], float]]
    noisy: tuple[str, ...] = ()
    memory_mb: dict[str, float] = field(default_factory=dict)
    half_width: float = 0.01
    slow: dict[str, tuple[float, ...]] = field(default_factory=dict)
    before: tuple[float, ...] = ()
    suffered: float = SUFFERED
    parts: dict[str, Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def case(self, **asked: Any) -> Case:
        question = Question(HERE, **({"max_latency_ms": 20.0, "families": ("all",)} | asked))
        found = options(self.store.frame("scored"), self.knowns, question)
        runs = self.store.frame("runs", device_id=HERE, task="infer")
        by_row = [known_results(one, runs) for one in self.knowns]
        places = list(zip(found.known.tolist(), found.row.tolist(), strict=True))
        results = {option: by_row[k][row] for option, (k, row) in enumerate(places) if row in by_row[k]}
        return Case(
            question, "cpu", MACHINE["name"], self.knowns, found, results, Stubborn(self.knowns),
            slowness=Slowness.of_runs(self.before).scaled(1 / (self.knowns[0].suffers or 1.0)),
        )  # fmt: skip

    def measure(self, request: Request) -> Run:
        """The run of a request."""
        name, n = request.architecture, len(self.requests)
        self.requests.append(request)
        true_ms = self.true_ms[request.runtime].get((name, request.img_size or 0))
        if true_ms is None:
            return replace(failed(f"run-{n}", f"{name} does not run here."), request=request)
        earlier = sum(one.architecture == name for one in self.requests[:-1])
        slower = (*self.slow.get(name, ())[earlier : earlier + 1], 1.0)[0]
        parts = {
            "memory": Memory(None, None, self.memory_mb.get(name, 150.0), 100.0),
            "environment": {"versions": VERSIONS, "pulse_ms": [FULL_MS * slower ** (1 / self.suffered)] * 2},
        } | self.parts  # fmt: skip
        one = run(
            f"run-{n}", slower * true_ms, architecture=name, img_size=request.img_size or 0, half_width=self.half_width,
            reasons=("Busy.",) if name in self.noisy else (), parts=parts,
        )  # fmt: skip
        assert one.measured is not None
        return replace(one, request=request, measured=replace(one.measured, precision_used=request.precision))

    def search(self, *, confirm: int = 5, **asked: Any) -> FindAnswer:
        """Measure until the search has ended."""
        case, runs = self.case(**asked), list[Run]()
        while (request := next_request(case, runs, confirm=confirm)) is not None:
            runs.append(self.measure(request))
        return self.after(case, runs)

    def after(self, case: Case, runs: Sequence[Run], status: str = "done") -> FindAnswer:
        """The answer after those runs."""
        return answer(case, play(case, runs), Ending(status, 12.5, "000001-00000000"))


def bench(built: Store, *, predicted: dict[tuple[str, int], float] | None = None, **more: Any) -> Bench:
    """A machine that is as fast as the i7 in eager mode, and predicted to be; one network was a probe."""
    return Bench(built, (known(predicted or I7_MS, measured=PROBE),), {"pytorch-eager": I7_MS}, **more)


def two_runtimes(built: Store, **more: Any) -> Bench:
    """OpenVINO is twice as fast as eager mode; nothing was measured."""
    fast = {key: ms / 2 for key, ms in I7_MS.items()}
    setups = (known(fast, runtime=OPENVINO[0], precision=OPENVINO[1]), known(I7_MS))
    return Bench(built, setups, {"openvino": fast, "pytorch-eager": I7_MS}, **more)


def by_factor(ms: dict[tuple[str, int], float], **factors: float) -> dict[tuple[str, int], float]:
    """The latencies, those of some architectures times a factor."""
    return {key: value * factors.get(key[0], 1.0) for key, value in ms.items()}
