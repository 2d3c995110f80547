"""Reads `.keras` archives that Keras 2 wrote."""

import collections
import io
import json
import zipfile

import numpy as np

from tfprune.legacy.formats import hdf5_files
from tfprune.legacy.layers import parts
from tfprune.legacy.layers import quantized

# Attributes that hold inner layers, in the order of the layer's weight list.
_WAYS = ("forward_layer", "backward_layer")
_FIRST = (
    *_WAYS,
    "_query_dense",
    "_key_dense",
    "_value_dense",
    "_output_dense",
)
_ENDS = ("_min", "_max")
_VOCABULARY = "/vocabulary.txt"
_SHARES = "vars/idf_weights"


def read(path):
    """The `hdf5_files.Contents` of an archive, `None` if Keras 3 wrote it."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        if "metadata.json" not in archive.namelist():
            return None
        metadata = json.loads(archive.read("metadata.json"))
        version = metadata.get("keras_version", "3")
        if not version.startswith("2"):
            return None
        entry = json.loads(archive.read("config.json"))
        data = io.BytesIO(archive.read("model.weights.h5"))
        texts = {
            name: archive.read(name).decode()
            for name in archive.namelist()
            if name.endswith(_VOCABULARY)
        }
    with h5py.File(data, "r") as file:
        _add_vocabularies(entry, file, texts, "assets")
        weights = list(_model(entry, file))
    return hdf5_files.Contents(
        entry=entry,
        weights=weights,
        version=version,
        training=_training(entry.get("compile_config")),
    )


def _add_vocabularies(entry, group, texts, place):
    """Puts what a layer learned of texts into its config."""
    name = next((key for key in parts.MODEL_LAYERS if key in group), None)
    layers = entry["config"].get("layers", ()) if name else ()
    keys = parts.numbered(layer["class_name"] for layer in layers)
    for key, layer in zip(keys, layers, strict=True):
        here, config = f"{place}/{name}/{key}", layer["config"]
        if "layers" in config and key in group[name]:
            _add_vocabularies(layer, group[name][key], texts, here)
        if here + _VOCABULARY in texts:
            words = texts[here + _VOCABULARY].split("\n")
            whole = layer["class_name"] == "IntegerLookup"
            config["vocabulary"] = list(map(int, words)) if whole else words
        learned = group[name].get(f"{key}/{_SHARES}")
        # One that comes with its words has them in its config.
        if learned is not None and config.get("idf_weights") is None:
            config["idf_weights"] = np.array(learned).tolist()


def _training(config):
    """The compile settings of a model, in the format of an HDF5 file."""
    if not config or "optimizer" not in config:
        return None
    optimizer = config["optimizer"]
    if isinstance(optimizer, str):
        optimizer = {"class_name": optimizer, "config": {}}
    return {**config, "optimizer_config": optimizer}


def _model(entry, group, known=None):
    """Yields `(name, array)` of a model's layers, in their order.

    Args:
        entry: `dict`, of the model.
        group: what the archive has of it.
        known: `dict` from class and name to a list of the weights of each layer
            before: an archive has a layer once, though it is in a model inside,
            too. Where several are called so, nobody knows which one it is.
    """
    known = collections.defaultdict(list) if known is None else known
    inner = next(
        (group[key] for key in parts.MODEL_LAYERS if key in group), None
    )
    if inner is None or "layers" not in entry["config"]:
        return
    layers = entry["config"]["layers"]
    keys = parts.numbered(layer["class_name"] for layer in layers)
    for key, layer in zip(keys, layers, strict=True):
        own = layer["class_name"], layer["config"].get("name")
        if key not in inner:
            yield from known[own][0] if len(known[own]) == 1 else ()
            continue
        if "layers" in layer["config"]:
            found = list(_model(layer, inner[key], known))
        else:
            found = list(_layer(layer, inner[key]))
        if found:
            known[own].append(found)
        yield from found


def _layer(entry, group):
    """Yields `(name, array)` of one layer, which is no model."""
    config, kind = entry["config"], entry["class_name"]
    if kind in quantized.WRAPPERS:
        yield from _rounded(config, group)
    elif kind == "QuantizeLayer":
        own = config["name"]
        names = [f"{own}/{own}{end}" for end in _ENDS] + [f"{own}/_step"]
        arrays = (array for _, array in _weights(group))
        yield from zip(names, arrays, strict=False)
    elif kind == "TimeDistributed":
        yield from _wrapped(config["layer"], group)
    elif kind == "Bidirectional":
        inner = config["layer"], config.get("backward_layer", config["layer"])
        for place, one in zip(_WAYS, inner, strict=True):
            yield from _layer(one, group.get(place, {}))
    elif _SHARES in group:
        yield "idf_weights", np.array(group[_SHARES])
    elif kind == "SpectralNormalization":
        yield from _normalized(group)
    else:
        yield from _weights(group, first=_cells(config))


def _cells(config):
    """The names of the cells of a stack, in its order."""
    cells = config.get("cell", {}).get("config", {}).get("cells", [])
    return list(parts.numbered(cell["class_name"] for cell in cells))


def _wrapped(entry, group):
    if "layers" in entry["config"]:
        yield from _model(entry, group["layer"])
    else:
        yield from _layer(entry, group.get("layer", {}))


def _rounded(config, group):
    """Yields the weights and ranges of a wrapper for quantization.

    The group lists the weights that train, once more those that are rounded,
    a count of steps, and two ends for each range; the inner one has all weights
    but the rounded ones.
    """
    own, inner = (
        [np.array(g["vars"][k]) for k in sorted(g["vars"], key=int)]
        if "vars" in g
        else []
        for g in (group, group.get("layer", {}))
    )
    steps = [i for i, a in enumerate(own) if a.dtype.kind == "i" and not a.ndim]
    if not steps:  # Only annotated.
        yield from (("", array) for array in (*own, *inner))
        return
    settings = (config.get("quantize_config") or {}).get("config", {})
    rounded = settings.get("weight_attrs", ())
    count = max(0, steps[0] - len(rounded))
    trained = own[:count] or own[: len(rounded)]
    rest = inner[max(0, count - len(rounded)) :]
    yield from (("", array) for array in (*trained, *rest))
    activation = config["layer"]["config"].get("activation")
    kind = "output" if settings.get("quantize_output") else "post_activation"
    if kind != "output" and "softmax" in json.dumps(activation):
        kind = "pre_activation"
    ranges = [f"{what}{end}" for what in (*rounded, kind) for end in _ENDS]
    names = ["optimizer_step", *ranges]
    for name, array in zip(names, own[steps[0] :], strict=False):
        yield f"{config['name']}/{name}", array


def _weights(group, place="", first=()):
    """Yields the weights of a layer, then those of its inner layers."""
    names = [*_FIRST, *first]
    own = group.get("vars", {})
    for key in sorted(filter(str.isdigit, own), key=int):
        yield f"{place}{key}", np.array(own[key])

    def order(key):
        early = names.index(key) if key in names else len(names)
        word, _, number = key.rpartition("_")
        return early, (word, int(number)) if number.isdigit() else (key, 0)

    for key in sorted((key for key in group if key != "vars"), key=order):
        yield from _weights(group[key], f"{place}{key}/", first)


def _normalized(group):
    """Yields the weights of a spectral normalization.

    It lists its layer's kernel as its own once more.
    """
    yield from _weights(group["layer"])
    yield from list(_weights({"vars": group["vars"]}))[1:]
