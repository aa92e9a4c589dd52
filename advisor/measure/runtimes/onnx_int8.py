"""Static int8 quantisation of an ONNX model, on noise: for its speed, not for its accuracy."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from advisor.measure.runtimes.onnx_export import INPUT

NOTES = (
    "int8 was calibrated on noise: the time is that of a quantised network, the accuracy is not, and it is not "
    "that of the float network either.",
)


class _OneBatch(CalibrationDataReader):  # type: ignore[misc]
    """The example, once: ranges that follow from noise do not get better with more of it."""

    def __init__(self, image: np.ndarray) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = iter([{INPUT: image}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch by input name, None at the end."""
        return next(self._batches, None)


def quantise(source: bytes | str, image: np.ndarray, folder: Path) -> str:
    """Quantise weights by channel and activations by tensor, with pairs of (de)quantisation around operators.

    Signed weights with unsigned activations on x86 and signed ones on ARM are what ONNX Runtime advises for the
    kernels of each. Weights of all 8 bits may saturate on x86 without VNNI; that changes accuracy, not time.

    Args:
        source: The float model, serialised or a path.
        image: Shape (batch, channels, height, width), fp32; calibrates the activations.
        folder: Takes the files.

    Returns:
        Path of the quantised model.
    """
    model: Any = onnx.load_from_string(source) if isinstance(source, bytes) else source
    # Exporting lets equal weights share one tensor through Identity nodes, behind which the quantiser does not see
    # them: without this step most convolutions stay in float.
    prepared, quantised = folder / "prepared.onnx", folder / "int8.onnx"
    large = not isinstance(source, bytes)
    quant_pre_process(model, prepared, skip_symbolic_shape=True, save_as_external_data=large)
    activation = QuantType.QInt8 if platform.machine().lower() in ("arm64", "aarch64") else QuantType.QUInt8
    quantize_static(
        prepared,
        quantised,
        _OneBatch(image),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=activation,
        weight_type=QuantType.QInt8,
        use_external_data_format=large,
    )
    return str(quantised)
