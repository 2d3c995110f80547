"""Which activation functions act on each channel by itself."""

ELEMENTWISE = frozenset(
    "linear relu relu6 elu selu gelu silu swish sigmoid tanh softplus softsign "
    "exponential hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu celu "
    "mish log_sigmoid tanh_shrink soft_shrink hard_shrink squareplus "
    "threshold sparse_sigmoid sparse_plus".split()
)


def activate(call, labels, key="activation"):
    """Passes labels through the activation that a layer's config names.

    Channels that meet in the activation (softmax), or pass through a function
    that is not known, stay.

    Returns:
        `labels`.
    """
    name = call.config.get(key)
    if isinstance(name, dict):
        name = name.get("registered_name") or name["class_name"]
    if name is not None and name not in ELEMENTWISE:
        call.freeze(labels, f"activation {name!r} mixes channels")
    return labels
