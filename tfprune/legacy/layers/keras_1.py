"""Translates configs of Keras 1 to Keras 2."""

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
_RENAMED = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "beta_init": "beta_initializer",
    "bias": "use_bias",
    "border_mode": "padding",
    "depthwise_init": "depthwise_initializer",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "gamma_init": "gamma_initializer",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "length": "size",
    "nb_filter": "filters",
    "output_dim": "units",
    "pointwise_init": "pointwise_initializer",
    "pool_length": "pool_size",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
}
_INITIALIZERS = {
    "uniform": "random_uniform",
    "normal": "random_normal",
    "one": "ones",
    "zero": "zeros",
}
# Settings that these classes name differently from the others.
_OWN = {
    "Embedding": {
        "output_dim": "output_dim",
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
    "MaxoutDense": {"output_dim": "output_dim"},
    "LeakyReLU": {"alpha": "negative_slope"},
}
_RATES = ("Dropout", "GaussianDropout") + tuple(
    f"SpatialDropout{n}D" for n in (1, 2, 3)
)
# Settings that do not change the result, or that are found elsewhere.
_DROPPED = {"forget_bias_init", "input_dim", "weights"}
_OF_KERAS_1 = {
    *_DROPPED,
    "consume_less",  # stays: it says how many arrays a file has
    *_RENAMED,
    *("dim_ordering", "nb_row", "nb_col", "kernel_dim1", "p", "sigma", "mode"),
} - {"length", "output_dim", "bias", "input_dim", "weights", "stride", "mode"}


def is_keras_1(name, config):
    """Returns whether a layer's config is from Keras 1."""
    if name in _CLASSES or name in ("Highway", "MaxoutDense", "Merge"):
        return True
    if name not in ("Embedding", "LeakyReLU") and "output_dim" in config:
        return True
    own = name in ("BatchNormalization",) and "mode" in config
    return own or bool(_OF_KERAS_1 & set(config))


def translate(name, config):
    """Returns a layer's `(class name, config)` in Keras 2."""
    own = _OWN.get(name, {})
    changed = {}
    for key, value in config.items():
        if key in own:
            changed[own[key]] = value
        elif key == "p" and name in _RATES:
            changed["rate"] = value
        elif key == "dim_ordering":
            changed["data_format"] = _data_format(value)
        elif key == "input_dim" and name == "Embedding":
            changed[key] = value
        elif key not in _DROPPED:
            changed[_RENAMED.get(key, key)] = value
    _kernel_sizes(changed)
    for key, value in changed.items():
        if key.endswith("_initializer"):
            changed[key] = _INITIALIZERS.get(value, value)
        if key.endswith(("_regularizer", "_constraint")):
            changed[key] = _penalty(value)
    if name == "GRU":
        changed.setdefault("reset_after", False)
    if name == "Embedding":
        changed.pop("dropout", None)
    if _CLASSES.get(name, "").endswith("Transpose"):
        shape = changed.pop("output_shape", None)
        changed |= _output_size(changed, shape)
    return _CLASSES.get(name, name), changed


def _data_format(value):
    return {"th": "channels_first", "tf": "channels_last"}.get(value, value)


def _kernel_sizes(config):
    for keys, new in (
        (("nb_row", "nb_col"), "kernel_size"),
        (("kernel_dim1", "kernel_dim2", "kernel_dim3"), "kernel_size"),
    ):
        if keys[0] in config:
            config[new] = [config.pop(key) for key in keys]


def _output_size(config, shape):
    """What makes outputs as large as the file says, a part of a config.

    With strides several sizes belong to one input, of which Keras 1 wrote the
    one that was meant. Nothing if it is that of Keras 2.
    """
    size = config.get("kernel_size")
    if shape is None or size is None:
        return {}
    first = config.get("data_format") == "channels_first"
    shape = shape[2:] if first else shape[1:-1]
    strides = config.get("strides", 1)
    strides = [strides] * len(size) if isinstance(strides, int) else strides
    same = config.get("padding") == "same"
    more, less, usual = [], [], True
    for n, k, s in zip(shape, size, strides, strict=True):
        if n is None:
            return {}
        inputs = -(-n // s) if same else -(-(n - k + 1) // s)
        beyond = inputs * s + (0 if same else max(k - s, 0)) - n
        usual &= not beyond
        whole = (inputs - 1) * s + k
        more.append(n - whole + (k // 2 * 2 if same else 0))
        # Of what is cut off, half lies before the first pixel.
        before = max(whole - n, 0) // 2 - max(k - s, 0) // 2
        less.append([before, beyond - before])
    if usual:
        return {}
    if all(n < s for n, s in zip(more, strides, strict=True)):
        return {"output_padding": more}
    # Keras has no padding of an axis for the usual size beside an even kernel.
    return {"output_cropping": less}


def _penalty(value):
    """A regularizer or constraint, with arguments beside its name."""
    if not isinstance(value, dict) or "class_name" in value:
        return value
    config = {k: v for k, v in value.items() if k != "name"}
    if "m" in config:
        config["max_value"] = config.pop("m")
    name = value.get("name", "L1L2")
    renamed = {"WeightRegularizer": "L1L2", "L1L2Regularizer": "L1L2"}
    return {"class_name": renamed.get(name, name), "config": config}
