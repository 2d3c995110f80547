"""Frozen records that serialize to plain data: schedules, patterns, methods."""

import dataclasses


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
