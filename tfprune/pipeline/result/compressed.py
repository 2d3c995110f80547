"""The result of `compress`: a model, its file, and their measurements."""

import dataclasses
import pathlib

import keras

from tfprune.core import printed
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.core.files import json_text
from tfprune.graph import compile_state
from tfprune.graph.classes import own_layers
from tfprune.legacy import loading
from tfprune.pipeline.result import workspace


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """One network of a frontier.

    Attributes:
        numbers: `dict` from the names of costs ("int8 flash, measured",
            "int8 flash bytes, predicted") to values.
        values: `dict`, the metrics of the float model.
        file_values: `dict`, the metrics of its int8 file on its runtime.
        kept: `dict` from channel groups to `[kept, total]`.
        curve: list of `dict`, one per training epoch of all rounds.
        folder: `str`, the folder of its `model.keras` and `model.tflite`.
        objects: `dict`, the classes and functions of the user's own that its
            model needs.
    """

    numbers: dict
    values: dict
    file_values: dict
    kept: dict
    curve: list
    folder: str
    objects: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def model(self):
        """The `keras.Model`, read from its file."""
        return loading.load_model(
            str(pathlib.Path(self.folder, "model.keras")),
            custom_objects=self.objects,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Compressed(printed.Printed):
    """The best network found by `compress`.

    Attributes:
        model: a plain `keras.Model`, compiled if the original was.
        dense: the original `keras.Model`, or `None` if not given.
        folder: `str`, the folder with all results.
        before, after: `dict`s from names to measurements of the original and
            the new model, including metrics.
        fits: `bool`, whether the measurements meet all limits.
        limits: `dict` from the names of limits to their values.
        over: `dict` from exceeded limits to the excess.
        monitor: `str`, the metric to preserve.
        larger: `bool`, whether larger is better.
        points: tuple of `Point`, the frontier, from large to small.
        curve: list of `dict`s, one per training epoch of all rounds.
        kept: `dict` from channel groups to `[kept, total]`.
        settings: `dict`, the arguments and settings of the run.
        command: `str`, the command that reproduces the run.
        interrupted: `bool`, whether the run was interrupted.
        report: `str`, the path of `report.html`, or `None`.
    """

    model: object
    dense: object
    folder: str
    before: dict
    after: dict
    fits: bool
    limits: dict
    over: dict
    monitor: str
    larger: bool
    points: tuple
    curve: list
    kept: dict
    settings: dict
    command: str
    interrupted: bool
    report: str | None = None

    @property
    def path(self):
        """`str`, the int8 file, or `None` if there is none."""
        path = pathlib.Path(self.folder, "model.tflite")
        return str(path) if path.exists() else None

    def table(self):
        """A `tables.Table` of both networks."""
        rows, limits = [], self.limits_of_numbers()
        for name, number in self.before.items():
            row = (name, _cell(number), _cell(self.after.get(name)))
            limit = limits.get(name)
            rows.append((*row, "" if limit is None else tables.number(limit)))
        over = _excess(self.over)
        told = "It fits." if self.fits else f"Too large by {over}."
        parts = [told] if self.limits else []
        parts += ["Stopped early by Ctrl-C."] if self.interrupted else []
        return tables.Table(
            ("", "before", "after", "at most"),
            tuple(rows),
            title=" ".join(parts),
        )

    def limits_of_numbers(self):
        """`dict` from the names of measurements to their limits."""
        return {
            name: self.limits[limit]
            for name, limit in _LIMITS.items()
            if limit in self.limits and name in self.before
        }

    def frontier(self):
        """A `tables.Table` with a row for each point.

        It has the costs that limits are for, those of the files if there are
        files; `points` have all.
        """
        names = list(self.points[0].numbers) if self.points else []
        if _FLASH in names:
            names = [name for name in names if name in _LIMITS]
        header = (self.monitor, f"{self.monitor}, int8", *names)
        rows = tuple(
            (
                _cell(p.values.get(self.monitor)),
                _cell(p.file_values.get(self.monitor)),
                *(_cell(p.numbers.get(name)) for name in names),
            )
            for p in self.points
        )
        return tables.Table(header, rows, left=0)

    def to_dict(self):
        """Everything but the models, as plain data."""
        found = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("model", "dense", "points", "folder")
        }
        points = []
        for point in self.points:
            facts = dict(vars(point))
            del facts["objects"]
            folder = pathlib.Path(point.folder)
            facts["folder"] = folder.relative_to(self.folder).as_posix()
            points.append(facts)
        return {**found, "points": points}

    def tables(self):
        """A list of `tables.Table`: both networks, and the frontier."""
        found = [self.table()]
        return [*found, self.frontier()] if self.points[1:] else found


def custom_objects(dense, compiling=None):
    """The classes and functions of the user's own that a result needs.

    Args:
        dense: the original `keras.Model`.
        compiling: `dict`, arguments of `compile`, if not those of `dense`.
    """
    if compiling is None:
        compiling = compile_state.arguments(dense) or {}
    return {
        **own_layers.makers(dense),
        **compile_state.custom_objects([dense, compiling]),
    }


def load(folder, dense=None, objects=None):
    """Loads the result of `compress` from its folder.

    Args:
        folder: `str` or path-like, the folder that `compress` wrote.
        dense: the original `keras.Model`, if available.
        objects: `dict`, as of `custom_objects`; by default those of `dense`.

    Returns:
        A `Compressed`.

    Raises:
        OSError: If a file of the result cannot be read.
        TypeError: If the file of the model holds something else.
        ValueError: If a file of the result is damaged.
    """
    folder = atomic.followed(folder)
    if objects is None:
        objects = {} if dense is None else custom_objects(dense)
    facts = damage.read_json(folder / workspace.RESULT, dict)
    facts.pop("key")
    for name in _MEASURED:
        facts[name] = json_text.measured(facts[name])
    points = tuple(
        Point(
            **{
                **json_text.measured(facts_),
                "folder": str(folder / facts_["folder"]),
            },
            objects=objects,
        )
        for facts_ in facts.pop("points")
    )
    if facts["report"]:
        facts["report"] = str(folder / pathlib.Path(facts["report"]).name)
    model = loading.load_model(
        str(folder / "model.keras"), custom_objects=objects
    )
    if not isinstance(model, keras.Model):
        raise TypeError(
            "The model of a result must be a keras.Model. Received: "
            f"{model!r} from {str(folder / 'model.keras')!r}. Run compress "
            "again."
        )
    return Compressed(
        model=model, dense=dense, folder=str(folder), points=points, **facts
    )


def _excess(over):
    return ", ".join(f"{k} {tables.number(v)}" for k, v in over.items())


def _cell(value):
    if isinstance(value, float):
        return f"{value:.4f}"
    return tables.number(value)


_MEASURED = ("before", "after", "curve")
_FLASH = "int8 flash, measured"
_LIMITS = {
    "MACs": "macs",
    "parameters": "params",
    _FLASH: "flash_bytes",
    "int8 flash and code": "image_bytes",
    "arena, needed on the core": "ram_bytes",
}
