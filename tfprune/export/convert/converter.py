"""The TFLite converter, run by `child.Child`: a crash only ends the child.

A script without imports from tfprune; `graph_file.py` writes its input.
"""

import functools
import math
import pathlib

import numpy as np

GRAPH = "graph.pb"
WEIGHTS = "weights.bin"
RESULT = "model.tflite"
SPARSE = "sparse.tflite"
_SAVED = "saved_model"
_SIGNATURE = "serving_default"
# The scope of the ops of layers that stay in float.
MARK = "__float"
# The debugger's error if it has no quantized op to look at.
_NO_INTEGERS = "check if the quantized model is in debug mode"
_ONE_SCALE = "_experimental_disable_per_channel_quantization_for_dense_layers"


def prepare():
    """Imports TensorFlow."""
    import tensorflow  # noqa: F401


def handle(request):
    """Converts the model in a folder.

    Args:
        request: `dict` with `folder`, the `manifest` of `graph_file.write`,
            the fields of a `modes.Mode` as `mode`, `interface` ("int8"),
            `keep_float`, whether marked layers stay in float, `calibration`,
            the `.npy` files, one for each input, `sparse`, whether
            `sparse.tflite` shall be written as well, `dense_scales` ("tensor"
            for one scale in each dense layer), and perhaps `save`, whether to
            write a SavedModel and no more, or `ranges`, whether the file shall
            be the float one with the ranges of its tensors.

    Returns:
        The number of bytes of `model.tflite` in the folder, if it was written.
    """
    import tensorflow as tf

    folder = pathlib.Path(request["folder"])
    manifest, mode = request["manifest"], request["mode"]
    if request.get("save"):
        _save(folder, manifest)
        return None
    if manifest["saved"]:
        place = str(folder / _SAVED)
        converter = tf.lite.TFLiteConverter.from_saved_model(place)
    else:
        function, variables = load(folder, manifest)
        # With the variables as a tracked object the converter would write a
        # SavedModel itself.
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
        # The only switch for per-tensor scales; TFLite Micro's errors name it.
        setattr(converter, _ONE_SCALE, True)
    if mode["calibrated"] and mode["weight_bits"] is None:
        converter.representative_dataset = _dataset(
            request["calibration"],
            _arguments(manifest) if manifest["saved"] else None,
        )
        interface = tf.as_dtype(request["interface"])
        converter.inference_input_type = interface
        converter.inference_output_type = interface
    convert = converter.convert
    if request.get("ranges"):
        convert = functools.partial(_with_ranges, converter)
    elif request["keep_float"]:
        converter.inference_input_type = tf.float32
        converter.inference_output_type = tf.float32
        convert = functools.partial(
            _partly_quantized, converter, set(map(_key, manifest["floats"]))
        )
    data = convert()
    count = (folder / RESULT).write_bytes(data)
    if request["sparse"] and request["keep_float"]:
        (folder / SPARSE).write_bytes(_sparse(data))
    elif request["sparse"]:
        converter.optimizations = [
            *converter.optimizations,
            tf.lite.Optimize.EXPERIMENTAL_SPARSITY,
        ]
        (folder / SPARSE).write_bytes(converter.convert())
    return count


def _partly_quantized(converter, outputs):
    """Converts without quantizing the ops of marked layers.

    Outputs have names of their own, without marks. If no op is left to
    quantize, the file is the float one.
    """
    import tensorflow as tf

    optimizations, converter.optimizations = converter.optimizations, []
    operations = converter.target_spec.supported_ops
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    floats = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=floats)
    names = [
        detail["name"]
        for detail in interpreter.get_tensor_details()
        if MARK in detail["name"] or _key(detail["name"]) in outputs
    ]
    converter.optimizations = optimizations
    converter.target_spec.supported_ops = operations
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_nodes=names
    )
    try:
        quantizer = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_options=options
        )
    except ValueError as error:
        if _NO_INTEGERS not in str(error):
            raise
        return floats
    return quantizer.get_nondebug_quantized_model()


def _with_ranges(converter):
    """Converts to a float file whose tensors have ranges."""
    import tensorflow as tf

    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=converter.representative_dataset
    )
    return debugger.calibrated_model


def _sparse(data):
    """The file with weights in sparse encoding.

    The converter takes this step itself, but not after a debugger.
    """
    from tensorflow.lite.python import convert

    return convert.mlir_sparsify(data)


def _save(folder, manifest):
    """Writes a SavedModel.

    From one the converter keeps functions, which the direct way inlines, and
    it holds fewer copies of the weights. Inputs and outputs get names that sort
    in their order, as those of signatures are sorted.
    """
    import tensorflow as tf

    function, variables = load(folder, manifest)
    module = tf.Module()
    module.weights = list(variables.values())
    specs = [
        tf.TensorSpec(spec["shape"], spec["dtype"], name=name)
        for name, spec in zip(
            _arguments(manifest), manifest["inputs"], strict=True
        )
    ]

    def infer(*tensors):
        found = function(*tensors)
        return {f"out_{i:04}": tensor for i, tensor in enumerate(found)}

    signature = tf.function(infer, autograph=False).get_concrete_function(
        *specs
    )
    place = str(folder / _SAVED)
    # Gradients would hold tensors that are no variables.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, place, signature, options)


def _arguments(manifest):
    """The inputs' names in a signature, where capitals count as small."""
    return [f"in_{i:04}" for i in range(len(manifest["inputs"]))]


def _key(name):
    return name.partition(":")[0]


def load(folder, manifest):
    """`(concrete function, variables)` of the graph on disk."""
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


class _Anew(str):
    """The name of a signature that the calibrator takes for a new one.

    It resets the states of LSTM ops only when it meets a signature, and would
    begin each sample with the states that the one before left.
    """

    __hash__ = str.__hash__

    def __eq__(self, other):
        return self is other or (
            not isinstance(other, _Anew) and str.__eq__(self, other)
        )


def _dataset(paths, names=None):
    """What yields samples, by name where inputs stand in another order."""
    columns = [np.load(path, mmap_mode="r") for path in paths]

    def samples():
        for i in range(len(columns[0])):
            row = [np.array(column[i : i + 1]) for column in columns]
            if names is None:
                yield row
            else:
                yield _Anew(_SIGNATURE), dict(zip(names, row, strict=True))

    return samples
