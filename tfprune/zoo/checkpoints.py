"""Loads published weights, given as arrays, into networks of the zoo.

Every array must be used exactly once and every variable set; otherwise nothing
is changed and the error names the mismatches.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable

import keras
import numpy as np

from tfprune import zoo
from tfprune.core import registry
from tfprune.datasets import batches

checkpoints = registry.Registry("checkpoint")

# Patterns of PyTorch module names and the zoo's layer names.
_BLOCK = r"layer(\d+)\.(\d+)\."
RESNET_NAMES = (
    (r"conv1|embed\.0", r"stem_conv"),
    (r"bn1|embed\.1", r"stem_bn"),
    (_BLOCK + r"(conv\d|bn\d)", r"stage\1_block\2_\3"),
    (_BLOCK + r"(?:downsample|shortcut)\.0", r"stage\1_block\2_shortcut_conv"),
    (_BLOCK + r"(?:downsample|shortcut)\.1", r"stage\1_block\2_shortcut_bn"),
    (r"linear|fc", r"logits"),
)

# Layer class -> PyTorch's name -> variable, and the axes to transpose by.
_PYTORCH = {
    keras.layers.Conv2D: {
        "weight": ("kernel", (2, 3, 1, 0)),  # OIHW to HWIO
        "bias": ("bias", (0,)),
    },
    keras.layers.DepthwiseConv2D: {
        "weight": ("kernel", (2, 3, 0, 1)),  # (C, 1, H, W) to (H, W, C, 1)
        "bias": ("bias", (0,)),
    },
    keras.layers.Dense: {
        "weight": ("kernel", (1, 0)),
        "bias": ("bias", (0,)),
    },
    keras.layers.BatchNormalization: {
        "weight": ("gamma", (0,)),
        "bias": ("beta", (0,)),
        "running_mean": ("moving_mean", (0,)),
        "running_var": ("moving_variance", (0,)),
    },
}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """How to build and load a published network.

    Attributes:
        network: Name of the network in the zoo.
        options: Arguments of its builder.
        preprocessing: `batches.Preprocessing` of the raw images.
        loader: `(model, arrays) -> None`, sets the variables.
    """

    network: str
    options: dict
    preprocessing: batches.Preprocessing
    loader: Callable


def names():
    """Returns the names that `get` and `restore` accept, sorted."""
    return checkpoints.names()


def get(name):
    """The `Checkpoint` record of published weights."""
    return checkpoints.get(name)


def restore(name, arrays):
    """Builds the network of published weights and loads them.

    Args:
        name: One of `names()`.
        arrays: `dict` from the names in the published file to arrays.

    Returns:
        A functional `keras.Model`; `get(name).preprocessing` makes its
        inputs.

    Raises:
        ValueError: If the arrays do not fit the network one to one.

    Example:

    >>> model = restore("resnet20_akamaster_cifar10", dict(np.load(path)))
    """
    checkpoint = get(name)
    model = zoo.build(checkpoint.network, **checkpoint.options)
    checkpoint.loader(model, arrays)
    return model


def load_pytorch(model, arrays, names=RESNET_NAMES):
    """Sets the variables of a model from a PyTorch state dict.

    Kernels are transposed to Keras' order of axes; the prefix "module." of
    data-parallel training and "num_batches_tracked", which holds no weight,
    are left out.

    Args:
        model: A built `keras.Model` without nested models.
        arrays: `dict` from names like `layer1.0.conv1.weight` to arrays.
        names: Pairs of a regular expression for a whole module name and
            the layer name that replaces it.

    Raises:
        ValueError: If an array or a variable is left over, shapes differ, or
            a kernel reads a flattened map, whose channel order differs.
    """
    values = {}
    for key, array in arrays.items():
        module, _, leaf = key.removeprefix("module.").rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        layer = _find_layer(model, _renamed(module, names))
        target, axes = _PYTORCH.get(type(layer), {}).get(leaf, (leaf, None))
        if axes is not None and np.ndim(array) == len(axes):
            array = np.transpose(array, axes)
        name = layer.name if layer else module
        values.setdefault(f"{name}/{target}", []).append((key, array))
    _check_flatten(model)
    _assign(model, values)


def load_keras(model, arrays, by_order=False):
    """Sets the variables of a model from arrays with Keras' names.

    Args:
        model: A built `keras.Model` without nested models.
        arrays: `dict` from names like `conv2d_1/kernel` to arrays.
        by_order: Whether the arrays call the layers `layer0`, `layer1`, ...,
            in the order of the model's layers with weights.

    Raises:
        ValueError: If an array or a variable is left over or their shapes
            differ.
    """
    weighted = [layer.name for layer in model.layers if layer.weights]
    order = {f"layer{i}": name for i, name in enumerate(weighted)}
    values = {}
    for key, array in arrays.items():
        name, _, leaf = key.rpartition("/")
        name = order.get(name, name) if by_order else name
        # Keras 2's name for the kernel of a depthwise convolution.
        leaf = "kernel" if leaf == "depthwise_kernel" else leaf
        values.setdefault(f"{name}/{leaf}", []).append((key, array))
    _assign(model, values)


def _renamed(module, names):
    for pattern, name in names:
        match = re.fullmatch(pattern, module)
        if match:
            return match.expand(name)
    return None


def _find_layer(model, name):
    found = [layer for layer in model.layers if layer.name == name]
    return found[0] if found else None


def _check_flatten(model):
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Flatten):
            continue
        pixels = math.prod(layer.input.shape[1:-1])
        if pixels > 1:
            raise ValueError(
                "A dense layer after Flatten orders its inputs differently in "
                f"PyTorch. Received: layer {layer.name!r} on input of shape "
                f"{layer.input.shape}. Reorder the kernel and use "
                "`load_keras`."
            )


def _assign(model, values):
    """Sets every variable by `<layer>/<variable>: [(key, array)]`."""
    variables = {
        f"{layer.name}/{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights
    }
    problems = [f"no array for {name}" for name in variables.keys() - values]
    for name, arrays in values.items():
        keys = ", ".join(key for key, _ in arrays)
        shape = np.shape(arrays[0][1])
        if name not in variables:
            problems.append(f"no variable for {keys}")
        elif len(arrays) > 1:
            problems.append(f"one variable, {name}, for {keys}")
        elif shape != tuple(variables[name].shape):
            problems.append(
                f"{keys} is {shape}, {name} is {tuple(variables[name].shape)}"
            )
    if problems:
        raise ValueError(
            "Arrays and variables must match one to one. Received: "
            f"{len(values)} arrays for {len(variables)} variables of "
            f"{model.name!r}: {'; '.join(sorted(problems))}."
        )
    for name, variable in variables.items():
        variable.assign(values[name][0][1])


_IMAGENET_PIXELS = batches.Preprocessing(
    1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
)
_DS_CNN_SCALE = 0.58470291
for _depth in (20, 32, 44, 56):
    checkpoints.register(f"resnet{_depth}_akamaster_cifar10")(
        Checkpoint(f"resnet{_depth}", {}, _IMAGENET_PIXELS, load_pytorch)
    )
checkpoints.register("resnet20_w8_brain_cifar10")(
    Checkpoint(
        "resnet20",
        {"width": 8, "shortcut": "B"},
        _IMAGENET_PIXELS,
        load_pytorch,
    )
)
checkpoints.register("resnet8_mlperftiny_cifar10")(
    Checkpoint("resnet8", {}, batches.Preprocessing(), load_keras)
)
checkpoints.register("dscnn_mlperftiny_kws")(
    Checkpoint(
        "ds_cnn",
        {},
        batches.Preprocessing(_DS_CNN_SCALE, (83 * _DS_CNN_SCALE,)),
        functools.partial(load_keras, by_order=True),
    )
)
