"""Evidence: where every figure is from, how the claims hold by device, and results going in and out."""

from __future__ import annotations

from advisor import ui, ui_evidence

VIEWS = {
    "claims": ("Claims", ui_evidence.claims),
    "sources": ("Sources", ui_evidence.sources),
    "exchange": ("Import, export, refresh", ui_evidence.exchange),
}

with ui.page("Evidence") as store:
    view = ui.pick_part("What to show", {name: title for name, (title, _) in VIEWS.items()}, key="show")
    ui.remember(show="claims")
    VIEWS[view][1](store)
