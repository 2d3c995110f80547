"""The TFLite converter, run by `child.Child`: a crash only ends the child.

A script without imports from tfprune; `graph_file.py` writes its input.
"""

import math
import pathlib

import numpy as np

GRAPH = "graph.pb"
WEIGHTS = "weights.bin"
RESULT = "model.tflite"
SPARSE = "sparse.tflite"
_ONE_SCALE = "_experimental_disable_per_channel_quantization_for_dense_layers"


def prepare():
    """Imports TensorFlow."""
    import tensorflow  # noqa: F401


def handle(request):
    """Converts the model in a folder.

    Args:
        request: `dict` with `folder`, the `manifest` of `graph_file.write`,
            the fields of a `modes.Mode` as `mode`, `interface` ("int8"),
            `calibration`, the `.npy` files, one for each input, `sparse`,
            whether `sparse.tflite` shall be written as well, and
            `dense_scales` ("tensor" for one scale in each dense layer).

    Returns:
        The number of bytes of `model.tflite` in the folder.
    """
    import tensorflow as tf

    folder = pathlib.Path(request["folder"])
    manifest, mode = request["manifest"], request["mode"]
    function, variables = _load(folder, manifest)
    # With the variables as a tracked object the converter would write a
    # SavedModel itself: slower, and inputs and outputs lose their order.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [
        getattr(tf.lite.OpsSet, name) for name in mode["ops"]
    ]
    converter.target_spec.supported_types = [
        tf.as_dtype(name) for name in mode["types"]
    ]
    if mode["optimize"]:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if request["dense_scales"] == "tensor":
        # Its only switch for this; TFLite Micro's own errors name it.
        setattr(converter, _ONE_SCALE, True)
    if mode["calibrated"] and mode["weight_bits"] is None:
        converter.representative_dataset = _dataset(request["calibration"])
        interface = tf.as_dtype(request["interface"])
        converter.inference_input_type = interface
        converter.inference_output_type = interface
    count = (folder / RESULT).write_bytes(converter.convert())
    if request["sparse"]:
        converter.optimizations = [
            *converter.optimizations,
            tf.lite.Optimize.EXPERIMENTAL_SPARSITY,
        ]
        (folder / SPARSE).write_bytes(converter.convert())
    # Keep a reference: the function only holds weak ones to its variables.
    del variables
    return count


def _load(folder, manifest):
    """The concrete function of the graph on disk, and its variables."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString((folder / GRAPH).read_bytes())
    weights = _weights(folder, manifest["weights"])
    variables = {
        name: tf.Variable(array)
        for name, (array, is_variable) in weights.items()
        if is_variable
    }

    def build():
        scope = tf.compat.v1.get_default_graph()
        fed = {}
        for name, (array, _) in weights.items():
            if name in variables:
                scope.watch_variable(variables[name])
                fed[name] = scope.capture(variables[name].handle)
            else:
                fed[name] = tf.constant(array)
        tf.graph_util.import_graph_def(graph, input_map=fed, name="")

    wrapped = tf.compat.v1.wrap_function(build, [])
    inputs = [spec["name"] for spec in manifest["inputs"]]
    return wrapped.prune(inputs, manifest["outputs"]), variables


def _weights(folder, entries):
    import tensorflow as tf

    arrays = {}
    with open(folder / WEIGHTS, "rb") as file:
        for entry in entries:
            dtype = np.dtype(tf.as_dtype(entry["dtype"]).as_numpy_dtype)
            count = math.prod(entry["shape"])
            data = np.frombuffer(file.read(count * dtype.itemsize), dtype)
            array = data.reshape(entry["shape"])
            arrays[entry["placeholder"]] = array, entry["variable"]
    return arrays


def _dataset(paths):
    columns = [np.load(path, mmap_mode="r") for path in paths]

    def samples():
        for i in range(len(columns[0])):
            yield [np.array(column[i : i + 1]) for column in columns]

    return samples
