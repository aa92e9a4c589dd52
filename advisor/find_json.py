"""The answer of a search as plain data: the one place that decides the names and order of its JSON fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from advisor import answer_json, run_json

if TYPE_CHECKING:  # they load scipy, which other commands need not wait for
    from advisor.workflows_find_answer import FindAnswer, Promising
    from advisor.workflows_find_path import Confirmation


def answer(found: FindAnswer) -> dict[str, Any]:
    """As a recommendation, with how it was come to."""
    worth = found.runtime_worth
    return {
        **answer_json.recommendation(found.recommendation),
        "pick_run_id": found.pick_run_id,
        "measured": [run_json.run(one) for one in found.runs],
        "n_measurements": found.n_measurements,
        "seconds": found.seconds,
        "p_missed": found.p_missed,
        "missed_points": found.missed_points,
        "path": [_confirmation(one) for one in found.path],
        "promising": [_promising(one) for one in found.promising],
        "runtime_worth": None if worth is None else {
            "text": worth.text, "baseline": answer_json.candidate(worth.baseline), "gain_points": worth.gain_points,
        },
        "not_considered": list(found.not_considered),
        "status": found.status,
        "ended": found.ended or None,
        "problem": found.problem or None,
        "job_id": found.job_id or None,
    }  # fmt: skip


def _confirmation(one: Confirmation) -> dict[str, Any]:
    candidate = one.candidate
    low, high = candidate.interval_of("latency_ms") or (None, None)
    plain: dict[str, Any] = answer_json.plain({
        **{name: getattr(candidate, name) for name in (
            "weights", "architecture", "img_size", "accuracy", "runtime", "precision", "layout", "batch_size",
        )},
        "predicted_ms": {"p50": candidate.latency_ms, "lo90": low, "hi90": high},
        "p_within": one.p_within, "expected_gain": one.expected_gain, "why": one.why,
        "run_id": one.run_id, "status": one.status, "measured_ms": one.latency_ms, "ci95": one.ci95,
        "verdict": one.verdict, "slowdown": one.slowdown, "kept": one.kept, "followed": one.followed,
    })  # fmt: skip
    return plain


def _promising(one: Promising) -> dict[str, Any]:
    return {
        "candidate": answer_json.candidate(one.candidate), "p_within": one.p_within, "expected_gain": one.expected_gain,
    }  # fmt: skip
