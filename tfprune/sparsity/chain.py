"""Chains several methods on one layer."""

import dataclasses
import functools
import operator

import keras

from tfprune.sparsity import method as method_lib


@method_lib.register("chain")
@dataclasses.dataclass(frozen=True)
class Chain(method_lib.Method):
    """Applies methods in sequence, each to the result of the previous one.

    Every method keeps its own variables and acts as if it were alone: with
    `PruneOnSchedule`, the scheduled methods follow the schedule and the others
    learn. Their penalties add up.

    Args:
        methods: tuple of at least two method objects, the first to act first.

    Raises:
        ValueError: If `methods` has fewer, or something other than methods.

    Example:

    >>> masks = tfprune.methods.Masked()
    >>> both = Chain((masks, tfprune.methods.BitPruning(gamma=0.5)))
    >>> wrapped = tfprune.wrap(model, both)
    """

    methods: tuple

    def __post_init__(self):
        methods = self.methods
        if not isinstance(methods, (tuple, list)):
            methods = (methods,)
        fit = [isinstance(m, method_lib.Method) for m in methods]
        if len(methods) < 2 or not all(fit):
            raise ValueError(
                "`methods` must be a tuple of at least two method objects. "
                f"Received: methods={self.methods!r}. Pass a single method "
                "to `wrap` directly."
            )
        object.__setattr__(self, "methods", tuple(methods))

    def sites(self, layer):
        found = [name for m in self.methods for name in m.sites(layer)]
        return tuple(dict.fromkeys(found))

    def parts(self, slot):
        return [
            entry
            for i, method in enumerate(self.methods)
            if slot.name in method.sites(slot.layer)
            for entry in method.parts(slot.part(str(i)))
        ]

    def mapped(self, change):
        return Chain(tuple(m.mapped(change) for m in self.methods))

    def shared_shapes(self, model):
        return {
            f"{i}.{name}": shape
            for i, method in enumerate(self.methods)
            for name, shape in method.shared_shapes(model).items()
        }

    def build(self, slot):
        for method, part in self.parts(slot):
            method.build(part)

    def effective_kernel(self, slot, kernel, training=False):
        for method, part in self.parts(slot):
            kernel = method.effective_kernel(part, kernel, training)
        return kernel

    def read(self, slot, inputs, training=False):
        for method, part in self.parts(slot):
            inputs = method.read(part, inputs, training)
        return inputs

    def gate(self, slot, outputs, training=False):
        for method, part in self.parts(slot):
            outputs = method.gate(part, outputs, training)
        return outputs

    def penalty(self, slot):
        found = [method.penalty(part) for method, part in self.parts(slot)]
        found = [penalty for penalty in found if penalty is not None]
        return functools.reduce(operator.add, found) if found else None

    def fold(self, slot):
        if slot.name != method_lib.OUTPUTS:
            return super().fold(slot)
        folds = [method.fold(part) for method, part in self.parts(slot)]
        return functools.reduce(operator.mul, folds)

    @property
    def is_scheduled(self):
        return any(method.is_scheduled for method in self.methods)

    def get_config(self):
        methods = map(keras.saving.serialize_keras_object, self.methods)
        return {"methods": list(methods)}

    @classmethod
    def from_config(cls, config):
        methods = map(keras.saving.deserialize_keras_object, config["methods"])
        return cls(tuple(methods))
