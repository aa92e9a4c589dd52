"""How an answer of the Recommend page looks, piece by piece."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from advisor import charts, ui, ui_budget, ui_confirm, views, views_explore, workflows
from advisor.advice import measured, predicted
from advisor.advice.setups import Axis
from advisor.errors import AdvisorError
from advisor.evidence.store import Store
from advisor.links import adjusted
from advisor.metrics import METRICS
from advisor.records import Candidate, Device, Question, Recommendation

_TIES_SHOWN = 4
_ANSWERS_KEPT = 64


@st.cache_resource(show_spinner=False, max_entries=_ANSWERS_KEPT)
def answered(_store: Store, version: str, question: Question) -> tuple[Recommendation, pd.DataFrame, go.Figure]:
    """The answer, its candidates and its chart, kept until any result changes (`version`); do not modify them."""
    answer = workflows.recommend(_store, question)
    candidates = views.landscape(_store, question)
    name = workflows.device(_store, question.device_id).name
    return answer, candidates, charts.front_figure(answer, candidates, name)


def headline(store: Store, answer: Recommendation, device: Device) -> None:
    """The answer in one sentence, its evidence and source, and its figures; or the nearest miss."""
    pick = answer.pick
    if pick is None:
        _miss(store, answer)
        return
    accuracy, speed = METRICS[answer.question.accuracy], METRICS[answer.axis]
    batch = f"batch {pick.batch_size}" if pick.batch_size else "batch size not stated"
    guessed = "a predicted " if pick.evidence == "predicted" else ""
    reached = f"{'in' if answer.axis == 'latency_ms' else 'at'} {guessed}{speed.show(getattr(pick, answer.axis))}"
    of = "" if pick.accuracy_of == "these weights" else f" of {pick.accuracy_of}"
    st.markdown(
        f"#### Use `{pick.weights}` at {pick.img_size} px: **{accuracy.show(pick.accuracy)}** {accuracy.label}{of} "
        f"**{reached}** on {device.name}."
    )
    st.markdown(
        f"{ui.evidence_badge(pick.evidence)} speed at {batch}: {_source(store, pick, answer.axis)} · accuracy: "
        f"{ui.source_link(store, pick.accuracy_source_id)}"
    )
    st.caption(answer.setup)
    ui_confirm.pick(store, answer, device)
    _figures(answer)


def _source(store: Store, one: Candidate, axis: Axis) -> str:
    """Markdown of where a speed is from; of one that is not published with its interval and how it is known."""
    if one.evidence == "predicted":
        return f"{one.note} ({predicted.sureness(one, axis)})"
    link = ui.source_link(store, one.source_id)
    return link if one.evidence == "published" else f"{link} ({measured.beside(one, axis)})"


def _miss(store: Store, answer: Recommendation) -> None:
    miss = answer.nearest_miss
    st.warning(miss.text if miss else "Nothing fits.", icon=":material/block:")
    if miss is None or not miss.relax:
        return
    question = answer.question
    for limit, to in miss.relax:
        question = adjusted(question, limit, to)
    st.button("Relax the limits that far", on_click=ui_budget.set_question, args=(store, question))


def _figures(answer: Recommendation) -> None:
    pick = answer.pick
    assert pick is not None
    accuracy = METRICS[answer.question.accuracy]
    error = f" ± {pick.accuracy_error:.2f}" if pick.accuracy_error is not None else ""
    latency = f"Latency (batch {pick.batch_size})" if pick.batch_size else "Latency"
    interval = f" ({measured.interval_words(pick, 'latency_ms')})" if pick.interval_of("latency_ms") is not None else ""
    figures = {
        "Family": f"{charts.family_glyph(pick.family)} {pick.family}",
        accuracy.label: f"{accuracy.show(pick.accuracy)}{error}",
        latency: METRICS["latency_ms"].show(pick.latency_ms) + interval,
        **{
            METRICS[name].label: METRICS[name].show(getattr(pick, name))
            for name in ("throughput_per_s", "params_m", "gmacs", "file_mb")
        },
        "Pretraining": pick.pretraining,
        "Licence": pick.licence or "unknown",
    }
    # one element, not nine: each costs the browser some milliseconds at every change
    cells = [f"<div><span>{html.escape(k)}</span><b>{html.escape(v)}</b></div>" for k, v in figures.items()]
    st.html(f'<div class="figures">{"".join(cells)}</div>')


def best_of_families(answer: Recommendation) -> None:
    """One row a family: its best within the limits, with the symbol it has in the chart."""
    shown = views.family_table(answer)
    shown["Family"] = [ui.family(name) for name in shown["Family"]]
    shown["Weights"] = [f"`{w}`" if "." in w else w for w in shown["Weights"]]
    st.subheader("Best of each family")
    with st.container(key="families"):
        st.markdown(views.markdown_table(shown.head(12)))
    if answer.beyond_families is not None:
        beyond = answer.beyond_families
        speed = METRICS[answer.axis]
        st.caption(
            f"Any family: {beyond.best.weights} ({beyond.best.family}) at {beyond.best.img_size} px, "
            f"{METRICS[answer.question.accuracy].show(beyond.best.accuracy)}, "
            f"{speed.show(getattr(beyond.best, answer.axis))}, {measured.known_as(beyond.best)}. {beyond.text}"
        )


def chart(figure: go.Figure, *, key: str) -> list[str]:
    """Draw a chart of candidates; the weights of the points clicked on."""
    event = st.plotly_chart(
        figure, key=key, on_select="rerun", selection_mode="points", config=ui.PLOTLY_CONFIG,
        alt="Candidates over speed and accuracy with the front, the limits and the pick; the table is below.",
    )  # fmt: skip
    points = [point for point in event["selection"]["points"] if "customdata" in point]
    return list(dict.fromkeys(str(point["customdata"][0]) for point in points))


def explanations(store: Store, answer: Recommendation, names: list[str]) -> None:
    """Why the clicked weights are, or are not, the answer."""
    for name in names[:3]:
        try:
            found = workflows.explain(store, answer.question, name)
        except AdvisorError:  # the click was on a chart of an earlier question
            continue
        for one in found:
            st.info(
                f"{one.text} {ui.evidence_badge(one.candidate.evidence)} {_source(store, one.candidate, answer.axis)}",
                icon=":material/ads_click:",
            )


def reasons(store: Store, answer: Recommendation) -> None:
    """What decided, then the claims with verdict and figures, and the rows behind them when asked for."""
    st.subheader("Why")
    ui.reasons(answer.reasons)
    spoken = {reason.rule for reason in answer.reasons}
    checked = {c.claim_id: c for c in workflows.claims_on(store, answer.question.device_id) if c.row_ids}
    shown = [claim_id for claim_id in checked if claim_id in spoken]
    if not shown:
        return
    with st.expander("The rows behind these claims", key="rec_rows_open", on_change="rerun") as opened:
        if opened.open:
            chosen = st.selectbox("Claim", shown, format_func=lambda c: checked[c].title, key="rec_rows_claim")
            ui.table(views_explore.rows_behind(store, checked[chosen].row_ids), key="rec_rows", height=280)


def what_would_change_it(store: Store, answer: Recommendation) -> None:
    """For each limit the next better answer; a click moves the limit there."""
    st.subheader("What would change it")
    if not answer.what_if:
        st.caption("Moving no single limit would gain more than the sampling error.")
    for i, change in enumerate(answer.what_if):
        moved = adjusted(answer.question, change.limit, change.to)
        st.button(
            change.text, key=f"rec_whatif_{i}", type="tertiary", icon=":material/arrow_forward:",
            on_click=ui_budget.set_question, args=(store, moved), help="Move this limit", wrap=True,
        )  # fmt: skip


def ties_and_rejections(answer: Recommendation) -> None:
    """What ties with the pick, what comes next, and how many candidates each limit rejects."""
    metric = METRICS[answer.question.accuracy]
    lines = ["**Tied with the pick**", ""] if answer.ties else []
    lines += [
        f"- `{one.weights}` {one.img_size} px · {metric.show(one.accuracy)} · {ui.family(one.family)}{_known_as(one)}"
        for one in answer.ties[:_TIES_SHOWN]
    ]
    if len(answer.ties) > _TIES_SHOWN:
        lines.append(f"- and {len(answer.ties) - _TIES_SHOWN} more")
    if answer.runner_up is not None:
        shown = metric.show(answer.runner_up.accuracy)
        lines += ["", f"**Next best architecture:** `{answer.runner_up.weights}`, {shown}{_known_as(answer.runner_up)}"]
    st.markdown("\n".join(lines))
    counts = " · ".join(f"{views.LIMIT_WORDS.get(name, name)} {n:,}" for name, n in answer.rejected.items() if n)
    st.caption(
        f"{answer.feasible:,} of {answer.considered:,} candidates are within the limits."
        + (f" Rejected by {counts}." if counts else "")
    )


def _known_as(one: Candidate) -> str:
    """What is to be known of a speed that is neither published nor measured steadily."""
    if one.evidence == "predicted":
        return f" · {ui.evidence_badge('predicted')}"
    return " · ≈ noisy" if one.verdict == "noisy" else ""


def code(text: str) -> None:
    """Code that one click selects whole; Streamlit's own block would load 1.6 MB of syntax highlighting."""
    st.html(f'<pre class="snippet">{html.escape(text)}</pre>')


def all_candidates(candidates: pd.DataFrame, device_id: str) -> None:
    """The table behind the chart, drawn when opened, and its download."""
    shown = views.download_columns(candidates)
    ui.download(shown, f"candidates-{device_id}.csv", key="rec_download")
    with st.expander("The table behind the chart", key="rec_table_open", on_change="rerun") as opened:
        if opened.open:
            ui.table(shown, key="rec_table", height=420)
