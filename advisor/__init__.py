"""Which image-classification network should I use on my device, within my budget?

from advisor import Question, open_store, recommend

answer = recommend(open_store(), Question("i7-12700h", max_latency_ms=20))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.errors import AdvisorError, BadQuestion, StoreError, UnknownName
    from advisor.evidence.store import Store
    from advisor.measure.request import Request
    from advisor.measure.run import Run
    from advisor.metrics import METRICS, Metric
    from advisor.predict.calibration import Asked
    from advisor.records import (
        Beyond,
        Candidate,
        ClaimResult,
        Device,
        MightWin,
        NearestMiss,
        Question,
        Reason,
        Recommendation,
        WhatIf,
    )
    from advisor.workflows import (
        advisable,
        all_claims,
        claims_on,
        devices,
        explain,
        models,
        open_store,
        recommend,
        setups,
    )
    from advisor.workflows_calibrate import calibrate, calibrations
    from advisor.workflows_find import find

# Each name is fetched when it is first used: a measuring process imports one module of this package and must
# start without pandas and DuckDB, which take 0.7 s.
_HOMES = {
    "errors": ("AdvisorError", "BadQuestion", "StoreError", "UnknownName"),
    "evidence.store": ("Store",),
    "measure.request": ("Request",),
    "measure.run": ("Run",),
    "metrics": ("METRICS", "Metric"),
    "predict.calibration": ("Asked",),
    "records": (
        "Beyond", "Candidate", "ClaimResult", "Device", "MightWin", "NearestMiss", "Question", "Reason",
        "Recommendation", "WhatIf",
    ),
    "workflows": (
        "advisable", "all_claims", "claims_on", "devices", "explain", "models", "open_store", "recommend", "setups",
    ),
    "workflows_calibrate": ("calibrate", "calibrations"),
    "workflows_find": ("find",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "METRICS",
    "AdvisorError",
    "Asked",
    "BadQuestion",
    "Beyond",
    "Candidate",
    "ClaimResult",
    "Device",
    "Metric",
    "MightWin",
    "NearestMiss",
    "Question",
    "Reason",
    "Recommendation",
    "Request",
    "Run",
    "Store",
    "StoreError",
    "UnknownName",
    "WhatIf",
    "advisable",
    "all_claims",
    "calibrate",
    "calibrations",
    "claims_on",
    "devices",
    "explain",
    "find",
    "models",
    "open_store",
    "recommend",
    "setups",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'advisor' has no attribute '{name}'")
    return getattr(import_module(f"advisor.{_HOME_OF[name]}"), name)
