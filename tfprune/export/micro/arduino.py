"""What Arduino's library of TFLite Micro, of 2023, can run."""

from tfprune.export.file import weight_ops

# Its op resolver has no method for these.
_LACKING = (
    "AddBatchMatMul",
    "AddDecode",
    "AddDynamicUpdateSlice",
    "AddEmbeddingLookup",
    "AddReduceAll",
    "AddReduceMin",
    "AddReverseV2",
)


def refusal(data, methods):
    """Why its kernels do not compute a file rightly.

    Its dense layers take the scale of their first channel for all of them.

    Args:
        data: `bytes` of a .tflite file.
        methods: the op resolver's methods ("AddConv2D").

    Returns:
        A `str`, empty where they do.
    """
    lacking = [method for method in methods if method in _LACKING]
    if lacking:
        ops = ", ".join(method.removeprefix("Add") for method in lacking)
        advice = (
            "Export without compression."
            if lacking == ["AddDecode"]
            else "Replace the layers that use them."
        )
        return (
            "Arduino's library must have a kernel for every op. Received: a "
            f"file with {ops}, which its version of 2023 lacks. {advice}"
        )
    dense = weight_ops.channelwise_dense(data)
    if dense:
        return (
            "Arduino's library of 2023 reads one scale for each dense layer. "
            f"Received: a file with one for each channel in {', '.join(dense)}"
            ', whose outputs would be wrong. Export with dense_scales="tensor".'
        )
    return ""
