"""A store and a measuring process that obeys an invented device: for tests of calibrating and of what follows."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from advisor import workflows, workflows_calibrate, workflows_measure, workflows_predict
from advisor.evidence.store import Store
from advisor.measure import lines, machine, models
from advisor.measure.jobs import Jobs
from advisor.measure.stretches import SUFFERED
from advisor.predict.calibration import PREFIX, Asked
from advisor.predict.history import History
from advisor.predict.predictor import Prior
from tests import run_data
from tests.invented_devices import CPU, invented

OTHER = {**run_data.MACHINE, "device_id": "other-8c-16gb-123456", "name": "Other, 8 cores"}
VERSIONS = {"torch": "2.15.0", "timm": "1.0.31", "onnxruntime": "1.31.0", "openvino": "2026.4.0"}
_ORDERS: WeakKeyDictionary[History, list[str]] = WeakKeyDictionary()


def native(past: History) -> dict[str, int]:
    """The row of each network at its native size."""
    known = models.load()
    return {name: row for (name, size), row in past.profiles.positions.items() if known[name].img_size == size}


@dataclass
class Lab:
    """A store and a measuring process that obeys a law: an invented device, see `fake_probes.Law`."""

    store: Store
    past: History
    folder: Path
    law: dict[str, Any] = field(default_factory=dict)
    here: Asked = field(init=False)

    def __post_init__(self) -> None:
        latency_ms = invented(self.past.profiles, CPU, 40, noise=0.01).latency_ms
        self.here = workflows_calibrate.asked()
        self.law = {
            "latency_ms": {name: float(latency_ms[row]) for name, row in native(self.past).items()},
            "img_size": {name: one.img_size for name, one in models.load().items()},
            "environment": {"versions": VERSIONS, "usable_threads": machine.usable_threads()},
        }
        self.obey()

    @property
    def order(self) -> list[str]:
        """The probes of the setup without changes."""
        if self.past not in _ORDERS:  # the same in every test
            _ORDERS[self.past] = workflows_calibrate.probe_order(self.store, self.here)
        return _ORDERS[self.past]

    def obey(self, **changes: Any) -> None:
        """Change the law of the device."""
        self.law |= changes
        (self.folder / "law.json").write_text(json.dumps(self.law))

    def without(self, *names: str) -> dict[str, float]:
        """The latencies of all others: these fail."""
        return {name: ms for name, ms in self.law["latency_ms"].items() if name not in names}

    def calibrate(self) -> workflows_calibrate.Calibrated:
        """Calibrate with the measuring process."""
        return workflows_calibrate.calibrate(self.store, self.here)

    def keep(
        self, *, hour: int = 10, n: int = 5, sentinels: int = 2, noisy: tuple[str, ...] = (), slower: float = 1.0,
        versions: dict[str, str] = VERSIONS, device: dict[str, Any] | None = None, prefix: str = PREFIX,
        pulses_ms: Sequence[float] = (), **changes: Any,
    ) -> tuple[str, ...]:  # fmt: skip
        """Store a calibration as the process would have made it; the ids of its probes' runs.

        Args:
            pulses_ms: Of each run, sentinels too, in order; none where it is empty. The sentinel, which runs twice,
                suffers of them as networks do.
        """
        asked, here = replace(self.here, **changes), device or lines.plain(machine.machine("cpu"))
        threads = {"usable_threads": machine.usable_threads()}
        requests = [asked.request(name) for name in self.order[:n]]
        around = [asked.sentinel] * sentinels
        made = []
        for i, request in enumerate([*around[:1], *requests, *around[1:]]):
            name = request.architecture
            pulse = {"pulse_ms": [pulses_ms[i]] * 2} if pulses_ms else {}
            paced = (pulses_ms[i] / min(pulses_ms)) ** SUFFERED if pulses_ms and request in around else 1.0
            one = run_data.run(
                f"20260701T{hour}{i:02d}00-000000-00000000", slower * paced * self.law["latency_ms"].get(name, 5.0),
                architecture=name, img_size=self.law["img_size"][name], device_id=here["device_id"],
                reasons=("Busy.",) if name in noisy else (), started_at=f"2026-07-01T{hour}:{i:02d}:00+00:00",
                sweep_id=prefix and f"{prefix}12345678-{hour}", job_id=f"{hour:06d}-00000000", threads=asked.threads,
                parts={"environment": {"versions": versions, **threads, **pulse}},
                precision_used="fp32" if request.precision == "auto" else request.precision,
            )  # fmt: skip
            made.append(replace(one, request=request))
        run_data.save(self.store, *made, machine=here)
        return tuple(one.run_id for one in made if one.request in requests)

    def row(self, name: str) -> int:
        return native(self.past)[name]


@contextlib.contextmanager
def opened(ready: Store, past: History, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab in a folder, with `past` as what published devices say."""
    folder.mkdir()
    monkeypatch.setenv("FAKE_DIR", str(folder))
    monkeypatch.setenv("ADVISOR_HOME", str(ready.home))
    monkeypatch.setattr(workflows, "DATA", ready.data)
    fake = (sys.executable, "-S", str(Path(__file__).parent / "fake_probes.py"))
    monkeypatch.setattr(workflows_measure, "Jobs", partial(Jobs, host_command=fake))
    for name in ("published", "published_devices"):
        monkeypatch.setattr(workflows_predict, name, lambda _store: (past, Prior()))
    monkeypatch.setattr(machine, "versions", lambda *_packages: VERSIONS)
    yield Lab(ready, past, folder)
    workflows_measure.jobs(ready).close()
