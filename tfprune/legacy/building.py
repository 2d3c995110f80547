"""Builds a Keras 3 model from the config of an old one."""

import contextlib
import re

import keras

from tfprune.legacy import calls
from tfprune.legacy import masks as masks_lib
from tfprune.legacy import nodes
from tfprune.legacy import translating
from tfprune.legacy.layers import parts
from tfprune.legacy.layers import settings as settings_lib
from tfprune.legacy.operations import op_layers
from tfprune.legacy.operations import sizes
from tfprune.legacy.operations import tf_functions

FUNCTIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_MASKS = "its mask is not that of Keras 2"
LOSSES = ("AddLoss", "AddMetric")


class Builder:
    """Translates configs and records what it translated.

    Args:
        safe_mode: `bool`; if false, code in the file may run.
        version: `str`, the version of Keras that wrote the file.
        backend: `str`, its backend.

    Attributes:
        layers: the `translating.Translator` of single layers.
        notes: list of `str`, what was translated.
        rounded: `dict` from the names of wrappers of quantization-aware
            training to the names of the new layers in their place.
    """

    def __init__(self, safe_mode=True, version="2", backend="tensorflow"):
        self._version = version
        self.layers = translating.Translator(
            self.model, safe_mode, version, backend
        )
        self.notes = self.layers.notes
        self.rounded = self.layers.rounded

    def model(self, entry, name=None):
        """Builds a model from a `dict` of `class_name` and `config`.

        Args:
            entry: the `dict`.
            name: `str` or `None`, the model's name if its config has none.

        Returns:
            `parts.Nested`.

        Raises:
            ValueError: If a layer, a function or a setting has no counterpart
                in Keras 3.
        """
        config = entry["config"]
        if entry["class_name"] == "Sequential":
            if isinstance(config, list):
                # Keras 1 and Keras 2 up to 2.2.2.
                config = {"layers": config}
            return self._sequential(config, config.get("name", name))
        if "input_layers" not in config:
            raise ValueError(
                "A Functional or Sequential model is required. Received: "
                f"class_name={entry['class_name']!r}, a custom class, whose "
                "code is not in the file. Build it in code and load its "
                "weights."
            )
        return self._functional(config)

    def _sequential(self, config, name):
        entries = [settings_lib.modern(entry) for entry in config["layers"]]
        if entries[0]["class_name"] == "Merge":
            return self._merged(entries, name)
        first = _first(entries[0])
        shape = first.get("batch_input_shape", first.get("batch_shape"))
        shape = shape or config.get("build_input_shape")
        entries = [e for e in entries if e["class_name"] != "InputLayer"]
        found = []
        for entry in entries:
            with _named(entry):
                found.append(self.layers.part(entry))
        inputs = None
        if shape and not isinstance(shape[0], list):
            embeds = entries and entries[0]["class_name"] == "Embedding"
            inputs = keras.Input(
                batch_shape=tuple(shape),
                dtype="int32" if embeds else _input_type(first),
            )
        elif found and isinstance(found[0], parts.Nested):
            (first,) = found[0].layers[0].inputs
            inputs = keras.Input(batch_shape=first.shape, dtype=first.dtype)
        if inputs is not None and (
            masks_lib.differ_in_chain(found) or _rounds(found, inputs)
        ):
            return self._functional(_as_graph(entries, inputs, name))
        if all(part.plain for part in found):
            layers = [layer for part in found for layer in part.layers]
            head = [] if inputs is None else [inputs]
            model = keras.Sequential(
                [*head, *layers], name=translating.valid(name)
            )
            masked = [masks_lib.of_chain(found)]
            return parts.Nested(name, model, found, masked)
        if inputs is None:
            raise ValueError(
                "The shape of the inputs must be in the file. Received: model "
                f"{name!r}, whose file does not have it. Build the model in "
                "code and load its weights."
            )
        return self._chain(inputs, inputs, found, found, name)

    def _merged(self, entries, name):
        """A Sequential model of Keras 1 whose first layer merges branches."""
        branches = [self.model(e) for e in entries[0]["config"]["layers"]]
        inputs = [branch.layers[0].inputs[0] for branch in branches]
        ends = [branch.layers[0].outputs[0] for branch in branches]
        found = [self.layers.part(entry) for entry in entries]
        return self._chain(inputs, ends, found, [*branches, *found], name)

    def _chain(self, inputs, x, called, found, name):
        for part in called:
            x = part(x)
        return parts.Nested(
            name, keras.Model(inputs, x, name=translating.valid(name)), found
        )

    def _functional(self, config):
        # Keras numbers op names globally, so a name may collide with a layer of
        # the file; trying again uses the next numbers.
        for _ in range(20):
            try:
                return self._graph(config)
            except ValueError as error:
                if "should be unique" not in str(error):
                    raise
        return self._graph(config)

    def _graph(self, config):
        pending, found, tensors = {}, {}, {}
        # Only names with a slash change.
        self.layers.claim(e["name"] for e in config["layers"])
        entries = {entry["name"]: entry for entry in config["layers"]}
        extra = nodes.only_for_losses(config, entries, (*FUNCTIONS, *LOSSES))
        for name, entry in entries.items():
            if entry["class_name"] == "InputLayer":
                tensors[name, 0] = [self._input(entry["config"])]
                continue
            if entry["class_name"] in LOSSES:
                self.notes.insert(0, f"{name}: without this loss or metric")
            if name in extra:
                continue
            pending[name] = list(enumerate(entry["inbound_nodes"]))
            if entry["class_name"] not in FUNCTIONS:
                with _named(entry):
                    found[name] = self.layers.called(entry)
        first = nodes.first_calls(config, entries)
        masks = masks_lib.Masks(entries, first, found, tensors, self._version)

        def known(node):
            return all(
                key in tensors for key in nodes.references(node, entries)
            )

        while any(pending.values()):
            before = sum(map(len, pending.values()))
            for name, waiting in pending.items():
                while waiting and known(waiting[0][1]):
                    number, node = waiting.pop(0)
                    args, kwargs = nodes.arguments(
                        node, tensors, entries, name not in found
                    )
                    entry = entries[name]
                    with _named(entry):
                        outputs = self._output(
                            *(entry, node, args, kwargs),
                            *(found.get(name), tensors, masks),
                        )
                    key = name, number + first.get(name, 0)
                    tensors[key] = keras.tree.flatten(outputs)
            if sum(map(len, pending.values())) == before:
                stuck = [name for name, waiting in pending.items() if waiting]
                raise ValueError(
                    "A model's config must be a graph without loops. Received: "
                    f"layers whose inputs are never computed: {stuck}."
                )

        def ends(nested):
            return nodes.decoded(nodes.one(nested), tensors, entries)

        self._note_masks(config, entries, masks)
        model = keras.Model(
            ends(config["input_layers"]),
            ends(config["output_layers"]),
            name=translating.valid(config["name"]),
        )
        if config.get("trainable") is False:
            model.trainable = False
        ends_at = nodes.tensors(config["output_layers"], entries)
        outputs = config["output_layers"]
        if nodes.is_reference(outputs, entries):
            outputs = [outputs]
        return parts.Nested(
            *(config["name"], model, list(found.values())),
            masked=[masks.has(reference) for reference in ends_at],
            # Keras may have the outputs of a dict in another order.
            ends=[
                reference[0]
                for reference in outputs
                if nodes.is_reference(reference, entries)
            ],
        )

    def _output(self, entry, node, args, kwargs, part, tensors, masks):
        """What a layer, or a function that has no part, gives in a call."""
        if part is None:
            return self._function(entry, args, kwargs)
        if not isinstance(part, parts.Own):  # Whose call may require it.
            kwargs.pop("training", None)
        args = self._symbolic(args, tensors)
        if masks.ends(node, part):
            args, kwargs = calls.without_masks(args, kwargs)
        given = masks.arguments(node, part)
        if calls.has_states(entry, args, kwargs):
            given = {"mask": masks.of(node[0])}
        for key, mask in given.items():
            if kwargs.get(key) is None:
                kwargs[key] = mask
        return calls.call(part, entry, args, kwargs)

    def _note_masks(self, config, entries, masks):
        """Notes where a mask is used that is not that of Keras 2."""
        nested = [
            entry["inbound_nodes"]
            for entry in entries.values()
            if entry["class_name"] in translating.MODELS
        ]
        used = nodes.tensors([nested, config["output_layers"]], entries)
        names = [r[0] for r in used if masks.differs(r)]
        for name in dict.fromkeys(names + masks.unclear):
            self.notes.insert(0, f"{name}: {_MASKS}")

    def _input(self, config):
        shape = config.get("batch_input_shape", config.get("batch_shape"))
        return keras.Input(
            batch_shape=tuple(shape),
            dtype=_input_type(config),
            name=self.layers.plain(config["name"]),
        )

    def _symbolic(self, args, tensors):
        """The arguments of a layer; constants follow from an input."""
        leaves = keras.tree.flatten([args, list(tensors.values())])
        numbers = [
            x
            for x in leaves
            if isinstance(x, keras.KerasTensor) and x.dtype != "string"
        ]
        if any(
            isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(args)
        ):
            return args
        return keras.tree.map_structure(
            lambda x: sizes.within(x, numbers[0]), args
        )

    def _function(self, entry, args, kwargs):
        config = entry["config"]
        if entry["class_name"] == "TensorFlowOpLayer":
            name = config["node_def"]
            name = name["op"] if isinstance(name, dict) else "of text"
            self.notes.append(f"{entry['name']}: {name} is an op of Keras")
            return op_layers.call(entry, args[0])
        name = config["function"].removeprefix("compat.v1.")
        self.notes.append(f"{entry['name']}: tf.{name} is an op of Keras")
        return tf_functions.call(entry, args, kwargs)


@contextlib.contextmanager
def _named(entry):
    """Adds a layer to errors that name none."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        if _tells(error):
            raise
        raise TypeError(f"{error}, at {_label(entry)}") from error
    except ValueError as error:
        # Others than a plain one are signs of damage.
        if type(error) is not ValueError or _tells(error):
            raise
        raise ValueError(f"{error} It concerns {_label(entry)}.") from error


def _tells(error):
    return re.search(r"(layer|model|function) ['\"]", str(error), re.I)


def _label(entry):
    config = entry.get("config")
    named = config if isinstance(config, dict) else entry
    name = named.get("name", entry.get("name"))
    return f"layer {name!r} of class {entry.get('class_name')}"


def _rounds(found, inputs):
    """Whether Keras 3 would round what parts make of a chain's inputs."""
    rounds = any(part.rounds for part in found)
    return rounds and "float" not in inputs.dtype


def _as_graph(entries, inputs, name):
    """The config of a Sequential model as one of a Functional model."""
    names = [entry["config"]["name"] for entry in entries]
    first = inputs.name
    while first in names:
        first += "_"
    source = {
        "class_name": "InputLayer",
        "config": {
            "name": first,
            "batch_input_shape": list(inputs.shape),
            "dtype": inputs.dtype,
        },
    }
    nodes_before = [[], *([[[before, 0, 0, {}]]] for before in [first, *names])]
    layers = [
        {**entry, "name": own, "inbound_nodes": before}
        for entry, own, before in zip(
            [source, *entries], [first, *names], nodes_before, strict=False
        )
    ]
    return {
        "name": name,
        "layers": layers,
        "input_layers": [[first, 0, 0]],
        "output_layers": [[names[-1], 0, 0]],
    }


def _first(entry):
    """The config that says the shape of a Sequential model's inputs."""
    config = entry["config"]
    while "batch_input_shape" not in config and "layer" in config:
        config = config["layer"]["config"]
    return config if isinstance(config, dict) else {}


def _input_type(config):
    found = config.get("input_dtype") or config.get("dtype")
    found = settings_lib.dtype(found) or "float32"
    return "float32" if found.startswith("mixed") else found
