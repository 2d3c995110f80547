"""Frozen records that serialize to plain data: schedules, patterns, methods."""

import dataclasses
import numbers
import types
import typing


class Record:
    """Base class of frozen dataclasses that a config can hold.

    The fields are the config; a record whose fields are not plain data must
    override both methods.
    """

    def get_config(self):
        """Returns the fields by name, as plain data."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config):
        """Creates a record from its config."""
        return cls(**config)


def checked(record):
    """A dataclass that was read from a file, if its fields have their types.

    Args:
        record: a dataclass. Of fields that are annotated with a type, or with
            one of what is inside, the outer type counts; an `int` is taken
            for a `float`.

    Returns:
        `record`.

    Raises:
        TypeError: If a field has another type.
    """
    hints = typing.get_type_hints(type(record))
    for field in dataclasses.fields(record):
        wanted = typing.get_origin(hints[field.name]) or hints[field.name]
        value = getattr(record, field.name)
        if not isinstance(wanted, type) or wanted is types.UnionType:
            continue
        fits = isinstance(value, wanted) or (
            wanted is float and isinstance(value, int)
        )
        if not fits or isinstance(value, bool) != (wanted is bool):
            raise TypeError(
                f"{field.name} must be of type {wanted.__name__}, and is "
                f"{str(value)[:40]!r}"
            )
    return record


def check_number(record, name, interval):
    """Checks a field of a record that is a number.

    Args:
        record: a record.
        name: `str`, the field.
        interval: `str` such as `"[0, inf)"` or `"(0, 1]"`.

    Raises:
        ValueError: If it is no number of this interval.
    """
    value = getattr(record, name)
    low, high = map(float, interval[1:-1].split(","))
    closed = {
        end for end, mark in ((low, "["), (high, "]")) if mark in interval
    }
    is_number = isinstance(value, numbers.Real)
    if not is_number or not (low < value < high or value in closed):
        raise ValueError(
            f"`{name}` must be a number in {interval}. Received: "
            f"{name}={value!r}."
        )


def serialize(record, registry):
    """Serializes a record to its name and config.

    Args:
        record: a `Record` whose class `registry` holds.
        registry: a `tfprune.core.registry.Registry` of record classes.

    Returns:
        `dict` with `name` and `config`.
    """
    for name in registry.names():
        if registry.get(name) is type(record):
            return {"name": name, "config": record.get_config()}
    raise ValueError(
        f"A {registry.kind} must be registered before it is saved. Received: "
        f"{type(record).__name__}. Decorate the class with its registry's "
        "`register(name)`."
    )


def deserialize(spec, registry):
    """Restores a record from `serialize`, or from a bare name.

    Args:
        spec: `dict` from `serialize`, a registered name, or a record, which is
            returned unchanged.
        registry: a `tfprune.core.registry.Registry` of record classes.
    """
    if isinstance(spec, str):
        return registry.get(spec)()
    if isinstance(spec, dict):
        return registry.get(spec["name"]).from_config(dict(spec["config"]))
    if isinstance(spec, Record):
        return spec
    raise ValueError(
        f"A {registry.kind} must be an object, a name or a config. "
        f"Received: {spec!r}. Names: {', '.join(registry.names())}."
    )
