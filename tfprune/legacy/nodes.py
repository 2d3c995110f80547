"""The calls of layers in the config of a Functional model of Keras 1 and 2.

A tensor is a list `[layer, call, tensor]`, with arguments behind it where a
layer is called.
"""


def one(nested):
    """A list of one tensor's reference as that reference."""
    listed = isinstance(nested, list) and len(nested) == 1
    return nested[0] if listed else nested


def is_reference(value, entries):
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and value[0] in entries
    )


def first_calls(config, entries):
    """The number of each layer's first call, by name; a model's may be 1."""
    nodes = [entry["inbound_nodes"] for entry in config["layers"]]
    first = {}
    for name, call in references([*nodes, config["output_layers"]], entries):
        first[name] = min(call, first.get(name, call))
    return first


def references(nested, entries):
    """Yields `(layer, call)` of all tensors in the arguments of a call."""
    for name, call, _ in tensors(nested, entries):
        yield name, call


def tensors(nested, entries):
    """Yields `(layer, call, tensor)` of the same."""
    if is_reference(nested, entries):
        yield tuple(nested[:3])
        nested = nested[3:]
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, list):
        for value in nested:
            yield from tensors(value, entries)


def only_for_losses(config, entries, kinds):
    """The names of the layers of some classes that no output needs."""
    needed = {
        name
        for name, entry in entries.items()
        if entry["class_name"] not in kinds
    }
    waiting = [config["output_layers"]]
    waiting += [entries[name]["inbound_nodes"] for name in needed]
    while waiting:
        for name, _ in references(waiting.pop(), entries):
            if name not in needed:
                needed.add(name)
                waiting.append(entries[name]["inbound_nodes"])
    return set(entries) - needed


def decoded(nested, tensors, entries):
    if is_reference(nested, entries):
        return tensors[nested[0], nested[1]][nested[2]]
    if isinstance(nested, dict):
        return {k: decoded(v, tensors, entries) for k, v in nested.items()}
    if isinstance(nested, list):
        return [decoded(v, tensors, entries) for v in nested]
    return nested


def arguments(node, tensors, entries, function=False):
    """`(args, kwargs)` of a call, as Keras 2 wrote it.

    A layer's call is a list of `[layer, call, tensor, kwargs]`, a function's
    one of these where it takes one tensor first, and a list where it takes a
    list, be it of one tensor. A model's may be a `dict`, and lists may hold
    lists.
    """
    one = isinstance(node, list) and node and isinstance(node[0], str)
    parts = [node] if one or isinstance(node, dict) else node
    first = [_argument(part, tensors, entries) for part in parts]
    kwargs = decoded(settings(node), tensors, entries)
    listed = not one if function else len(first) > 1
    return (first if listed else first[0],), kwargs


def settings(node):
    """What a call takes beside its first argument, a `dict`."""
    return next((leaf[3] for leaf in _leaves(node) if len(leaf) > 3), {}) or {}


def _argument(part, tensors, entries):
    """A tensor or a constant, or a list or a `dict` of these."""
    if isinstance(part, dict):
        return {k: _argument(v, tensors, entries) for k, v in part.items()}
    if not part or not isinstance(part[0], str):
        return [_argument(inner, tensors, entries) for inner in part]
    if part[0] == "_CONSTANT_VALUE":
        return part[2]
    return decoded(part[:3], tensors, entries)


def _leaves(node):
    """Yields the tensors and constants in the first argument of a call."""
    if isinstance(node, dict):
        node = list(node.values())
    if node and isinstance(node[0], str):
        yield node
        return
    for part in node:
        yield from _leaves(part)
