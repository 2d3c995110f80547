"""The TFLite interpreter, run by `child.Child`, so that only the child crashes.

A script without imports from tfprune.
"""

import numpy as np


def prepare():
    """Imports LiteRT before the first request."""
    from ai_edge_litert import interpreter  # noqa: F401


def handle(request):
    """Runs a file, sample by sample.

    Args:
        request: `dict` with `path`, `inputs`, the `.npy` files `(N, ...)` in
            the dtypes of the file, and `outputs`, the files to write.
    """
    from ai_edge_litert import interpreter as litert

    kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(
        request["path"], experimental_op_resolver_type=kernels
    )
    interpreter.allocate_tensors()
    inputs = [d["index"] for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]
    rows = []
    for values in zip(*map(np.load, request["inputs"]), strict=True):
        interpreter.reset_all_variables()
        for index, value in zip(inputs, values, strict=True):
            interpreter.set_tensor(index, value[None])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(index) for index in outputs])
    columns = zip(*rows, strict=True)
    for path, column in zip(request["outputs"], columns, strict=True):
        np.save(path, joined(column))


def joined(values):
    """One array `(N, ...)` of the outputs of N samples.

    An output may have no batch axis, if the model has reduced it. Those whose
    size depends on the sample follow each other.
    """
    if len({value.shape for value in values}) > 1:
        return np.concatenate(values)
    stacked = np.stack(values)
    return stacked[:, 0] if stacked.shape[1:2] == (1,) else stacked
