"""Trains a network: cosine decay, the best epoch's weights, a state on disk."""

import dataclasses
import io
import json
import math
import time

import keras
import numpy as np

from tfprune.core.files import atomic
from tfprune.graph import values as values_lib
from tfprune.pipeline import tutor
from tfprune.pipeline.request import task as task_lib
from tfprune.sparsity import wrapping
from tfprune.training import fused_normalization
from tfprune.training import reused_memory

_EVERY = 5.0  # Minimum seconds between two writes of the state.


@dataclasses.dataclass
class Training:
    """The record of a training.

    Attributes:
        epochs: `int`, the maximum number of epochs.
        curve: list of `dict`, one for each epoch: `epoch`, `rate` (the learning
            rate), `seconds`, the training metrics and, as `val_...`, the
            validation metrics.
        best: `int`, the epoch whose weights are used, that of the best metric
            and of the least loss among equals; 0 means before training.
        before: `dict`, the validation metrics before training.
    """

    epochs: int
    curve: list = dataclasses.field(default_factory=list)
    best: int = 0
    before: dict = dataclasses.field(default_factory=dict)


def teacher_of(model):
    """A plain, untrainable copy of a model."""
    copy = wrapping.unwrap(model)
    copy.trainable = False
    return copy


def tune(model, job, epochs=None, until=None, path=None, stage=""):
    """Trains a model in place, and restores the weights of its best epoch.

    Args:
        model: a `keras.Model`.
        job: has `task`, `train`, `validation`, `recipe`, `teacher`, `told` (its
            outputs), `clock` and `tell`; see `job.Job`.
        epochs: `int`, or `None` for as many as time permits.
        until: `float`, the second of the clock at which training must end.
        path: `pathlib.Path` of the state, to resume from if it exists; `None`
            writes no state.
        stage: `str`, the name of the stage for the progress display.

    Returns:
        A `Training`.
    """
    reused_memory.reuse_memory()
    core = _quick(model)
    learner = core
    taught = False
    if job.teacher is not None:
        taught = job.told.are_reusable
        learner = tutor.Tutored.of(
            core,
            job.teacher,
            job.task.outputs,
            job.recipe.temperature,
            job.recipe.label_weight,
            taught,
            job.task.loss_weights(),
        )
        # On a CPU, compiling with XLA takes longer than the predictions.
        core.compile(jit_compile=keras.backend.backend() == "jax")
    optimizer = keras.optimizers.Adam(job.recipe.learning_rate)
    learner.compile(optimizer, **job.task.compiling())
    optimizer.build(core.trainable_variables)
    keeper = _Keeper(core, optimizer, job, epochs, until, path, stage)
    keeper.begin()
    if not keeper.is_done:
        data = job.told if taught else job.train
        feed = data.epochs(keeper.done)
        # An attribute `epoch` of the user's own data is theirs.
        keeper.feed = None if feed is job.train.data else feed
        learner.fit(
            feed,
            epochs=keeper.most,
            initial_epoch=keeper.done,
            shuffle=False,
            verbose=0,
            callbacks=[keeper],
        )
        keeper.write()
    for variable, value in zip(model.variables, keeper.weights, strict=True):
        variable.assign(value)
    return keeper.training


def _quick(model):
    """A copy with fused batch normalization, if it trains faster that way."""
    fusible = any(
        isinstance(layer, keras.layers.BatchNormalization)
        for layer in model.layers
    )
    plain = isinstance(model, keras.Sequential) or _is_functional(model)
    if keras.backend.backend() == "tensorflow" and fusible and plain:
        return fused_normalization.fast(model)
    return model


def _is_functional(model):
    return "layers" in model.get_config() and bool(model.inputs)


class _Keeper(keras.callbacks.Callback):
    """Sets the rate, evaluates each epoch, keeps the best, writes the state."""

    def __init__(self, core, optimizer, job, epochs, until, path, stage):
        super().__init__()
        self._core, self._optimizer, self._job = core, optimizer, job
        self._until, self._path, self._stage = until, path, stage
        self._fixed = epochs is not None
        self.most = epochs if self._fixed else job.recipe.most_epochs
        self.training = Training(self.most)
        self.weights, self._rank = None, [-math.inf, -math.inf]
        self._written = self._epoch_began = 0.0
        self.feed = None

    @property
    def done(self):
        return len(self.training.curve)

    @property
    def is_done(self):
        return self.done >= self._planned() or self._job.clock.over

    def begin(self):
        """Restores the state from disk, or evaluates the untrained model."""
        if self._path is not None and self._path.exists():
            self._restore()
            return
        values = self._measured()
        self._rank, self.weights = self._ranked(values), self._values()
        self.training.before = values

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_began = time.monotonic()
        if hasattr(self.feed, "epoch"):
            self.feed.epoch = epoch
        rate = self._job.recipe.learning_rate
        rate *= (1 + math.cos(math.pi * self._progress(epoch))) / 2
        self.model.optimizer.learning_rate = rate
        self._rate = rate

    def on_train_batch_end(self, batch, logs=None):
        if self._job.clock.stopped or self._seconds_left() <= 0:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        values = self._measured()
        line = {
            "epoch": epoch + 1,
            "rate": self._rate,
            **task_lib.numbers_of(logs or {}),
            **{f"val_{k}": v for k, v in values.items()},
        }
        rank = self._ranked(values)
        if rank > self._rank:
            self._rank, self.weights = rank, self._values()
            self.training.best = epoch + 1
        line["seconds"] = time.monotonic() - self._epoch_began
        self.training.curve.append(line)
        self._job.tell(
            stage=self._stage,
            epoch=epoch + 1,
            epochs=self._planned(),
            value=values[self._job.task.monitor],
        )
        if self.done >= self._planned():
            self.model.stop_training = True
        if time.monotonic() - self._written > _EVERY:
            self.write()

    def _measured(self):
        return self._job.task.evaluate(
            self._core.predict_on_batch, self._job.validation
        )

    def _ranked(self, values):
        """What the best epoch has most of: the metric, then less loss.

        On few validation samples many epochs have the same accuracy.
        """
        gain = self._job.task.gain(values)
        return [float(gain), -float(values.get("loss", 0))]

    def _seconds_left(self):
        clock = self._job.clock
        left = clock.left
        if self._until is not None:
            left = min(left, self._until - clock.spent)
        return left

    def _progress(self, epoch):
        """`float` in [0, 1], how much of the training an epoch is at.

        With a limit on time it follows the clock, as the number of epochs is
        not known: the first ones may be slower, while the teacher answers.
        """
        progress = (epoch + 0.5) / max(self.most, epoch + 1)
        if self._fixed:
            return progress
        times = [line["seconds"] for line in self.training.curve]
        done = sum(times)
        half = float(np.median(times[-3:])) / 2 if times else 0.0
        left = max(self._seconds_left(), half)
        by_time = (done + half) / max(done + left, 1e-3)
        return min(1.0, max(progress, by_time))

    def _planned(self):
        """The total number of epochs, estimated from the latest ones' time."""
        if self._fixed:
            return self.most
        if not self.training.curve:
            return self.most
        latest = [line["seconds"] for line in self.training.curve[-3:]]
        more = self._seconds_left() / max(np.median(latest), 1e-3)
        return int(min(self.most, self.done + max(0, more)))

    def _values(self):
        return [np.array(_value(v)) for v in self._core.variables]

    def _state(self):
        return [*self._core.variables, *self._optimizer.variables]

    def write(self):
        """Writes the state, completely or not at all.

        Not once the run is stopped: the last epoch may have been cut short.
        """
        if self._path is None or self._job.clock.stopped:
            return
        arrays = {f"v{i}": _value(v) for i, v in enumerate(self._state())}
        arrays |= {f"w{i}": value for i, value in enumerate(self.weights)}
        facts = {
            **dataclasses.asdict(self.training),
            "rank": self._rank,
            "spent": self._job.clock.spent,
        }
        buffer = io.BytesIO()
        np.savez(buffer, facts=json.dumps(facts), **arrays)
        atomic.write({self._path: buffer.getvalue()})
        self._written = time.monotonic()

    def _restore(self):
        with np.load(self._path) as arrays:
            facts = json.loads(str(arrays["facts"]))
            for i, variable in enumerate(self._state()):
                variable.assign(arrays[f"v{i}"])
            self.weights = [
                arrays[f"w{i}"] for i in range(len(self._core.variables))
            ]
        self._rank = facts.pop("rank")
        self._job.clock.resume(facts.pop("spent", 0.0))
        self.training = Training(**facts)


def _value(variable):
    """The value as numpy can store it: bfloat16 becomes float32."""
    return values_lib.numpy(variable)
