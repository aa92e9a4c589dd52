"""This machine, last part: how far its predictions can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from advisor import charts_predict, ui, ui_answer, ui_runs, views_calibrate, views_trust, workflows_foretold
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.predict import backtest_file
from advisor.predict.backtest_file import StoredBacktest
from advisor.predict.known import Known

if TYPE_CHECKING:
    from advisor.predict.foretold import Foretold

_TABLE_ROWS = 12  # the others stand in the chart
_BACKTEST = "python -m advisor backtest --save"


def trust(store: Store, found: Sequence[Known], version: str) -> None:
    """How predictions did on this machine, and on published devices that were held out whole.

    Args:
        version: Of the store that `found` is known from.
    """
    st.subheader("How far to trust it")
    _here(store, found, version)
    try:
        shipped = backtest_file.load(store.data)
    except AdvisorError as exc:
        st.warning(str(exc), icon=":material/broken_image:")
        shipped = None
    if shipped is not None:
        st.markdown("\n".join(f"- {sentence}" for sentence in views_trust.meaning(shipped)))
        _beside_baselines(shipped)
    else:
        st.caption("No backtest is stored. To make one, in some minutes:")
        ui_answer.code(_BACKTEST)


def _beside_baselines(shipped: StoredBacktest) -> None:
    with st.expander("The same beside simple baselines", key="trust_open", on_change="rerun") as opened:
        if not opened.open:
            return
        ui_runs.text_table(views_trust.prediction_table(shipped), key="trust_predictions")
        if len(shipped.advice):
            ui_runs.text_table(views_trust.advice_table(shipped), key="trust_advice")
        st.caption(
            f"Every published device with enough networks held out with all its setups, {shipped.made_on}. The probes "
            "are those that would be chosen there. To repeat it, with training too, in some minutes:"
        )
        ui_answer.code(_BACKTEST)


@st.cache_resource(show_spinner=False, max_entries=8)
def _foretold(
    _store: Store, version: str, setups: tuple[str, ...], _found: Sequence[Known]
) -> list[tuple[str, Foretold]]:  # fmt: skip
    """Setup and network of all that was measured after being predicted; kept until any result changes (`version`)."""
    return [
        (views_calibrate.setup_label(one), network)
        for one in _found
        for network in workflows_foretold.foretold(_store, one, beside=_found)
    ]


def _here(store: Store, found: Sequence[Known], version: str) -> None:
    """How predictions of this machine did for what was measured after them."""
    told = _foretold(store, version, tuple(one.calibration.calibration_id for one in found), found)
    if not told:
        if found:
            st.caption(
                "Whatever is measured here from now on, by Find or on the Measure page, is held against its prediction."
            )
        return
    st.markdown(f"{ui.evidence_badge('measured')} {views_calibrate.foretold_words([one for _, one in told])}")
    left, right = st.columns(2, gap="medium")
    with left:
        ui_runs.chart(
            charts_predict.foretold_figure([one for _, one in told]), key="trust_here",
            alt="What was measured here beside what had been predicted; the table has the figures.",
        )  # fmt: skip
    with right:
        ui_runs.text_table(views_calibrate.foretold_table(told[-_TABLE_ROWS:]), key="trust_here_table")
