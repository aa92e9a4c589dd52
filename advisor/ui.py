"""Shared pieces of the pages: the store, errors as one sentence, badges, sources, answers, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor import charts, workflows
from advisor.errors import AdvisorError, DataError
from advisor.evidence.exchange import as_csv
from advisor.evidence.store import Store
from advisor.metrics import METRICS
from advisor.records import Device, Reason

_STYLE = Path(__file__).parent.parent / ".streamlit" / "style.css"
# kind of evidence -> icon and colour of its badge; the word is always there too
_EVIDENCE = {
    "published": (":material/menu_book:", "blue"),
    "measured": (":material/timer:", "green"),
    "predicted": (":material/function:", "orange"),
}
# Runs of a page after the one in which a widget was given its value: a browser that draws slowly, and a user who clicks
# soon, make that many at most.
_AGAIN = 4
VERDICT_SIGNS = {"holds": "✓ holds", "fails": "✗ fails", "not enough evidence": "? not enough evidence"}
_VERDICT_COLOURS = {"holds": "green", "fails": "red", "not enough evidence": "gray"}
_KIND_LABELS = {"edge_gpu": "edge GPU", "gpu": "GPU", "cpu": "CPU", "npu": "NPU", "iot": "IoT board", "soc": "SoC"}
# chart of a page: pan by dragging, zoom by the wheel only on demand, no logo
PLOTLY_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


@contextmanager
def page(title: str) -> Iterator[Store]:
    """A page: its title, the store behind it, and each of our own errors as its one sentence.

    A bug keeps its traceback in the server's log only. The guard stands here and not in app.py, because
    Streamlit may run a page's file without it (see `_come_through_the_app`).
    """
    _come_through_the_app(title)
    _give_again(title)
    st.html(_STYLE)
    st.title(title)
    try:
        yield _open_store()
    except AdvisorError as exc:
        st.error(str(exc), icon=":material/error:")
        st.stop()


def routes() -> dict[str, st.Page]:
    """The pages of the app by title, the first one at the root."""
    titles = ("Recommend", "This machine", "Measure", "Explore", "Compare", "Evidence")
    # no page icons: Streamlit would fetch the tab's icon from the network for them
    files = {t: f"pages/{t.lower().replace(' ', '_')}.py" for t in titles}
    return {t: st.Page(file, title=t, default=t == titles[0]) for t, file in files.items()}


def mark_routed() -> None:
    """Note that this session came through app.py, with its config, navigation and guard."""
    st.session_state["app_routed"] = True


def _come_through_the_app(title: str) -> None:
    """Until some session has called st.navigation, a fresh server runs a page that is opened by its own address
    without app.py; calling it here and switching brings the session, with its link, onto the proper way."""
    if "app_routed" in st.session_state:
        return
    known = routes()
    st.navigation(list(known.values()), position="hidden")
    st.switch_page(known[title], query_params=st.query_params.to_dict())


def _open_store() -> Store:
    """The store, built first (with a progress bar) if data/ changed.

    Raises:
        AdvisorError: The store cannot be used, or knows no device that advice can be given for.
    """
    store = _store(workflows.home(), workflows.DATA)
    bar = st.empty()
    store.ensure(lambda share, what: _advance(bar, share, what))
    bar.empty()
    if not devices(store):
        raise DataError(
            "The store has no results on any device: restore data/published, or import a results file with "
            "'python -m advisor import FILE'."
        )
    return store


@st.cache_resource(show_spinner=False)
def _store(home: Path, data: Path) -> Store:
    """One Store a folder for all sessions: it keeps frames in memory and holds no connection."""
    return Store(home, data)


def _advance(place: DeltaGenerator, share: float, what: str) -> None:
    place.progress(min(max(share, 0.0), 1.0), text=f"First start: {what}")


def kind_label(kind: str) -> str:
    """A kind of device in words."""
    return _KIND_LABELS.get(kind, kind)


def device_label(known: Device) -> str:
    """A device as pickers show it: kind first, so that the sorted list is grouped by it."""
    return f"{kind_label(known.kind)} · {known.name} ({known.device_id})"


def give(key: str, value: Any) -> None:
    """Before a widget: its value, which need not be its default.

    It is given again in the next runs of the page. Streamlit tells a browser of it once, and a browser that has not yet
    drawn the widget when the page runs again, because something else was clicked, takes the widget's default instead
    and sends that back as if the user had chosen it: the families of a link were gone, and no search could begin.
    """
    st.session_state[key] = value
    st.session_state.setdefault("app_given", {})[key] = _AGAIN


def give_first(values: Mapping[str, Any]) -> None:
    """Before widgets: their values by key, where they have none yet."""
    for key, value in values.items():
        if key not in st.session_state:
            give(key, value)


def _give_again(title: str) -> None:
    """What widgets of this page were given in the last few runs; those of another page have been forgotten."""
    state = st.session_state
    same = state.get("app_title") == title
    state["app_title"] = title
    given = state.get("app_given", {})
    state["app_given"] = {key: left - 1 for key, left in given.items() if same and left and key in state}
    for key in state["app_given"]:
        state[key] = state[key]


def seed(key: str, options: Sequence[Any], default: Any) -> None:
    """Before a widget: its value from the link if it stands there, else the default; strange values are named.

    Args:
        default: One option, or a list of them for a widget with several.
    """
    if key in st.session_state:
        if not isinstance(default, list) and st.session_state[key] not in options:
            give(key, default)
        return
    text = st.query_params.get(key)
    known = {str(option): option for option in options}
    wanted = [] if text is None else (text.split(",") if isinstance(default, list) else [text])
    for name in (name for name in wanted if name not in known):
        st.warning(f"The link's {key} '{name[:40]}' is not known; it is left out.", icon=":material/link_off:")
    found = [known[name] for name in wanted if name in known] or default
    give(key, found[0] if isinstance(found, list) and not isinstance(default, list) else found)


def remember(**defaults: Any) -> None:
    """After the widgets: keep those that are not at their default in the link."""
    link = {}
    for key, default in defaults.items():
        value = st.session_state[key]
        if value != default:
            link[key] = ",".join(value) if isinstance(value, list) else str(value)
    if st.query_params.to_dict() != link:
        st.query_params.from_dict(link)


def pick_part(label: str, titles: Mapping[str, str], *, key: str) -> str:
    """Which part of a page is on show: the link's, else the first one; the caller puts it into the link.

    Args:
        titles: Name in the link -> title.
    """
    first = next(iter(titles))
    seed(key, list(titles), first)
    chosen = st.segmented_control(
        label, list(titles), required=True, format_func=titles.__getitem__, key=key, persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    return chosen or first


def device_names(store: Store) -> dict[str, str]:
    """Id -> name of the devices that advice can be given for, grouped by kind."""
    return {d.device_id: d.name for d in devices(store).values()}


def device_option(store: Store, device_id: str) -> str:
    """A device of that id as pickers show it."""
    return _labels(store, store.version())[device_id]


@st.cache_resource(show_spinner=False, max_entries=2)
def _labels(_store: Store, version: str) -> dict[str, str]:
    """Id -> label, kept until any result changes; `version` is the key."""
    return {d.device_id: device_label(d) for d in workflows.devices(_store)}


def devices(store: Store) -> dict[str, Device]:
    """Id -> device of those that advice can be given for, grouped by kind."""
    return _devices(store, store.version())


@st.cache_resource(show_spinner=False, max_entries=2)
def _devices(_store: Store, version: str) -> dict[str, Device]:
    return {d.device_id: d for d in grouped_by_kind(workflows.advisable(_store))}


def grouped_by_kind(known: Sequence[Device]) -> list[Device]:
    """Devices by kind, the kind with the most models first, and within it by models."""
    most: dict[str, int] = {}
    for one in known:
        most[one.kind] = max(most.get(one.kind, 0), one.n_models)
    return sorted(known, key=lambda d: (-most[d.kind], d.kind, -d.n_models, d.device_id))


# family -> colour of Streamlit's palette that is nearest to the one it has in the charts
_FAMILY_COLOURS = {"ResNeSt": "violet", "EfficientNet": "blue", "MobileNet": "orange", "RegNet": "green"}


def family(name: str) -> str:
    """Markdown of a family with the colour and symbol that it has in the charts."""
    return f":{_FAMILY_COLOURS.get(name, 'gray')}[{charts.family_glyph(name)}] {name}"


def evidence_badge(kind: str) -> str:
    """Markdown of the badge that says which kind of evidence a figure is."""
    icon, colour = _EVIDENCE[kind]
    return f":{colour}-badge[{icon} {kind}]"


def predictions_elsewhere(shown: Iterable[str], known: Mapping[str, Device]) -> None:
    """Where this machine is on show, which page predicts what was not measured on it; here stands what is known.

    Args:
        shown: Ids of devices.
        known: Id -> device.
    """
    if any(one in known and known[one].measured_here for one in shown):
        st.caption("What networks that were not measured would take on this machine stands on the page *This machine*.")


def source_link(store: Store, source_id: str) -> str:
    """Markdown link to a source, by its title."""
    sources = store.frame("sources").set_index("source_id")
    if source_id not in sources.index:
        return f"`{source_id}`"
    row = sources.loc[source_id]
    title = str(row["title"]).replace("[", "(").replace("]", ")")
    return f"[{title}]({row['url']})" if str(row["url"]).startswith("http") else title


def verdict_badge(verdict: str) -> str:
    """Markdown of the badge that says how a claim holds."""
    return f":{_VERDICT_COLOURS[verdict]}-badge[{VERDICT_SIGNS[verdict]}]"


def reasons(found: Sequence[Reason]) -> None:
    """Why this answer: what decided first, then the claims with verdict and figures."""
    lines = []
    for reason in found:
        verdict = verdict_badge(reason.verdict) + " " if reason.verdict else ""
        lines.append(f"- {verdict}{reason.text} :gray[:small[{reason.source}]]")
    st.markdown("\n".join(lines))


def metric_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Column heads and formats of a table, from the registry of metrics."""
    heads: dict[str, Any] = {}
    for name in frame.columns:
        if name in METRICS:
            known = METRICS[name]
            whole = name in ("img_size", "batch_size")
            pattern = "%d" if whole else "%.2f" if known.unit == "%" else "localized"
            heads[name] = st.column_config.NumberColumn(known.title, format=pattern)
        else:
            heads[name] = st.column_config.Column(name.replace("_", " "))
    return heads


def table(frame: pd.DataFrame, *, key: str, height: int | Literal["auto"] = "auto") -> None:
    """A table with the registry's heads and formats."""
    st.dataframe(frame, key=key, hide_index=True, column_config=metric_columns(frame), height=height)


def download(frame: pd.DataFrame, name: str, *, key: str) -> None:
    """A button that saves a table as CSV; the file is made only when asked for."""
    st.download_button(
        f"Download {len(frame):,} rows (CSV)", data=lambda: as_csv(frame), file_name=name, mime="text/csv",
        key=key, icon=":material/download:", on_click="ignore", disabled=frame.empty,
    )  # fmt: skip
