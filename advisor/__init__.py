"""Which image-classification network should I use on my device, within my budget?

from advisor import Question, open_store, recommend

answer = recommend(open_store(), Question("i7-12700h", max_latency_ms=20))
"""

from advisor.errors import AdvisorError, BadQuestion, StoreError, UnknownName
from advisor.evidence.store import Store
from advisor.metrics import METRICS, Metric
from advisor.records import (
    Beyond,
    Candidate,
    ClaimResult,
    Device,
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

__all__ = [
    "METRICS",
    "AdvisorError",
    "BadQuestion",
    "Beyond",
    "Candidate",
    "ClaimResult",
    "Device",
    "Metric",
    "NearestMiss",
    "Question",
    "Reason",
    "Recommendation",
    "Store",
    "StoreError",
    "UnknownName",
    "WhatIf",
    "advisable",
    "all_claims",
    "claims_on",
    "devices",
    "explain",
    "models",
    "open_store",
    "recommend",
    "setups",
]
