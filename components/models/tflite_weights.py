"""Reading the weights and labels out of a TensorFlow Lite file, without TensorFlow.

The file is a flatbuffer: a table of operators, each with the indices of its tensors. Quantised weights become
float32: w = scale * (q - zero_point). A zip archive with the class names may be appended to it.

Source: the schema of TensorFlow Lite (version 3), as the package `tflite` has it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tflite

from components.types import FloatArray

Kind = Literal["conv", "depthwise", "dense"]

KINDS: dict[int, tuple[Kind, Any]] = {
    tflite.BuiltinOperator.CONV_2D: ("conv", tflite.Conv2DOptions),
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: ("depthwise", tflite.DepthwiseConv2DOptions),
    tflite.BuiltinOperator.FULLY_CONNECTED: ("dense", tflite.FullyConnectedOptions),
}
CEILINGS = {
    tflite.ActivationFunctionType.NONE: None,
    tflite.ActivationFunctionType.RELU: float("inf"),
    tflite.ActivationFunctionType.RELU6: 6.0,
}
NUMBERS = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.UINT8: np.uint8,
    tflite.TensorType.INT8: np.int8,
}
MAX_LABEL_BYTES = 1_000_000
"""A list of class names is a few kB; what claims to be larger is not unpacked."""


@dataclass(frozen=True)
class Layer:
    """One operator with weights.

    Attributes
    ----------
    kind : "conv", "depthwise" or "dense"
    weight : (out, height, width, in) of a conv, (1, height, width, channels) of a depthwise, (out, in) of a dense one
    bias : (out,)
    ceiling : of the ReLU that follows (6 for ReLU6, infinity for ReLU); None where none follows
    """

    kind: Kind
    weight: FloatArray
    bias: FloatArray
    ceiling: float | None


def is_tflite(path: Path) -> bool:
    """Whether a file says of itself that it is TensorFlow Lite."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"TFL3"


def read_layers(path: Path) -> list[Layer]:
    """The layers with weights, in the order in which the network runs.

    Raises
    ------
    Exception : of many kinds, where the file is damaged
    """
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    return list(_layers(model, model.Subgraphs(0)))


def read_labels(path: Path) -> tuple[str, ...]:
    """The class names packed into the file, one a line; () where there are none."""
    if not zipfile.is_zipfile(path):
        return ()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".txt") and "label" in member.filename and member.file_size < MAX_LABEL_BYTES:
                return tuple(archive.read(member).decode("utf-8").splitlines())
    return ()


def _layers(model: Any, graph: Any) -> Iterator[Layer]:
    operators = [graph.Operators(k) for k in range(graph.OperatorsLength())]
    maker = {int(tensor): op for op in operators for tensor in op.OutputsAsNumpy()}
    for op in operators:
        code = _code(model, op)
        if code not in KINDS:
            continue
        kind, options_type = KINDS[code]
        table, options = op.BuiltinOptions(), options_type()
        options.Init(table.Bytes, table.Pos)
        weight, *bias = (int(tensor) for tensor in op.InputsAsNumpy()[1:])
        if weight in maker:  # float16 weights pass an operator that makes them float32
            weight = int(maker[weight].InputsAsNumpy()[0])
        W = _values(model, graph.Tensors(weight))
        n_out = W.shape[-1] if kind == "depthwise" else W.shape[0]
        b = _values(model, graph.Tensors(bias[0])) if bias and bias[0] >= 0 else np.zeros(n_out, np.float32)
        yield Layer(kind, W, b, CEILINGS[options.FusedActivationFunction()])


def _code(model: Any, op: Any) -> int:
    """Old files have the operator's code in another field than new ones; the other field is then smaller."""
    known = model.OperatorCodes(op.OpcodeIndex())
    return max(int(known.BuiltinCode()), int(known.DeprecatedBuiltinCode()))


def _values(model: Any, tensor: Any) -> FloatArray:
    """A constant tensor as float32."""
    stored = model.Buffers(tensor.Buffer()).DataAsNumpy().view(NUMBERS[tensor.Type()])
    stored = stored.reshape(tensor.ShapeAsNumpy())
    quantisation = tensor.Quantization()
    if quantisation is None or not quantisation.ScaleLength():
        return np.asarray(stored, np.float32)
    along = [1] * stored.ndim
    if quantisation.ScaleLength() > 1:
        along[quantisation.QuantizedDimension()] = -1
    scale = quantisation.ScaleAsNumpy().astype(np.float64).reshape(along)
    zero_point = quantisation.ZeroPointAsNumpy().reshape(along)
    values: FloatArray = (scale * (stored.astype(np.float64) - zero_point)).astype(np.float32)
    return values
