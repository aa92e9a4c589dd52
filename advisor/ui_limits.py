"""The limits that every question has beside its speed, as widgets: which families, which accuracy, and the others.

The keys of the widgets are the fields of a question after the prefix of their page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from advisor import workflows
from advisor.evidence.store import Store
from advisor.metrics import ACCURACIES, METRICS
from advisor.views import LIMIT_LABELS

_NUMBERS = {**LIMIT_LABELS, "min_throughput": "Throughput at least, in the same run (img/s)"}
FIELDS: tuple[str, ...] = tuple(LIMIT_LABELS)
_HELP = {"max_memory_mb": "Unknown memory does not pass."}
_CHOICES = {"licence": ["any", "commercial"], "pretraining": ["any", "imagenet-1k"]}
_WORDS = {
    "any": "Any", "commercial": "Commercial use", "imagenet-1k": "ImageNet-1k only", "all": "all families",
}  # fmt: skip


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def which_models(store: Store, prefix: str, *, on_change: Callable[[], None]) -> None:
    """Which families may be the answer, and by which accuracy it is chosen."""
    families(store, prefix, on_change=on_change)
    accuracy(prefix, on_change=on_change)


def families(store: Store, prefix: str, *, on_change: Callable[[], None]) -> None:
    """Which families may be the answer."""
    st.multiselect(
        "Families", ["all", *workflows.families(store)], key=f"{prefix}families", on_change=on_change,
        format_func=_word,
    )  # fmt: skip


def accuracy(prefix: str, *, on_change: Callable[[], None]) -> None:
    """By which accuracy an answer is chosen."""
    st.selectbox(
        "Accuracy that decides", list(ACCURACIES), key=f"{prefix}accuracy", on_change=on_change,
        format_func=lambda name: METRICS[name].label,
    )  # fmt: skip


def more(prefix: str, fields: Sequence[str], *, on_change: Callable[[], None], n_columns: int = 1) -> None:
    """The other limits in a box that opens; its label says how many are set, since the closed box does not draw them.

    Args:
        fields: Limits that are numbers; licence and pretraining are always there.
        n_columns: Side by side.
    """
    state = st.session_state
    n_set = sum(
        state.get(f"{prefix}{field}") != ("any" if field in _CHOICES else None) for field in (*fields, *_CHOICES)
    )
    label = f"More limits ({n_set} set)" if n_set else "More limits"
    with st.expander(label, key=f"{prefix}more", on_change="rerun") as opened:
        if not opened.open:
            return
        columns: list[Any] = list(st.columns(n_columns)) if n_columns > 1 else [st]
        for i, field in enumerate(fields):
            _number(columns[i % n_columns], prefix, field, on_change)
        for i, (field, options) in enumerate(_CHOICES.items(), len(fields)):
            columns[i % n_columns].segmented_control(
                field.capitalize(), options, key=f"{prefix}{field}", format_func=_word, required=True,
                on_change=on_change, width="stretch", persist_state="page",
            )  # fmt: skip


def _number(place: Any, prefix: str, field: str, on_change: Callable[[], None]) -> None:
    whole = field == "max_img_size"
    place.number_input(
        _NUMBERS[field], key=f"{prefix}{field}", value=None, step=1 if whole else None,
        format="%d" if whole else "%g", placeholder="any", on_change=on_change, help=_HELP.get(field),
        persist_state="page",
    )  # fmt: skip
