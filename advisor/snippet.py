"""The code that loads a candidate with the preprocessing it was evaluated with."""

from __future__ import annotations

from advisor.metrics import METRICS
from advisor.records import Candidate


def timm_snippet(one: Candidate, *, crop_pct: float | None, interpolation: str | None) -> str:
    """Python that loads the weights in timm and builds the transform of their published accuracy.

    Args:
        crop_pct: Share of the shorter side that the evaluation kept; None leaves timm's own.
        interpolation: As the evaluation resized; None leaves timm's own.
    """
    changes = [f'"input_size": (3, {one.img_size}, {one.img_size})']
    if crop_pct is not None:
        changes.append(f'"crop_pct": {crop_pct:g}')
    if interpolation:
        changes.append(f'"interpolation": "{interpolation}"')
    accuracy = METRICS[one.accuracy_name]
    lines = [
        "import timm",
        "from timm.data import create_transform, resolve_model_data_config",
        "",
        f'model = timm.create_model("{one.weights}", pretrained=True).eval()',
        "config = resolve_model_data_config(model)  # mean and std of these weights",
        f"config |= {{{', '.join(changes)}}}  # as evaluated: {accuracy.label} {accuracy.show(one.accuracy)}",
        "transform = create_transform(**config, is_training=False)",
    ]
    if "re-parameterised" in one.note:
        lines += [
            "",
            "# the published speed is of the network after merging its branches",
            "model = timm.utils.reparameterize_model(model)",
        ]
    return "\n".join(lines)
