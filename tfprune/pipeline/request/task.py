"""A model's task: its losses and metrics, and the one metric to watch.

Losses and metrics are those that the model was compiled with, unless others are
given. Keras always computes metrics from outputs, so a file on the interpreter
for microcontrollers is measured exactly as the model is.
"""

import re

import keras
import numpy as np

from tfprune.datasets import outputs as outputs_lib
from tfprune.graph import compile_state
from tfprune.pipeline.request import each_sample
from tfprune.pipeline.request import output_masks
from tfprune.training import output_ends

# Parts of the names of metrics, as regular expressions. What comes before or
# after tells short ones from other words: "accel", "white", "diff1", "error2".
_SMALLER = (
    *("loss", "error", "mse", "mae", "msle", "rmse", "perplexity"),
    *("crossentropy", "divergence", "hinge", "logcosh", "poisson"),
    *("false_pos", "false_neg", "falsepos", "falseneg"),
    *("dissimilarity", "inaccurac"),
)
_LARGER = (
    *("(?<!in)accurac", "accs?(?![a-z])", "auc", "prc", "(?<!im)precision"),
    *("recall", "(?<!f)f1", "fbeta", "(?<![a-z])r2", "(?<!v)iou", "io_u"),
    *("sensitivity", "specificity", "(?<!dis)similarity", "jaccard(?!_?d)"),
    *("(?<![cw])hit", "(?<!de)correlation"),
    *("true_pos", "true_neg", "truepos", "trueneg"),
)
_BATCH = 256
_MODES = ("auto", "min", "max")


class Task:
    """Losses, metrics, and what is watched of them.

    Args:
        model: a built `keras.Model`, compiled or not.
        sample: `(x, y, weights)`, some training data, by which a loss is
            chosen for a model that has none.
        loss, metrics: as for `compile`; `None` takes those of the model.
        monitor: `str`, the name of a metric as `evaluate` gives it, or a
            function `(x, y, outputs) -> float` of all validation data;
            `None` takes the first metric, or the loss.
        mode: `"max"` if larger is better, `"min"` if smaller is, `"auto"`
            to tell by the name.

    Attributes:
        monitor: `str`.
        larger: `bool`, whether larger is better.
        is_function: `bool`, whether a function tells the metric.
        outputs: list of `outputs.Output`, what each output holds.

    Raises:
        ValueError: If there is no loss, the metric is not computed, or
            nobody knows whether larger is better.
    """

    def __init__(
        self,
        model,
        sample,
        loss=None,
        metrics=None,
        monitor=None,
        mode="auto",
    ):
        self._model, self._given = model, {}
        self._compiled = _compiled(model)
        self.loss, guess = _loss_of(model, sample[1], loss)
        self.guessed = bool(guess)
        if metrics is None and guess:
            metrics = guess
        if metrics is not None:
            self._given["metrics"] = metrics
        if loss is not None:
            # Weights of losses belong to the losses that were compiled.
            self._compiled = {
                k: v for k, v in self._compiled.items() if k != "loss_weights"
            }
        self.outputs = outputs_lib.of(model, self.loss)
        _check_monitor(monitor)
        self._function = monitor if callable(monitor) else None
        self.is_function = self._function is not None
        self._masks = output_masks.Masks(model, sample[0])
        self._judge = self._judging_model()
        self.monitor = self._checked(monitor, sample)
        self.larger = self._direction(mode)

    def compiling(self):
        """Fresh arguments of `compile`, all but the optimizer."""
        found = {"loss": self.loss}
        names = ["loss_weights"]
        if "metrics" not in self._given:
            names += ["metrics", "weighted_metrics"]
        for name in names:
            part = self._compiled.get(name)
            if part is not None:
                found[name] = compile_state.renewed(part)
        if "metrics" in self._given:
            found["metrics"] = compile_state.renewed(self._given["metrics"])
        return found

    def _judging_model(self):
        """Outputs in, outputs out: for the metrics that Keras computes.

        Masks of outputs come in too, after the outputs.
        """
        # A Sequential model does not name its only output.
        last = self._model.layers[-1].name
        names = _of_layers(output.name or last for output in self.outputs)
        inputs = [
            keras.Input(t.shape[1:], dtype=t.dtype, name=f"of_{name}")
            for t, name in zip(self._model.outputs, names, strict=True)
        ]
        given = self._masks.inputs()
        copies = [
            keras.layers.Identity(name=name)(t)
            if mask is None
            else output_masks.Masked(name=name)([t, mask])
            for t, mask, name in zip(inputs, given, names, strict=True)
        ]
        inputs += [mask for mask in given if mask is not None]
        packed = copies[0]
        if not isinstance(self._model, keras.Sequential):
            packed = keras.tree.pack_sequence_as(self._model.output, copies)
        judge = keras.Model(inputs, packed)
        if self._function is None:
            judge.compile("sgd", **self.compiling())
        return judge

    def evaluate(self, outputs_of, source, limit=None):
        """The metrics of a model, or of anything that gives its outputs.

        Args:
            outputs_of: function from inputs, as they stand in the data, to
                outputs, numpy.
            source: a `Source`.
            limit: `int`, samples that are looked at; all if `None`.

        Returns:
            `dict` from the names of metrics to `float`s.
        """
        if self._function is not None:
            return self._by_function(outputs_of, source, limit)
        outputs, y, weights = self._whole(outputs_of, source, limit)
        found = self._judge.evaluate(
            outputs,
            y,
            sample_weight=weights,
            batch_size=_BATCH,
            return_dict=True,
            verbose=0,
        )
        return numbers_of(found)

    def _whole(self, outputs_of, source, limit):
        """Outputs, targets and weights of all samples."""
        parts = []
        for x, y, weights in source.batches(limit=limit):
            outputs = keras.tree.flatten(outputs_of(x))
            parts.append(([*outputs, *self._masks.of(x)], y, weights))
        outputs, y, weights = keras.tree.map_structure(_joined, *parts)
        return (outputs if len(outputs) > 1 else outputs[0]), y, weights

    def _by_function(self, outputs_of, source, limit):
        parts = [
            (x, y, outputs_of(x)) for x, y, _ in source.batches(limit=limit)
        ]
        whole = keras.tree.map_structure(_joined, *parts)
        return {self.monitor: float(self._function(*whole))}

    def gain(self, values):
        """The watched metric, turned so that larger is better."""
        value = values[self.monitor]
        if np.isnan(value):
            return -np.inf
        return value if self.larger else -value

    def scores(self, y, outputs, mask=None):
        """Minus the loss of each sample, without weights of samples.

        Losses of several outputs count by their weights, as in training.

        Args:
            y: as in the data, numpy.
            outputs: of the model, numpy.
            mask: list of the mask of each output, or `None` for none.

        Returns:
            Array of shape `(samples,)`.
        """
        truths = outputs_lib.in_order(y, self.outputs)
        answers = outputs_lib.in_order(outputs, self.outputs)
        hidden = mask or [None] * len(answers)
        found = 0.0
        for output, weight, truth, answer, kept in zip(
            *(self.outputs, self.loss_weights(), truths, answers, hidden),
            strict=True,
        ):
            if output.loss is not None:
                each = each_sample.loss_of(output.loss, truth, answer, kept)
                found = found - weight * each
        return found

    def loss_weights(self):
        """The weight of the loss of each output, list of `float`."""
        given = self._compiled.get("loss_weights")
        if isinstance(given, dict):
            found = [given.get(output.name) for output in self.outputs]
        else:
            found = [] if given is None else keras.tree.flatten(given)
        if len(found) != len(self.outputs):
            return [1.0] * len(self.outputs)
        return [1.0 if weight is None else weight for weight in found]

    def _checked(self, monitor, sample):
        if self._function is not None:
            return getattr(monitor, "__name__", type(monitor).__name__)
        names = self._computed(sample)
        if monitor is None:
            others = [name for name in names if name != "loss"]
            single = [n for n in others if not n.endswith("_loss")]
            return (single or ["loss"])[0]
        wanted = monitor.removeprefix("val_")
        if wanted not in names:
            raise ValueError(
                "The metric to keep must be a number that is computed: "
                f"{', '.join(names)}. Received: monitor={monitor!r}. Compile "
                "the model with it, or pass metrics=[...]."
            )
        return wanted

    def _computed(self, sample):
        """Names of what `evaluate` gives, as they were compiled.

        The first batch has to fit.
        """
        x, y, weights = sample
        outputs = keras.tree.flatten(self._model(x, training=False))
        outputs += self._masks.of(x)
        try:
            found = self._judge.test_on_batch(
                outputs, y, weights, return_dict=True
            )
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            shapes = keras.tree.map_structure(lambda t: tuple(t.shape), y)
            raise ValueError(
                "Targets must fit the loss and the metrics. Received: y of "
                f"shape {shapes} for outputs of shape "
                f"{[tuple(t.shape[1:]) for t in self._model.outputs]} with "
                f"loss={title(self.loss)}: {reason}"
            ) from error
        # TensorFlow sorts what a step gives by its name; the judge does not.
        names = numbers_of(found)
        return [n for n in self._judge.get_metrics_result() if n in names]

    def _direction(self, mode):
        if mode not in _MODES:
            raise ValueError(
                f"`mode` must be one of {', '.join(_MODES)}. Received: "
                f"mode={mode!r}."
            )
        if mode != "auto":
            return mode == "max"
        name = self._name_of_metric()
        smaller, larger = (
            max(
                (found.start() for found in re.finditer(part, name)), default=-1
            )
            for part in map("|".join, (_SMALLER, _LARGER))
        )
        # The last word counts: "accuracy_loss" is a loss.
        if smaller != larger:
            return larger > smaller
        raise ValueError(
            "Whether a larger metric is better must be known. Received: "
            f"monitor={self.monitor!r}, mode='auto'. Pass mode='max' or "
            "mode='min'."
        )

    def _name_of_metric(self):
        """What is watched, in small letters, without the output's name."""
        name = self.monitor
        outputs = [output.name for output in self.outputs]
        if len(outputs) > 1:
            # The longest one first: one may begin as another does.
            for output in sorted(outputs, key=len, reverse=True):
                if name.startswith(f"{output}_"):
                    return name.removeprefix(f"{output}_").lower()
        return name.lower()


def numbers_of(values):
    """The metrics that are a number, as `dict` of `float`s.

    An F1 score without an average has one for each class.
    """
    return {k: float(v) for k, v in values.items() if np.size(v) == 1}


def _of_layers(names):
    """Names of outputs as layers may have them: each once, no slashes.

    Keys of a `dict` of outputs may have slashes, and one layer may give several
    outputs.
    """
    found = []
    for name in names:
        name = name.replace("/", "_")
        while name in found:
            name += "_"
        found.append(name)
    return found


def outputs_of(model, y, loss=None):
    """The outputs of a model, as `Task.outputs`, before there is a task."""
    loss, _ = _loss_of(model, y, loss)
    return outputs_lib.of(model, loss)


def label_mode(model, loss=None):
    """How `keras.utils` has to write the classes of folders."""
    first = outputs_lib.of(model, loss)[0]
    if first.kind == "sparse" or len(first.shape) != 2:
        return "int"
    if first.shape[-1] == 1:
        return "binary"
    # Nobody knows what a loss of the user's own takes.
    is_open = first.kind == "none" or first.has_own_loss
    return "int" if is_open else "categorical"


def _check_monitor(monitor):
    is_function = callable(monitor)
    is_function &= not isinstance(monitor, keras.metrics.Metric)
    if not (monitor is None or isinstance(monitor, str) or is_function):
        raise ValueError(
            "`monitor` must be the name of a metric, or a function (x, y, "
            f"outputs) -> number. Received: monitor={monitor!r}. Metrics of "
            "Keras go into metrics=[...]."
        )


def _compiled(model):
    """What `compile` was given, a `dict`, with objects where they are kept."""
    found = compile_state.arguments(model)
    if found is not None:
        return found
    config = model.get_compile_config() or {}
    return {
        name: keras.saving.deserialize_keras_object(part)
        for name, part in config.items()
        if name in ("loss_weights", "metrics", "weighted_metrics")
    }


def _loss_of(model, y, loss):
    """`(loss, metrics)`; metrics are empty unless the loss is guessed."""
    if loss is None and model.compiled:
        loss = model.loss
    if loss is not None:
        return loss, []
    return _guess(model, y)


def _guess(model, y):
    """`(loss, metrics)` for a model that is not compiled."""
    if len(model.outputs) != 1 or not hasattr(y, "shape"):
        raise ValueError(
            "A model with several outputs needs losses. Received: "
            f"model={model.name!r}, which is not compiled. Compile it, or "
            "give loss=."
        )
    shape, (end,) = tuple(model.outputs[0].shape), output_ends.of(model)
    softmax = end == output_ends.End.SOFTMAX
    whole = np.issubdtype(y.dtype, np.integer) or y.dtype == bool
    losses = keras.losses
    if shape[-1] > 1 and whole and y.size == len(y) * np.prod(shape[1:-1]):
        loss = losses.SparseCategoricalCrossentropy(from_logits=not softmax)
        return loss, ["accuracy"]
    if softmax and y.shape[1:] == shape[1:]:
        return losses.CategoricalCrossentropy(), ["accuracy"]
    if whole and y.size and set(np.unique(y)) <= {0, 1}:
        sigmoid = end == output_ends.End.SIGMOID
        threshold = 0.5 if sigmoid else 0.0
        accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=threshold)
        return losses.BinaryCrossentropy(from_logits=not sigmoid), [accuracy]
    return losses.MeanSquaredError(), ["mae"]


def _joined(*arrays):
    if arrays[0] is None:
        return None
    arrays = [keras.ops.convert_to_numpy(a) for a in arrays]
    shapes = sorted({a.shape[1:] for a in arrays})
    if len(shapes) > 1:
        raise ValueError(
            "Samples must have one shape in all batches, as metrics are "
            "computed over all of them. Received: shapes "
            f"{', '.join(map(str, shapes))} without the batch axis. Pad them "
            "to one length."
        )
    return np.concatenate(arrays)


def title(loss):
    """A loss, or those of several outputs, as text."""
    if isinstance(loss, dict):
        return ", ".join(f"{name}: {title(of)}" for name, of in loss.items())
    if isinstance(loss, (list, tuple)):
        return ", ".join(map(title, loss))
    if loss is None or isinstance(loss, str):
        return repr(loss)
    return getattr(loss, "__name__", type(loss).__name__)
