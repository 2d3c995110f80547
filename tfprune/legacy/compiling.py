"""Compiles a model with the settings in a file of Keras 1 or 2."""

import keras

_LOSSES = {
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
_OPTIMIZERS = {"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2"}
_KEPT = {
    *("learning_rate", "beta_1", "beta_2", "epsilon", "rho", "momentum"),
    *("nesterov", "amsgrad", "centered", "clipnorm", "clipvalue"),
    *("global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency"),
    *("weight_decay", "initial_accumulator_value", "learning_rate_power"),
    *("l1_regularization_strength", "l2_regularization_strength", "beta"),
    *("l2_shrinkage_regularization_strength", "relative_step"),
    *("beta_2_decay", "clip_threshold", "epsilon_1", "epsilon_2"),
}
_BY_OUTPUT = ("loss", "loss_weights", "metrics", "weighted_metrics")
# What Keras 2 chose by the labels; Keras 3 does so for losses alone.
_CROSSENTROPIES = ("crossentropy", "ce")
# Limits on gradients, of which Keras 3 takes one; Keras 2 applied a norm last.
_LIMITS = ("global_clipnorm", "clipnorm", "clipvalue")
# What the config of a metric's wrapper has besides its function's arguments.
_OWN = ("fn", "name", "dtype", "reduction")
# Layers of a loss or a metric around the function that does the work.
_WRAPPERS = ("LossFunctionWrapper", "MeanMetricWrapper", "SumOverBatchSize")


def compile_as_before(model, training, names=()):
    """Compiles a model.

    The optimizer's state is not read. Settings without a counterpart are left
    out and reported.

    Args:
        model: `keras.Model`.
        training: `dict`, the `training_config` in the file.
        names: list of `str`, the names of the outputs in the file, if it may
            have others than the model.

    Returns:
        List of `str`, the settings that were lost.
    """
    lost = []
    outputs = getattr(model, "output_names", [])
    if not outputs:
        only = {key: _of_only(training.get(key)) for key in _BY_OUTPUT}
        training = {**training, **only}
    names = _unique(names if len(names) == len(outputs) else outputs)
    renamed = dict(zip(names, outputs, strict=True))
    try:
        loss = _mapped(_loss, training.get("loss"))
        optimizer = _optimizer(training["optimizer_config"], lost)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        return [f"not compiled, its loss or optimizer is unknown ({reason})"]
    metrics = {
        key: _for_outputs(training.get(key), names, renamed, lost)
        for key in ("metrics", "weighted_metrics")
    }
    loss = _by_output(loss, renamed)
    metrics = {
        key: _with_crossentropies(found, model.outputs, outputs, loss)
        for key, found in metrics.items()
    }
    weights = _by_output(training.get("loss_weights"), renamed, 1.0) or None
    if isinstance(weights, int):  # Keras 3 takes a float.
        weights = float(weights)
    if weights and len(outputs) > 1 and not isinstance(loss, (list, dict)):
        # Keras 3 has weights for one loss only.
        loss = [loss] * len(outputs)
    model.compile(optimizer, loss, loss_weights=weights, **metrics)
    return lost


def _of_only(value):
    """What a file says of the only output of a Sequential model.

    Keras 2 took a `dict` by its name, which it has not in Keras 3.
    """
    by_name = isinstance(value, dict) and len(value) == 1
    return next(iter(value.values())) if by_name else value


def _unique(names):
    """Names as Keras 2 numbered those of a layer that gives several outputs."""
    found, counts = [], {}
    for name in names:
        new = name
        while new in found:
            counts[name] = counts.get(name, 0) + 1
            new = f"{name}_{counts[name]}"
        found.append(new)
    return found


def _by_output(value, renamed, default=None):
    """A `dict` with an entry for each output, by its name in Keras 3.

    Keras 2 took one that leaves outputs out, and names with slashes. If Keras 3
    has one name for several outputs, a list.

    Args:
        value: the `dict`, or anything else, which stays.
        renamed: `dict` from the names in the file to those in Keras 3.
        default: what outputs get that are left out.
    """
    if not isinstance(value, dict) or not value:
        return value
    old = {new: name for name, new in renamed.items()}
    named = {
        key if key in renamed else old.get(key.replace("/", "_")): part
        for key, part in value.items()
    }
    if None in named:
        return value
    found = [named.get(name, default) for name in renamed]
    if len(old) < len(renamed):
        return found
    return dict(zip(renamed.values(), found, strict=True))


def _mapped(function, value):
    """Applies a function to each entry of a list, or of a `dict` of outputs."""
    if isinstance(value, dict) and "class_name" not in value:
        return {k: _mapped(function, v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(function, v) for v in value]
    return None if value is None else function(value)


def _name(value):
    """The name of a function, out of a name or of what holds one."""
    config = value.get("config", {})
    if isinstance(config, str):
        return config
    function = config.get("fn")
    if isinstance(function, dict):  # as archives have it
        function = function.get("config")
    return function or config.get("name")


def _settings(value):
    """The arguments of a function in a wrapper, a `dict`."""
    config = value.get("config")
    given = config if isinstance(config, dict) else {}
    return {k: v for k, v in given.items() if k not in _OWN}


def _loss(value):
    settings = {}
    if isinstance(value, dict) and value["class_name"] in (
        *_WRAPPERS,
        "function",
    ):
        settings, value = _settings(value), _name(value)
    if isinstance(value, str):
        value = _LOSSES.get(value, value)
        if not settings:
            return keras.losses.get(value)
        # Arguments of a function: those of the class that is called like it.
        name = "".join(part.title() for part in value.split("_"))
        value = {"class_name": name, "config": settings}
    config = dict(value["config"])
    config.pop("fn", None)
    if config.get("reduction") in (None, "auto"):
        config["reduction"] = "sum_over_batch_size"
    name = _LOSSES.get(value["class_name"], value["class_name"])
    return keras.losses.get({"class_name": name, "config": config})


def _for_outputs(value, names, renamed, lost):
    """The metrics of all outputs; those of a flat list hold for each of them.

    Their names do not repeat that of the output, which Keras 2 wrote into them.
    """
    if value is None:
        return None
    if isinstance(value, dict) and "class_name" not in value:
        found = {k: _metrics(v, lost, k) for k, v in value.items()}
        return (
            _by_output({k: v for k, v in found.items() if v}, renamed) or None
        )
    entries = value if isinstance(value, list) else [value]
    if len(names) < 2:
        nested = len(entries) == 1 and isinstance(entries[0], list)
        return _metrics(entries[0] if nested else entries, lost) or None
    if not any(isinstance(entry, list) for entry in entries):
        entries = [entries] * len(names)
    found = [
        _metrics(entry, lost, name)
        for entry, name in zip(entries, names, strict=True)
    ]
    return found if any(found) else None


def _with_crossentropies(found, outputs, names, loss):
    """The metrics of all outputs, with those that Keras 2 chose."""
    if not found:
        return found
    losses = loss
    if isinstance(loss, dict):
        losses = [loss.get(name) for name in names]
    if not isinstance(losses, list) or len(losses) != len(outputs):
        losses = [loss] * len(outputs)

    def chosen(entries, output, loss):
        return [
            _crossentropy(entry, output, loss)
            if isinstance(entry, str) and entry in _CROSSENTROPIES
            else entry
            for entry in entries or ()
        ]

    sides = list(zip(outputs, losses, strict=True))
    if isinstance(found, dict):
        sides = dict(zip(names, sides, strict=False))
        return {
            name: chosen(v, *sides[name]) if name in sides else v
            for name, v in found.items()
        }
    if len(sides) == 1:
        return chosen(found, *sides[0])
    return [chosen(v, *side) for v, side in zip(found, sides, strict=True)]


def _crossentropy(name, output, loss):
    kind, known = "Categorical", getattr(loss, "__name__", type(loss).__name__)
    if output.shape[-1] == 1:
        kind = "Binary"
    elif "sparse" in known.lower():
        kind = "SparseCategorical"
    return getattr(keras.metrics, f"{kind}Crossentropy")(name)


def _metrics(value, lost, output=None):
    entries = value if isinstance(value, list) else [value]
    found = [_metric(entry, lost, f"{output}_") for entry in entries]
    return [metric for metric in found if metric is not None]


def _metric(value, lost, prefix=""):
    if value is None:
        return None
    name, settings = None, {}
    if isinstance(value, dict) and value["class_name"] in (
        *_WRAPPERS,
        "function",
    ):
        settings = _settings(value)
        if isinstance(value["config"], dict):
            name = (value["config"].get("name") or "").removeprefix(prefix)
        value = _name(value)
    elif isinstance(value, str) and value in _LOSSES:
        name = value
    try:
        if isinstance(value, str):
            if value in ("accuracy", "acc", "crossentropy", "ce"):
                return value
            found = keras.saving.get_registered_object(value)
            if not found and value in ("logcosh", "log_cosh"):
                return keras.metrics.LogCoshError(name or value, **settings)
            if not name and not found and value not in _LOSSES:
                keras.metrics.get(value)
                return value  # Its name stays the short one.
            found = found or keras.metrics.get(_LOSSES.get(value, value))
            if not name:
                return found
            if isinstance(found, keras.metrics.Metric):
                return type(found)(name=name, **settings)
            return keras.metrics.MeanMetricWrapper(found, name, **settings)
        config = {
            k: v for k, v in value["config"].items() if k not in ("fn", "dtype")
        }
        if config.get("name"):
            config["name"] = config["name"].removeprefix(prefix)
        cls = value["class_name"]
        known = keras.saving.get_registered_object(cls)
        return (known or getattr(keras.metrics, cls))(**config)
    except (AttributeError, KeyError, TypeError, ValueError):
        name = value if isinstance(value, str) else value["class_name"]
        lost.append(f"compiled without its metric {name!r}, which is not known")
        return None


def _optimizer(value, lost):
    config = {
        _OPTIMIZERS.get(k, k): v for k, v in dict(value["config"]).items()
    }
    name = value["class_name"].rpartition(">")[2]
    if name.startswith("LossScaleOptimizer"):
        return _scaled(config, lost)
    rate, decay = config.get("learning_rate"), config.get("decay")
    full = value.get("registered_name") or value["class_name"]
    if full == "Addons>AdamW" and config.get("weight_decay"):
        # It was taken as it is; Keras multiplies it by the learning rate.
        if isinstance(rate, float) and rate and not decay:
            config["weight_decay"] /= rate
        else:
            del config["weight_decay"]
            lost.append(
                "compiled without weight_decay, as that of Keras follows the "
                "learning rate"
            )
    if isinstance(rate, dict):
        schedules = keras.optimizers.schedules
        # Most had no name in Keras 2; Keras 3 cannot compute without one.
        settings = dict(rate["config"])
        if settings.get("name") is None:
            settings.pop("name", None)
        config["learning_rate"] = schedules.deserialize(
            {"class_name": rate["class_name"], "config": settings}
        )
    elif decay:
        config["learning_rate"] = keras.optimizers.schedules.InverseTimeDecay(
            rate, decay_steps=1, decay_rate=decay
        )
    kept = {k: v for k, v in config.items() if k in _KEPT and v is not None}
    found = keras.optimizers.get({"class_name": name, "config": {}})
    known = {k: v for k, v in kept.items() if k in found.get_config()}
    for limit in [name for name in _LIMITS if name in known][1:]:
        lost.append(f"compiled without {limit}, as Keras 3 takes one limit")
        del known[limit]
    return type(found)(**known)


def _scaled(config, lost):
    """An optimizer that scales the loss of a model in half precision.

    Keras 3 puts none around that of a model whose layers alone are in it.
    """
    inner = _optimizer(
        config.get("inner_optimizer", config.get("optimizer")), lost
    )
    # TensorFlow before 2.4 wrote an object.
    scale = (config.get("loss_scale") or {}).get("config", {})
    first = config.get("initial_scale", scale.get("initial_loss_scale"))
    steps = config.get("dynamic_growth_steps", scale.get("increment_period"))
    if config.get("dynamic") is False or "loss_scale_value" in scale:
        inner.loss_scale_factor = scale.get("loss_scale_value", first)
        return inner
    given = {"initial_scale": first, "dynamic_growth_steps": steps}
    given = {key: value for key, value in given.items() if value is not None}
    return keras.optimizers.LossScaleOptimizer(inner, **given)
