"""Compare: models side by side, one model across devices, recipes of one architecture, two devices."""

from __future__ import annotations

from advisor import ui, ui_compare

VIEWS = {
    "models": ("Models side by side", ui_compare.models),
    "devices": ("One model across devices", ui_compare.across_devices),
    "recipes": ("Recipes of one architecture", ui_compare.recipes),
    "two-devices": ("Device against device", ui_compare.two_devices),
}

with ui.page("Compare") as store:
    view = ui.pick_part("What to compare", {name: title for name, (title, _) in VIEWS.items()}, key="view")
    VIEWS[view][1](store)
