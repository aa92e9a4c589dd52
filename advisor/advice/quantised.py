"""What is published about a network's accuracy once it is quantised."""

from __future__ import annotations

import pandas as pd

from advisor.advice.setups import QUANTISED
from advisor.records import Candidate, Reason

_SAYS_QUANTISED = r"int8|int16|w\d+a\d+|hardware"
_SHOWN = 4


def published_effect(pick: Candidate | None, accuracy_rows: pd.DataFrame) -> tuple[Reason, ...]:
    """For a pick that runs quantised: its network's published quantised accuracies and losses, as printed.

    Args:
        accuracy_rows: As the query `accuracy_rows` gives them.

    Returns:
        One reason; none where the pick does not run quantised or nothing is published about its network.
    """
    if pick is None or pick.precision not in QUANTISED:
        return ()
    rows = accuracy_rows[
        (accuracy_rows["architecture"] == pick.architecture)
        & (accuracy_rows["dataset"] == "imagenet-1k")
        & accuracy_rows["metric"].isin(["top1", "top1-drop"])
        & accuracy_rows["protocol"].str.contains(_SAYS_QUANTISED, case=False)
        & ~accuracy_rows["suspect"]
    ].sort_values(["metric", "row_id"], ascending=[False, True])
    if rows.empty:
        return ()
    said = [
        f"{'loses ' if row['metric'] == 'top1-drop' else ''}{row['value']:.1f} {_unit(row['metric'])} "
        f"({row['source_id']}, {row['protocol']})"
        for row in rows.head(_SHOWN).to_dict("records")
    ]
    more = f", and {len(rows) - _SHOWN} more in Explore" if len(rows) > _SHOWN else ""
    text = f"Published for quantised {pick.architecture}, with weights that may be others: {'; '.join(said)}{more}."
    return (Reason("quantised-published", text, "the sources named"),)


def _unit(metric: str) -> str:
    return "points" if metric == "top1-drop" else "% top-1"
