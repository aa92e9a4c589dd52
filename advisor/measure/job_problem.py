"""What went wrong with a job beside its single runs, in words. Pure."""

from __future__ import annotations

from advisor.measure.job_state import JobState


def problem(state: JobState, *, n_kept: int) -> str:
    """Why an ended job is not all that it should be; empty where it is.

    Args:
        n_kept: How many of its results are kept beside the store.
    """
    if state.unsaved:
        count = f"{n_kept} result{'s are' if n_kept != 1 else ' is'} not in the store: {state.unsaved_reason}"
        if state.lost_if_closed:
            return f"{count} The disk did not take a copy either: what is printed above is all there is."
        return f"{count} A copy is kept; 'python -m advisor runs' saves it once that is mended."
    if state.status == "done":
        return ""
    # of a cancelled job the reason is that of the measurement under way, and says nothing more
    reason = "" if state.status == "cancelled" else state.last_reason
    return f"{_ended(state)} {reason}".strip()


def _ended(state: JobState) -> str:
    """How it ended and what it has left to measure."""
    failed = state.status == "failed"
    if failed and state.n_done and not state.n_left:
        return "The measurement failed." if state.n_done == 1 else f"All {state.n_done} measurements failed."
    how = "failed" if failed else f"was {state.status}"
    if not state.n_done:
        return f"The job {how} before anything was measured."
    most = "up to " if state.n_to_come else ""
    return f"The job {how} with {most}{state.n_left or 'nothing'} more to measure."
