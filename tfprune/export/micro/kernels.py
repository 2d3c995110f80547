"""The kernels of TFLite Micro, by the methods of its op resolver."""

from tfprune.export.micro.arena import flat_ops

# `MicroMutableOpResolver` has a method Add<Name>() for each. The names differ
# from the schema's only in case and underscores (Conv2D, CONV_2D).
_BUILTIN = """
    Abs Add AddN ArgMax ArgMin AssignVariable AveragePool2D BatchMatMul
    BatchToSpaceNd BroadcastArgs BroadcastTo CallOnce Cast Ceil Concatenation
    Conv2D Cos CumSum DepthToSpace DepthwiseConv2D Dequantize Div
    DynamicUpdateSlice Elu EmbeddingLookup Equal Exp ExpandDims Fill Floor
    FloorDiv FloorMod FullyConnected Gather GatherNd Greater GreaterEqual
    HardSwish If L2Normalization L2Pool2D LeakyRelu Less LessEqual Log
    LogSoftmax LogicalAnd LogicalNot LogicalOr Logistic MaxPool2D Maximum Mean
    Minimum MirrorPad Mul Neg NotEqual Pack Pad PadV2 Prelu Quantize
    ReadVariable ReduceAll ReduceMax ReduceMin Relu Relu6 Reshape
    ResizeBilinear ResizeNearestNeighbor ReverseV2 Round Rsqrt SelectV2 Shape
    Sin Slice Softmax SpaceToBatchNd SpaceToDepth Split SplitV Sqrt Square
    SquaredDifference Squeeze StridedSlice Sub Sum Svdf Tanh Transpose
    TransposeConv UnidirectionalSequenceLSTM Unpack VarHandle While ZerosLike
""".split()
_METHODS = {name.upper(): f"Add{name}" for name in _BUILTIN}
_CUSTOM = {
    "CIRCULAR_BUFFER": "AddCircularBuffer",
    "TFLM_DECODE": "AddDecode",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "ethos-u": "AddEthosU",
}


def portable_methods():
    """The methods of all kernels that need no other library or sources.

    Returns:
        Sorted list of method names.
    """
    own = {_CUSTOM["CIRCULAR_BUFFER"], _CUSTOM["TFLM_DECODE"]}
    return sorted({*_METHODS.values(), *own})


def resolver_methods(ops):
    """The methods that register the kernels of some ops.

    Args:
        ops: iterable of `str`, named as in `model_file.ModelFile.ops`.

    Returns:
        Sorted list of distinct method names ("AddConv2D").

    Raises:
        ValueError: If TFLite Micro has no kernel for an op; the message names
            all such ops.
    """
    methods = {op: _method(op) for op in ops}
    missing = sorted(op for op, method in methods.items() if method is None)
    if missing:
        raise ValueError(
            "Every op must have a kernel in TFLite Micro. Received: a model "
            f"with {', '.join(missing)}. Replace the layers that use them."
        )
    return sorted(set(methods.values()))


def methods_of(data):
    """The methods that register the kernels of a file.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        Sorted list of distinct method names ("AddConv2D").

    Raises:
        ValueError: If TFLite Micro has no kernel for an op; the message names
            all such ops and their outputs.
    """
    ops = [op for graph in flat_ops.read(data) for op in graph.ops]
    missing = [
        f"{op.kind}, which computes {_layer(op)!r}"
        for op in ops
        if _method(op.kind) is None
    ]
    if missing:
        raise ValueError(
            "Every op must have a kernel in TFLite Micro. Received: a model "
            f"with {'; '.join(missing)}. Replace these layers."
        )
    return resolver_methods({op.kind for op in ops})


def _layer(op):
    """The name of an op's output, which begins with that of its layer."""
    return next((t.name for t in op.outputs if t is not None), "")


def _method(op):
    if op in _CUSTOM:
        return _CUSTOM[op]
    return _METHODS.get(op.replace("_", ""))
