"""A measuring process whose networks take what `law.json` in `FAKE_DIR` says, see `Law`. Started as a script."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from fake_worker import BEHAVIOURS, FOLDER, forever, main, measured, roof, say


class Law(TypedDict, total=False):
    """What a device does; a network without a latency fails.

    Attributes:
        latency_ms: Of each architecture.
        img_size: Native, of each architecture.
        environment: Of every run.
        noisy: Architectures whose runs were disturbed.
        held: Architectures that never end.
        sentinel_ms: Of the runs of the sentinel, in order.
        pulse_ms: Of the machine while an architecture ran; of the others it is 1.
    """

    latency_ms: dict[str, float]
    img_size: dict[str, int]
    environment: dict[str, Any]
    noisy: list[str]
    held: list[str]
    sentinel_ms: list[float]
    pulse_ms: dict[str, float]


_OPERATOR = {
    "name": "conv2d", "kind": "dense convolution", "macs": 6912, "bytes": 2224, "weight_bytes": 432, "kernel": [3, 3],
    "stride": [1, 1], "groups": 1, "inputs": [[1, 3, 8, 8], [4, 3, 3, 3]], "outputs": [[1, 4, 8, 8]], "count": 2,
    "time_ms": 0.5,
}  # fmt: skip


def obey(request: dict[str, Any]) -> None:
    law: Law = json.loads((FOLDER / "law.json").read_text())
    name = request["architecture"]
    if name in law.get("held", []):
        forever(request)
    if name == "mobilenetv3_small_100":
        counter = FOLDER / "sentinels"
        place = int(counter.read_text()) if counter.exists() else 0
        counter.write_text(str(place + 1))
        p50 = law.get("sentinel_ms", [5.0, 5.0])[place % 2]
    elif name in law["latency_ms"]:
        p50 = law["latency_ms"][name]
    else:
        say("failed", {"reason": f"{name} does not run here."})
        return
    found = measured(request, p50)
    steady = {"times_ms": [p50] * 40, "p90": p50, "mad": 0.0, "ci95": [p50 * 0.995, p50 * 1.005]}
    pulse_ms = law.get("pulse_ms", {}).get(name, 1.0)
    environment = law.get("environment", {}) | {"pulse_ms": [pulse_ms, pulse_ms]}
    found |= {"latency": found["latency"] | steady, "environment": environment}
    found["img_size"] = law["img_size"].get(name, 224)
    if name in law.get("noisy", []):
        found["load"]["other_cores"] = 1.5
    if "operators" in request["extras"]:
        found["work"] = {"macs": 2000.0, "bytes": 200.0, "operators": [], "counter": "fake", "timed": [_OPERATOR]}
    say("measured", found)


if __name__ == "__main__":
    BEHAVIOURS.clear()
    BEHAVIOURS.update({"": obey, "roof": roof})
    main("")
