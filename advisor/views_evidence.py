"""What Evidence shows: sources, claims by device, and results going in and out. No Streamlit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from advisor import workflows
from advisor.advice.claims import ANY_DEVICE, CLAIMS
from advisor.evidence.exchange import ImportReport, as_csv, as_parquet, results
from advisor.evidence.store import Store
from advisor.records import ClaimResult, Device

SIGNS = {"holds": "✓ holds", "fails": "✗ fails", "not enough evidence": "? too little"}


def sources(store: Store) -> pd.DataFrame:
    """Sources with licence and how many rows of each kind they stand behind, most rows first."""
    frame = store.frame("sources")
    counts = ["n_speed", "n_accuracy", "n_complexity", "n_training_cost"]
    frame = frame.assign(rows=frame[counts].sum(axis=1), licence=frame["licence"].replace("", "not stated"))
    columns = ["title", "licence", "rows", *counts, "version", "date", "authors", "url", "source_id", "notes"]
    return frame.sort_values(["rows", "source_id"], ascending=[False, True])[columns].reset_index(drop=True)


def claim_titles() -> dict[str, str]:
    """Claim id -> the claim in one sentence, of the claims that a device decides, in their order."""
    return {c.claim_id: c.title for c in CLAIMS if c.scope != ANY_DEVICE}


def by_claim(found: Sequence[ClaimResult]) -> dict[tuple[str, str], ClaimResult]:
    """(device id, claim id) -> result."""
    return {(one.device_id, one.claim_id): one for one in found}


# claim id -> head of its column; the whole claim is the head's help text
SHORT: dict[str, str] = {
    "resnest-first": "ResNeSt first",
    "efficientnet-without-gpu": "EffNet, no GPU",
    "regnet-5x-efficientnet": "RegNet 5x",
    "small-device-mobilenet": "Mobile: small",
    "mnasnet-mobilenetv2": "MnasNet 1.8x",
    "flops-not-latency": "FLOPs ≠ ms",
    "resnet50-outruns-fewer-flops": "R50 outruns",
    "tresnet-m-resnet50": "TResNet-M",
    "vit-swin-convnext": "ViT vs Swin",
}


def matrix(found: Sequence[ClaimResult], devices: Sequence[Device], *, everything: bool) -> pd.DataFrame:
    """Devices x claims with each verdict in words and a sign.

    Args:
        everything: Also devices on which no claim could be decided.

    Returns:
        Columns `device_id`, `device`, `kind`, then one a claim id, in the order of `devices`.
    """
    results_of = by_claim(found)
    rows = []
    for known in devices:
        verdicts = {
            c: results_of[known.device_id, c].verdict for c in claim_titles() if (known.device_id, c) in results_of
        }
        if everything or any(v != "not enough evidence" for v in verdicts.values()):
            head = {"device_id": known.device_id, "device": known.name, "kind": known.kind}
            rows.append(head | {c: SIGNS[v] for c, v in verdicts.items()})
    return pd.DataFrame(rows, columns=["device_id", "device", "kind", *claim_titles()])


def deviceless(found: Sequence[ClaimResult]) -> list[ClaimResult]:
    """Results of the claims that no device decides, once each."""
    return list({one.claim_id: one for one in found if one.device_id == ANY_DEVICE}.values())


def verdict_counts(shown: pd.DataFrame) -> pd.DataFrame:
    """For each claim on how many devices it holds, fails, or is undecided."""
    titles = claim_titles()
    return pd.DataFrame(
        [{"claim": titles[c], **{sign: int((shown[c] == sign).sum()) for sign in SIGNS.values()}} for c in titles]
    )


def import_upload(store: Store, name: str, content: bytes) -> ImportReport:
    """Import an uploaded file; only its name's ending is trusted, and only to tell the format.

    Raises:
        ImportFailed: The file cannot be read at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(name).suffix.lower()}"
        path.write_bytes(content)
        return workflows.import_results(store, path)


def rejects(report: ImportReport) -> pd.DataFrame:
    """The rejected rows of an import with line and reason."""
    return pd.DataFrame([{"line": r.line, "reason": r.reason} for r in report.rejects], columns=["line", "reason"])


def export_bytes(store: Store, kind: str, device_id: str | None, form: str) -> bytes:
    """Results as a file: `form` is 'csv' or 'parquet'; None exports all devices."""
    frame = results(store, kind=kind, device_ids=(device_id,) if device_id else ())
    return as_parquet(frame) if form == "parquet" else as_csv(frame)
