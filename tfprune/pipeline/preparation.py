"""Reads and checks what a run is given, and makes its job of it."""

import dataclasses
import hashlib
import json
import pathlib
import re
import types
import typing

import keras
import numpy as np

from tfprune.core.files import leftovers
from tfprune.costs import counting
from tfprune.graph import compile_state
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values as values_lib
from tfprune.graph.classes import model_class
from tfprune.pipeline import channel_choice
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import recipe as recipe_lib
from tfprune.pipeline import teacher_outputs
from tfprune.pipeline import tuning
from tfprune.pipeline.request import door_checks
from tfprune.pipeline.request import fingerprints
from tfprune.pipeline.request import sources
from tfprune.pipeline.request import task as task_lib
from tfprune.pipeline.request import wishes
from tfprune.pipeline.result import measured
from tfprune.surgery import depth

# Measured, where there are files.
_ON_FILES = ("flash_bytes", "image_bytes", "ram_bytes")
_CALIBRATION = 256  # Training samples that int8 ranges are measured on.


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of `compress` that its trials depend on.

    Attributes:
        wish: a `Wish`.
        runtime: `str`, where files are measured, or `None` for no files.
        Others: as for `compress`.
    """

    model: keras.Model
    train: typing.Any
    validation: typing.Any
    wish: wishes.Wish
    recipe: recipe_lib.Recipe
    teacher: keras.Model | None
    loss: typing.Any
    metrics: typing.Any
    monitor: typing.Any
    mode: str
    options: dict
    seed: int
    epochs: int | None
    points: int
    runtime: str | None


class Preparation:
    """Model and data, read and checked.

    Args:
        request: a `Request`.

    Attributes:
        request: a `Request`.
        task: `Task`.
        train, validation: `Source`s.
        counts: `dict`, samples of each.

    Raises:
        ValueError: If data, metric, labels or the teacher do not suit the
            model.
    """

    def __init__(self, request):
        self.request, model = request, request.model
        self._graph = read.channel_graph(model)
        counting.check_sizes(self._graph)
        mode_of_labels = task_lib.label_mode(model, request.loss)
        self.train, self.validation = (
            sources.Source(
                data,
                purpose,
                model,
                mode_of_labels,
                request.recipe.batch_size,
                request.seed,
                keeps_labels,
            )
            for data, purpose, keeps_labels in (
                (request.train, "training", False),
                # A monitor function reads labels as they are.
                (request.validation, "validation", callable(request.monitor)),
            )
        )
        sources.check_classes(self.train, self.validation)
        sample = self.train.first(request.recipe.batch_size)
        self.validation.first(1)
        door_checks.check_inputs(model, sample[0], "training")
        outputs = task_lib.outputs_of(model, sample[1], request.loss)
        self.counts = {
            source.purpose: door_checks.check_data(model, outputs, source)
            for source in self._checked()
        }
        self.task = task_lib.Task(
            model,
            sample,
            request.loss,
            request.metrics,
            request.monitor,
            request.mode,
        )
        if callable(request.monitor):
            self.counts["validation"] = door_checks.check_data(
                model, None, self.validation
            )
        self._check_teacher()

    def _checked(self):
        """Data to check; a monitor function may use any validation labels."""
        if callable(self.request.monitor):
            return [self.train]
        return [self.train, self.validation]

    def _check_teacher(self):
        teacher = self.request.teacher
        if teacher is None:
            return
        if not self.request.recipe.teacher:
            raise ValueError(
                "A teacher needs a recipe that has one. Received: "
                f"teacher={teacher!r} with Recipe(teacher=False)."
            )
        sample = self.train.some(64)[0]
        door_checks.check_teacher(
            teacher, self.request.model, self.task.outputs, sample
        )

    def key(self):
        """Everything of model and data that the result depends on.

        Of data that are no arrays, only as much as `Source.digest` looks at.
        """
        teacher, task = self.request.teacher, self.task
        compiling = task.compiling()
        found = {
            "model": _digest(self.request.model),
            "training": self.train.digest(),
            "validation": self.validation.digest(),
            "samples": self.counts,
            "loss": fingerprints.of(compiling.pop("loss")),
            "loss_weights": fingerprints.of(compiling.pop("loss_weights", 0)),
            "metrics": fingerprints.of(compiling),
            "monitor": task.monitor,
            "larger": task.larger,
        }
        if task.is_function:
            found["monitor"] = fingerprints.of(self.request.monitor)
        if teacher is not None:
            found["teacher"] = _digest(teacher)
        table = getattr(self.request.wish.budget, "latency_table", None)
        if table is not None:
            found["latency table"] = fingerprints.of(vars(table))
        return found

    def resolve(self, space):
        """Converts the wish to absolute limits that can be met.

        Args:
            space: a `Workspace`, for a wish that needs a latency table.

        Raises:
            ValueError: If a limit is out of reach.
        """
        asked, recipe = self.request, self.request.recipe
        self._selection = self.train.some(recipe.selection)[:2]
        self._calibration = self.train.some(_CALIBRATION)[0]
        budget = asked.wish.resolved(asked.model, space, self._calibration)
        graph, self._start = self._graph, asked.model
        options = asked.options
        if getattr(budget, "depth", None) is not None:
            skip = options.get("skip", ())
            graph, budget, skip = depth.cut(
                graph, budget, self._selection, skip
            )
            options = {**options, "skip": skip}
            self._start = graph.model
        self._options = options
        self._costs = wishes.Costs({}, {})
        if budget is not None or asked.wish.max_loss is not None:
            on_files = () if asked.runtime is None else _ON_FILES
            self._costs = wishes.costs(
                *(budget, graph, recipe, self._selection, options),
                on_files,
            )
            self._check_files(graph, on_files)

    def _check_files(self, graph, limits):
        """Raises a `ValueError` if the smallest network's file is too large.

        It is made only where it is too large as predicted.
        """
        asked, ceilings = self.request, self._costs.ceilings
        limits = [name for name in limits if name in ceilings]
        options = self._options
        least = channel_choice.least(
            *(self._start, limits, options), core=asked.wish.core
        )
        if all(least[name] <= ceilings[name] for name in limits):
            return
        keep = channel_choice.smallest(graph, options)
        small = self._measured(rebuild.shrink(graph, keep))
        dense = None
        for name in limits:
            key, ceiling = measured.OF_LIMITS[name], ceilings[name]
            if name in asked.wish.shares:
                dense = dense or self._measured(asked.model)
                ceiling = int(dense[key] * asked.wish.shares[name])
            if small[key] > ceiling:
                raise measured.out_of_reach(name, ceiling, small[key])

    def _measured(self, model):
        """Bytes of a model's file, as of `measured.export`."""
        with leftovers.folder() as folder:
            path = pathlib.Path(folder, "model.tflite")
            asked = self.request
            return measured.export(
                model,
                path,
                types.SimpleNamespace(
                    calibration=self._calibration,
                    core=asked.wish.core,
                    dense_scales=asked.wish.dense_scales,
                    runtime=asked.runtime,
                ),
            )

    def job(self, space, clock):
        """The `Job`, its baseline not measured yet; after `resolve`.

        Args:
            space: a `Workspace`.
            clock: a `Clock`.
        """
        asked, recipe = self.request, self.request.recipe
        space.clock = clock
        teacher = told = inputs = None
        if recipe.teacher:
            teacher = tuning.teacher_of(asked.teacher or asked.model)
            told = teacher_outputs.TeacherOutputs(teacher, self.train)
        if recipe.reconstruction:
            inputs = self.train.some(recipe.reconstruction)[0]
        return job_lib.Job(
            model=asked.model,
            start=self._start,
            task=self.task,
            train=self.train,
            validation=self.validation,
            recipe=recipe,
            teacher=teacher,
            told=told,
            clock=clock,
            tell=lambda **facts: None,
            selection=self._selection,
            inputs=inputs,
            calibration=self._calibration,
            workspace=space,
            options=self._options,
            ceilings=self._costs.ceilings,
            table=self._costs.table,
            runtime=asked.runtime,
            baseline={"costs": self._costs.dense},
            shares=asked.wish.shares,
            core=asked.wish.core,
            dense_scales=asked.wish.dense_scales,
            max_loss=asked.wish.max_loss,
            points=asked.points,
            epochs=asked.epochs,
        )


def with_graph(model):
    """A model that knows its inputs and outputs.

    Args:
        model: a built `keras.Model`.

    Returns:
        The model itself; a Functional one of the same layers, compiled
        likewise, if it is subclassed.

    Raises:
        ValueError: If the call of a subclassed model cannot be traced.
    """
    if getattr(model, "inputs", None):
        return model
    traced, _ = read.as_graph_model(model)
    # Made anew, as the traced one becomes of the user's class again.
    plain = keras.Model(traced.input, traced.output, name=model.name)
    compile_state.compile_as(plain, model)
    return plain


def sized(model, input_shape):
    """A model whose inputs have sizes that another one leaves open.

    Args:
        model: a `keras.Model` that knows its inputs.
        input_shape: as for `tfprune.channel_graph`.

    Returns:
        The model itself if it knows all sizes; one of the same class and
        weights, compiled likewise, if not.

    Raises:
        ValueError: If the sizes are not those of the model.
    """
    graph = read.channel_graph(model, input_shape)
    old, given = ([x.shape for x in one.inputs] for one in (model, graph))
    if old == given:
        return model
    if any(
        a not in (None, b)
        for pair in zip(old, given, strict=True)
        for a, b in zip(*pair, strict=True)
    ):
        raise ValueError(
            "An input_shape must fill in what the model leaves open. Received: "
            f"input_shape={input_shape} for {model.name!r} with inputs of "
            f"shape {[shape[1:] for shape in old]}."
        )
    config = document.copied(graph.config)
    entries = {
        entry["config"]["name"]: entry["config"]
        for entry in config["layers"]
        if entry["class_name"] == "InputLayer"
    }
    names = [*entries]
    if "input_layers" in config:  # Sequential models have one.
        names = [r[0] for r in document.references(config["input_layers"])]
    for name, shape in zip(names, given, strict=True):
        entries[name]["batch_shape"] = shape
    new = rebuild.build(graph.model, config, lambda variable: variable.value)
    return model_class.restored(new)


def _digest(model):
    """A hash of a model's layers and weights."""
    found = hashlib.sha256()
    config = json.dumps(model.get_config(), default=repr, sort_keys=True)
    # Without the addresses of objects that have no config.
    found.update(re.sub(r" at 0x[0-9a-f]+", "", config).encode())
    for variable in model.weights:
        array = values_lib.numpy(variable, exact=True)
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
