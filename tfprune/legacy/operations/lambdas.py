"""Lambda layers: code in a file."""

import keras


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
    if isinstance(function, (list, tuple)):
        code, defaults, closure = function
        function = {
            "class_name": "__lambda__",
            "config": {
                "code": code,
                "defaults": defaults,
                "closure": closure,
            },
        }
    settings = {
        "name": name,
        "function": function,
        "arguments": config.get("arguments") or {},
    }
    try:
        return cls.from_config(settings, safe_mode=False)
    except (EOFError, TypeError, ValueError) as error:
        raise ValueError(
            "The code of a Lambda layer must be from this Python version. "
            f"Received: layer {config['name']!r}, whose code cannot be "
            "read. Give a function in its place, as custom_objects="
            f"{{{config['name']!r}: function}}."
        ) from error
