"""What an optimizer's weight decay leaves alone."""

from tfprune.sparsity import wrapper as wrapper_lib


def exclude_from_weight_decay(optimizer, model, var_list=(), var_names=()):
    """Keeps an optimizer's `weight_decay` off what methods learn.

    Keras's optimizers decay every trainable variable that they are not told
    to leave alone, thresholds and indicators too. They forget what they were
    told when a compiled model is saved: call this again after loading.

    Args:
        optimizer: a `keras.optimizers.Optimizer`.
        model: a model from `wrap`.
        var_list, var_names: what else to leave alone, as for Keras's
            `Optimizer.exclude_from_weight_decay`, which keeps its last call
            only.

    Returns:
        The optimizer.

    Raises:
        ValueError: If methods have added nothing trainable to the model.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.SoftThreshold(decay=5e-4))
    >>> sgd = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4)
    >>> tfprune.training.exclude_from_weight_decay(sgd, wrapped)
    >>> wrapped.compile(sgd, "sparse_categorical_crossentropy")
    """
    learned = wrapper_lib.learned(model)
    if not learned:
        raise ValueError(
            "A model is required in which a method learns variables of its "
            f"own. Received: model={model.name!r}, which has none. Use "
            "`tfprune.wrap(model, tfprune.methods.SoftThreshold())`."
        )
    # The loss scale of half precision stands around the one that decays.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner.exclude_from_weight_decay(
        var_list=[*learned, *var_list], var_names=list(var_names)
    )
    return optimizer
