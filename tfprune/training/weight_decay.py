"""Excludes the variables of methods from an optimizer's weight decay."""

from tfprune.graph import compile_state
from tfprune.sparsity import wrapper as wrapper_lib


def exclude_from_weight_decay(optimizer, model, var_list=(), var_names=()):
    """Excludes the variables of methods from an optimizer's `weight_decay`.

    Keras's optimizers decay every trainable variable that is not excluded,
    including thresholds and indicators. Saving a compiled model loses the
    exclusions, so call this again after loading, with `model.optimizer`; a
    warning says so if training goes on without.

    Args:
        optimizer: a `keras.optimizers.Optimizer`.
        model: a model from `wrap`.
        var_list, var_names: what else to exclude, as for Keras's
            `Optimizer.exclude_from_weight_decay`, of which only the last call
            counts.

    Returns:
        The optimizer.

    Raises:
        ValueError: If no method has trainable variables in the model.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.SoftThreshold(decay=5e-4))
    >>> sgd = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4)
    >>> tfprune.training.exclude_from_weight_decay(sgd, wrapped)
    >>> wrapped.compile(sgd, "sparse_categorical_crossentropy")
    """
    learned = wrapper_lib.learned(model)
    if not learned:
        raise ValueError(
            "A model whose method has trainable variables is required. "
            f"Received: model={model.name!r}, which has none. Use "
            "`tfprune.wrap(model, tfprune.methods.SoftThreshold())`."
        )
    for part in compile_state.parts(optimizer):
        part.exclude_from_weight_decay(
            var_list=[*learned, *var_list], var_names=list(var_names)
        )
    wrapper_lib.note_spared(model)
    return optimizer
