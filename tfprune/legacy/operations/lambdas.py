"""Lambda layers: code in a file."""

import base64
import marshal
import sys
import types

import keras
import numpy as np

_CODE = ("code", "defaults", "closure")


def build(cls, config, name, safe_mode):
    """A Lambda layer.

    Args:
        cls: its class.
        config: `dict`, as Keras 2 wrote it.
        name: `str`, the layer's in the new model.
        safe_mode: `bool`; if false, its code may run.

    Raises:
        ValueError: If the code must not run, or cannot be read, and no
            function is registered under the layer's name.
    """
    own = keras.saving.get_registered_object(config["name"])
    if own is not None:
        return cls(own, name=name, arguments=config.get("arguments") or {})
    if safe_mode:
        raise ValueError(
            "Code in a file must be allowed explicitly. Received: "
            f"Lambda layer {config['name']!r}. If you trust the file, pass "
            "allow_lambda=True; or give a function for the layer, as "
            f"custom_objects={{{config['name']!r}: function}}."
        )
    function = config["function"]
    if isinstance(function, str):
        known = keras.saving.get_registered_object(function)
        if known is not None:
            return cls(
                known,
                name=name,
                arguments=config.get("arguments") or {},
            )
    arguments = config.get("arguments") or {}
    try:
        if isinstance(function, dict) and (
            function.get("class_name") == "__lambda__"  # as archives have it
        ):
            function = [function["config"].get(key) for key in _CODE]
        if isinstance(function, (list, tuple)):
            made = _function(*function, home=config.get("module"))
            return cls(made, name=name, arguments=arguments)
        settings = {"name": name, "function": function, "arguments": arguments}
        return cls.from_config(settings, safe_mode=False)
    except (EOFError, TypeError, ValueError) as error:
        raise ValueError(
            "The code of a Lambda layer must be from this Python version. "
            f"Received: layer {config['name']!r}, whose code cannot be "
            "read. Give a function in its place, as custom_objects="
            f"{{{config['name']!r}: function}}."
        ) from error


def _function(code, defaults, closure, home):
    """The function of a code, which finds what it found in Keras 2."""
    code = marshal.loads(base64.b64decode(code))
    cells = tuple(types.CellType(value) for value in closure or ())
    home = sys.modules.get(home)
    return types.FunctionType(
        code,
        _modules() | (vars(home) if home else {}),
        code.co_name,
        tuple(defaults or ()),
        cells or None,
    )


def _modules():
    """What code of Keras 2 uses without an import of its own, by name."""
    found = {"__builtins__": __builtins__, "np": np, "keras": keras}
    try:
        import tensorflow as tf
    except ImportError:  # Other backends do without.
        return found
    return found | {"tf": tf, "K": tf.keras.backend}
