"""What the benchmarks of measuring share: the twelve networks, one measurement through the warm process."""

from __future__ import annotations

from typing import Any

from advisor.measure.host import Host
from advisor.measure.lines import request_values
from advisor.measure.request import Request
from advisor.measure.run import Measured

# three of each of the four families, 0.02 to 5.4 GMACs
TWELVE = (
    "resnest14d", "resnest26d", "resnest50d",
    "efficientnet_lite0", "efficientnet_b0", "efficientnet_b1",
    "mobilenetv3_small_050", "mobilenetv3_large_100", "mobilenetv4_conv_small",
    "regnety_002", "regnetx_008", "regnety_016",
)  # fmt: skip


def measured(host: Host, architecture: str, **setup: Any) -> Measured:
    """One measurement, as a job would make it."""
    request = Request(architecture=architecture, **setup)
    outcome = host.ask("measure", request_values(request), time_limit_s=request.time_limit_s)
    if outcome.ending != "answered":
        raise RuntimeError(f"{request.label}: {outcome.reason}")
    found = outcome.value
    assert isinstance(found, Measured)
    return found
