"""Pruning on a schedule, inside `fit` and in custom training loops."""

import math
import typing

import keras
from absl import logging

from tfprune.core import typed
from tfprune.datasets import replays
from tfprune.schedules import schedule as schedule_lib
from tfprune.schedules import timing
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import wrapper as wrapper_lib


def prune_now(model, sparsity, budget=None, data=None, step=0):
    """Prunes all scheduled methods of a wrapped model to a sparsity.

    Args:
        model: a model from `wrap`; its masks change in place.
        sparsity: `float`, the fraction to prune; with a `budget`, the
            fraction of the way from the dense model to the budget.
        budget: a `tfprune.Budget`, for methods that mask channels.
        data: data for criteria that need them.
        step: `int`, the optimizer step to record for this update.

    Raises:
        ValueError: If `sparsity` is no fraction, if no layer has a scheduled
            method, or if a method refuses the sparsity or the budget.
    """
    sparsity = timing.sparsity("sparsity", sparsity)
    _prune(model, sparsity, budget, data, step)


def _prune(model, sparsity, budget, data, step):
    """Like `prune_now`; nothing is pruned where a schedule is below zero."""
    found = _scheduled(model)
    _check_all(found, sparsity, budget)
    for method, slots in found:
        method.update(model, slots, sparsity, budget, data)
    for wrapper in _scheduled_wrappers(model):
        wrapper.updated.assign(step)
    _follow(model, None)


class PruneOnSchedule(keras.callbacks.Callback):
    """Updates the masks of a wrapped model on a schedule.

    At the end of each batch, the callback compares `optimizer.iterations`
    with the schedule to see whether an update has fallen due since the last
    one. No update is lost if several steps run in one call
    (`steps_per_execution`) or several batches make one step (gradient
    accumulation). The step of the last update is a model variable, saved with
    the weights, so resumed training continues as if it had not stopped. List
    this callback before `Backup` and `ModelCheckpoint`, so that they save its
    updates.

    A new optimizer starts at step 0, and the schedule with it. A schedule that
    the model has not followed before makes up for its updates before the
    current step. To keep the masks as they are, call `fit` without this
    callback.

    `logs` gets `sparsity`, the fraction of zeros among all wrapped weights;
    for masked channels, `macs_ratio`, the fraction of multiply-adds that
    `strip` leaves; and for `BitPruning`, the average bits. All are as of the
    last update or the end of the epoch.

    `EarlyStopping(restore_best_weights=True)` also restores the masks of the
    best epoch; set its `start_from_epoch` past the end of the schedule.

    Args:
        schedule: a schedule, such as `Polynomial`; a number, which means
            `Constant`; or a `tfmot` `PruningSchedule`.
        budget: a `tfprune.Budget` to reach. The schedule's values are then
            the fraction of the way to it, so it must end at 1.
        data: data for criteria that need them, as for `tfprune.prune`. Once a
            generator has ended, updates get what the first of them has read.

    Example:

    >>> pruning = tfprune.PruneOnSchedule(
    ...     tfprune.schedules.Polynomial(0.0, 0.8, begin=200, end=2000))
    >>> wrapped.fit(dataset, epochs=10, callbacks=[pruning])

    In a custom training loop:

    >>> pruning.set_model(wrapped)
    >>> for x, y in dataset:
    ...     wrapped.train_on_batch(x, y)
    ...     pruning.update(int(wrapped.optimizer.iterations))
    """

    def __init__(
        self,
        schedule: typing.Any,
        budget: budget_lib.Budget | None = None,
        data: typed.Data = None,
    ):
        super().__init__()
        self.schedule = schedule_lib.get(schedule)
        budget_lib.check(budget)
        self.budget = budget
        self.data = data
        self._resolved = self.schedule
        self._figures: dict = {}
        self._step = self._batch = 0
        self._next = None
        self._measured = None  # the step at which the logs were measured
        self._untold = None
        self._anew = False  # no update so far was one of this schedule
        self._began = None  # the step, until the first epoch
        self._planned = None  # the last step, once it is known

    def set_model(self, model):
        if model is not self.model:
            self._figures = {}
        super().set_model(model)

    def on_train_begin(self, logs=None):
        self._measured = self._planned = None
        steps = self.params.get("steps")
        if steps:
            steps /= _batches_per_step(self.model.optimizer)
        self._resolved = self.schedule.resolved(steps)
        self._check_others()
        self._check(self._resolved.highest())
        followed = [
            schedule
            for wrapper in _scheduled_wrappers(self.model)
            for schedule in wrapper.state.schedules
        ]
        known = self._followed in followed
        if not isinstance(self._followed, str):
            known |= wrapper_lib.UNKNOWN in followed
        self._anew = bool(followed) and not known
        self._began = _step_of(self.model)
        self._untold = steps  # until the first epoch, whose number tells more

    def _check_others(self):
        """Raises an error if another schedule updates the masks meanwhile."""
        wrappers = _scheduled_wrappers(self.model)
        followers = wrappers[0].state.followers if wrappers else {}
        for other, resolved in followers.items():
            # `fit` hands the same parameters to all of its callbacks.
            same = other is not self and other.params is self.params
            if same and _overlap(self._resolved, resolved):
                raise ValueError(
                    "One schedule at a time can update the masks of a model. "
                    f"Received: {other.schedule!r} and {self.schedule!r} in "
                    "one training. Pass one PruneOnSchedule, or let one "
                    "schedule begin where the other ends."
                )
        followers[self] = self._resolved

    def _check(self, highest):
        """Raises now the errors that would stop the training later."""
        found = _scheduled(self.model)
        _check_end(highest)
        _check_all(found, highest, self.budget)
        for method, slots in found:
            method.check_training(
                self.model, slots, highest, self.budget, self.data
            )

    def _look_ahead(self, start, end):
        """Checks a schedule that may not say how high it will go, or when.

        Args:
            start, end: the first and the last step of the training.
        """
        highest = self._resolved.highest(range(start, end + 1))
        if highest > self._resolved.highest():
            self._check(highest)
        # What another library's does after this training is not known.
        known = not isinstance(self._resolved, schedule_lib.Foreign)
        if known and self.budget is not None and highest < 1 - 1e-6:
            logging.warning(
                "The schedule goes %.4g of the way to the budget, which is "
                "not met then: %r. Let it end at 1.",
                highest,
                self.schedule,
            )
        self._warn_of_no_update(start, end, highest)

    def _warn_of_no_update(self, start, end, highest):
        """Says before the training that it will end before the first update."""
        if wrapper_lib.sparsity(self.model):
            return
        due = self._resolved.due(start, self._last(start))
        first = start if due else self._resolved.next_due(start)
        if highest and first is not None and first <= end:
            return
        logging.warning(
            "The schedule prunes nothing in this training, which goes from "
            "step %d to %d: %r. Let it begin earlier, or train longer.",
            start,
            end,
            self.schedule,
        )

    @property
    def _followed(self):
        """What the model notes of this schedule: text that lasts in a file.

        Another library's without a config is known as an object alone.
        """
        noted = self._resolved
        if isinstance(noted, schedule_lib.Foreign):
            try:
                config = noted.foreign.get_config()
            except (AttributeError, NotImplementedError):
                return noted, repr(self.budget)
            noted = type(noted.foreign).__name__, config
        return repr((noted, self.budget))

    def on_epoch_begin(self, epoch, logs=None):
        _follow(self.model, self._followed)
        if self._began not in (None, _step_of(self.model)):
            # A backup was restored, in which this schedule was followed.
            self._anew = False
        self._began = None
        # A step beyond the current one was counted by another optimizer.
        self._anew |= _updated(self.model) > _step_of(self.model)
        steps, self._untold = self._untold, None
        if steps:
            start = _step_of(self.model)
            left = self.params.get("epochs", 0) - epoch
            self._planned = start + int(steps * left)
            self._look_ahead(start, self._planned)
        self._look(batch=-1)

    def on_train_batch_end(self, batch, logs=None):
        logs = {} if logs is None else logs
        # Every batch makes at most one optimizer step. Fetching the true
        # number waits for the device, so do it only when it may matter.
        reached = self._step + batch - self._batch
        if self._next is not None and reached >= self._next:
            self._synchronize()
            updated = self.update(_step_of(self.model))
            self._look(batch)
            self._measured = self._step if updated else None
        logs.update(self._figures)

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if self._measured != _step_of(self.model):
            self._measure()
        logs.update(self._figures)

    def on_train_end(self, logs=None):
        """Says that a training has ended before its schedule, against plan."""
        step, last = _step_of(self.model), self._resolved.end
        if None in (self._planned, last) or not step < last <= self._planned:
            return
        logging.warning(
            "The training ended at step %d, before the schedule's last update "
            "at step %d: the sparsity is %.4g. Loss scaling skips steps whose "
            "gradients are not finite, and EarlyStopping ends a training: let "
            "the schedule end earlier, or train on.",
            step,
            last,
            wrapper_lib.sparsity(self.model),
        )

    def update(self, step):
        """Prunes if an update has fallen due at `step` or before.

        Args:
            step: `int`, the current optimizer step.

        Returns:
            `bool`, whether it pruned.
        """
        if not self._resolved.due(step, self._last(step)):
            return False
        if self._resolved.next_due(step) is not None:
            self.data = replays.replayed(self.data)
        sparsity = self._resolved(step)
        _check_end(sparsity)
        _prune(self.model, sparsity, self.budget, self.data, step)
        _follow(self.model, self._followed)
        self._anew = False
        self._measure()
        return True

    def _measure(self):
        self._figures = {
            "sparsity": wrapper_lib.sparsity(self.model),
            **wrapper_lib.figures(self.model),
        }

    def _last(self, step):
        """The step of the last update, `None` if there was none yet."""
        last = _updated(self.model)
        never = last == wrapper_lib.NEVER or last > step or self._anew
        return None if never else last

    def _look(self, batch):
        """Notes the step, and the next one that matters."""
        self._batch = batch
        self._step = _step_of(self.model)
        last = self._last(self._step)
        if self._resolved.due(self._step, last):
            self._next = self._step + 1
        else:
            self._next = self._resolved.next_due(self._step)

    def _synchronize(self):
        # During `fit`, the JAX trainer holds the state outside the model.
        synchronize = getattr(self.model, "jax_state_sync", None)
        if synchronize is not None:
            synchronize()


def _follow(model, schedule):
    """Lets a model note what it follows."""
    for wrapper in _scheduled_wrappers(model):
        if schedule not in wrapper.state.schedules:
            wrapper.state.schedules.append(schedule)


def _overlap(a, b):
    """Whether two resolved schedules have steps in common, but for an end."""
    ends = [math.inf if each.end is None else each.end for each in (a, b)]
    return a.begin < ends[1] and b.begin < ends[0]


def _updated(model):
    """The step of the last update of all layers."""
    return min(_as_int(w.updated) for w in _scheduled_wrappers(model))


def _step_of(model):
    return _as_int(model.optimizer.iterations)


def _as_int(variable):
    # A TensorFlow distribution strategy keeps several copies of a variable.
    return int(keras.ops.convert_to_numpy(variable))


def _batches_per_step(optimizer):
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return optimizer.gradient_accumulation_steps or 1


def _scheduled(model):
    found = [
        (method, slots)
        for method, slots in wrapper_lib.groups(model)
        if method.is_scheduled
    ]
    if not found:
        raise ValueError(
            "A schedule needs a model whose layers are wrapped with a "
            f"scheduled method. Received: model={model.name!r}, which has "
            "none. Use `tfprune.wrap(model, tfprune.methods.Masked())`."
        )
    return found


def _check_all(found, sparsity, budget):
    """Checks methods: a penalty needs another one that meets the budget."""
    alone = all(method.only_penalizes for method, _ in found)
    for method, _ in found:
        beside = method.only_penalizes and not alone
        method.check(sparsity, None if beside else budget)


def _check_end(sparsity):
    """Raises a `ValueError` if a schedule goes beyond 1; sums may round."""
    if not sparsity <= 1 + 1e-6:
        timing.sparsity("sparsity", sparsity)


def _scheduled_wrappers(model):
    return [w for w in wrapper_lib.find(model) if w.updated is not None]
