"""Builds a model of Keras 3 from the config of an old one."""

import inspect

import keras

from tfprune.legacy import ops

# What Keras 3 finds out by itself, or does in one way only.
SUPERFLUOUS = {
    "batch_input_shape",
    "build_config",
    "fused",
    "implementation",
    "input_length",
    "optional",
    "ragged",
    "sparse",
    "time_major",
    "virtual_batch_size",
}
# These values ask for nothing.
NEUTRAL = (None, False, 1, [], {})
MODELS = ("Functional", "Model", "Sequential")
LAMBDAS = ("TFOpLambda", "SlicingOpLambda")


class Builder:
    """Translates configs and says what it translated.

    Args:
        safe_mode: `bool`; else code that the file holds may run.

    Attributes:
        notes: list of `str`, what was translated.
        old_names: `dict` from layers' names to those in the file, where they
            differ.
    """

    def __init__(self, safe_mode=True):
        self.notes = []
        self.old_names = {}
        self._safe_mode = safe_mode

    def model(self, entry):
        """A model from its entry, a `dict` of `class_name` and `config`.

        Raises:
            ValueError: If a layer, a function or a setting has no counterpart
                in Keras 3.
        """
        if entry["class_name"] == "Sequential":
            return self._sequential(entry["config"])
        if "input_layers" not in entry["config"]:
            raise ValueError(
                "A Functional or Sequential model is required. Received: "
                f"class_name={entry['class_name']!r}, a class of its own, "
                "whose code is not in the file. Build it in code and load its "
                "weights."
            )
        return self._functional(entry["config"])

    def _sequential(self, config):
        model = keras.Sequential(name=config["name"])
        for i, entry in enumerate(config["layers"]):
            inner = entry["config"]
            shape = inner.get("batch_input_shape", inner.get("batch_shape"))
            if i == 0 and shape:
                dtype = inner.get("dtype", "float32")
                if entry["class_name"] == "Embedding":
                    dtype = "int32"
                model.add(keras.Input(batch_shape=tuple(shape), dtype=dtype))
            if entry["class_name"] != "InputLayer":
                model.add(self._layer(entry))
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(tuple(shape))
        return model

    def _functional(self, config):
        # Keras numbers its ops on and on; some number is free of the names
        # that layers of the file have.
        for _ in range(20):
            try:
                return self._graph(config)
            except ValueError as error:
                if "should be unique" not in str(error):
                    raise
        return self._graph(config)

    def _graph(self, config):
        calls, layers, tensors = {}, {}, {}
        for entry in config["layers"]:
            name = entry["name"]
            if entry["class_name"] == "InputLayer":
                tensors[name, 0] = [self._input(entry["config"])]
                continue
            calls[name] = list(enumerate(entry["inbound_nodes"]))
            if entry["class_name"] not in LAMBDAS:
                layers[name] = self._layer(entry)
        entries = {entry["name"]: entry for entry in config["layers"]}
        first = _first_calls(config, entries)

        def known(node):
            return all(key in tensors for key in _references(node, entries))

        while any(calls.values()):
            before = sum(map(len, calls.values()))
            for name, waiting in calls.items():
                while waiting and known(waiting[0][1]):
                    number, node = waiting.pop(0)
                    args, kwargs = _arguments(node, tensors, entries)
                    if name in layers:
                        outputs = layers[name](*args, **kwargs)
                    else:
                        outputs = self._function(entries[name], args, kwargs)
                    key = name, number + first.get(name, 0)
                    tensors[key] = keras.tree.flatten(outputs)
            if sum(map(len, calls.values())) == before:
                stuck = [name for name, waiting in calls.items() if waiting]
                raise ValueError(
                    "A model's config must be a graph without loops. Received: "
                    f"layers whose inputs never come: {stuck}."
                )

        def ends(nested):
            return _decoded(_one(nested), tensors, entries)

        return keras.Model(
            ends(config["input_layers"]),
            ends(config["output_layers"]),
            name=config["name"],
        )

    def _input(self, config):
        shape = config.get("batch_input_shape", config.get("batch_shape"))
        dtype = _dtype(config.get("dtype"))
        return keras.Input(
            batch_shape=tuple(shape), dtype=dtype, name=config["name"]
        )

    def _function(self, entry, args, kwargs):
        name = entry["config"]["function"]
        if name not in ops.FUNCTIONS:
            raise ValueError(
                f"The function tf.{name} of layer {entry['name']!r} has no "
                f"translation. Received: TFOpLambda of {name!r}; known are "
                f"{', '.join(sorted(ops.FUNCTIONS))}."
            )
        self.notes.append(f"{entry['name']}: tf.{name} is an op of Keras")
        kwargs = {k: v for k, v in kwargs.items() if k != "name"}
        function = ops.FUNCTIONS[name]
        unknown = set(kwargs) - set(inspect.signature(function).parameters)
        if unknown:
            raise ValueError(
                f"An argument of tf.{name} has no counterpart in Keras 3. "
                f"Received: {sorted(unknown)} in layer {entry['name']!r}. "
                "Build the model anew."
            )
        return function(*args, **kwargs)

    def _layer(self, entry):
        name = entry["class_name"]
        if name in MODELS:
            return self.model(entry)
        cls = _find(entry)
        config = self._settings(cls, entry["config"])
        if "/" in config["name"]:
            old = config["name"]
            config["name"] = old.replace("/", "_")
            self.old_names[config["name"]] = old
            self.notes.append(f"{old}: a name without a slash")
        if name == "Lambda":
            return self._code(cls, config)
        return cls.from_config(config)

    def _code(self, cls, config):
        if self._safe_mode:
            raise ValueError(
                "Code in a file is not run unless it is asked for. Received: "
                f"Lambda layer {config['name']!r}. If you trust the file, give "
                "allow_lambda=True."
            )
        if not isinstance(config["function"], dict):
            raise ValueError(
                "The code of a Lambda layer must be as Keras 2.13 or later "
                f"wrote it. Received: layer {config['name']!r} of an older "
                "one. Build the model in code and load its weights."
            )
        return cls.from_config(config, safe_mode=False)

    def _settings(self, cls, config):
        """A layer's config, of settings that its class takes."""
        taken = {
            name
            for base in cls.__mro__
            for name in inspect.signature(base.__init__).parameters
        } | {"name", "trainable", "dtype"}
        settings = {}
        for key, value in config.items():
            if key in taken and key not in SUPERFLUOUS:
                settings[key] = self._value(key, value)
            elif key not in SUPERFLUOUS and value not in NEUTRAL:
                raise ValueError(
                    f"A setting of layer {config.get('name')!r} has no "
                    f"counterpart in Keras 3. Received: {key}={value!r} of "
                    f"{cls.__name__}. Build the layer anew."
                )
            elif key in ("groups", "time_major"):
                self.notes.append(f"{config['name']}: without {key}={value}")
        axis = settings.get("axis")
        if cls is keras.layers.BatchNormalization and isinstance(axis, list):
            (settings["axis"],) = axis
            self.notes.append(f"{config['name']}: axis={axis[0]}, not a list")
        return settings

    def _value(self, key, value):
        if key == "dtype":
            return _dtype(value)
        if not isinstance(value, dict) or "class_name" not in value:
            return value
        if key in ("layer", "backward_layer", "cell"):
            inner = self._settings(_find(value), value["config"])
            return _entry("keras.layers", value["class_name"], inner)
        for end, module in _MODULES.items():
            if key.endswith(end):
                name, config = value["class_name"], value["config"]
                return _entry(value.get("module") or module, name, config)
        return value


_MODULES = {
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
}


def _entry(module, name, config):
    return {
        "module": module,
        "class_name": name,
        "config": config,
        "registered_name": None,
    }


def _find(entry):
    """The class of a layer: one of Keras, or one that is registered."""
    name = entry["class_name"]
    registered = entry.get("registered_name") or name
    found = keras.saving.get_registered_object(registered)
    found = found or getattr(keras.layers, name, None)
    if found is None:
        raise ValueError(
            f"The class of a layer must be known. Received: {name!r} of layer "
            f"{entry['config'].get('name')!r}. Register it with "
            "keras.saving.register_keras_serializable."
        )
    return found


def _dtype(value):
    return value["config"]["name"] if isinstance(value, dict) else value


def _one(nested):
    """A list of one tensor's reference as that reference."""
    listed = isinstance(nested, list) and len(nested) == 1
    return nested[0] if listed else nested


def _is_reference(value, entries):
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and value[0] in entries
    )


def _first_calls(config, entries):
    """The number of each layer's first call, by name; a model's may be 1."""
    nodes = [entry["inbound_nodes"] for entry in config["layers"]]
    first = {}
    for name, call in _references([*nodes, config["output_layers"]], entries):
        first[name] = min(call, first.get(name, call))
    return first


def _references(nested, entries):
    """Yields `(layer, call)` of all tensors in the arguments of a call."""
    if _is_reference(nested, entries):
        yield nested[0], nested[1]
        nested = nested[3:]
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, list):
        for value in nested:
            yield from _references(value, entries)


def _decoded(nested, tensors, entries):
    if _is_reference(nested, entries):
        return tensors[nested[0], nested[1]][nested[2]]
    if isinstance(nested, dict):
        return {k: _decoded(v, tensors, entries) for k, v in nested.items()}
    if isinstance(nested, list):
        return [_decoded(v, tensors, entries) for v in nested]
    return nested


def _arguments(node, tensors, entries):
    """`(args, kwargs)` of a call, as Keras 2 wrote it.

    A layer's call is a list of `[layer, call, tensor, kwargs]`, a function's
    one of these where it takes one tensor first.
    """
    several = isinstance(node, list) and isinstance(node[0], list)
    parts = node if several else [node]
    kwargs = parts[0][3] if len(parts[0]) > 3 else {}
    first = [
        part[2]
        if part[0] == "_CONSTANT_VALUE"
        else _decoded(part[:3], tensors, entries)
        for part in parts
    ]
    alone = len(first) == 1
    return (first[0] if alone else first,), _decoded(kwargs, tensors, entries)
