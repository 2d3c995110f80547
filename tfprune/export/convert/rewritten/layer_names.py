"""Names the ops of a traced graph by the layers that they belong to."""

import itertools
import re

# The scope that a layer's ops stand in, given its name.
MARK = "{}__layer"
_MARKED = re.compile(r"(.*)__layer(?:_\d+)?")


def rewrite(graph):
    """Renames nodes, so that their scopes are the layers' names.

    TensorFlow numbers scopes whose names it has seen. Where a layer is used
    several times, the last part of a node's name gets a number.

    Args:
        graph: `GraphDef`, changed in place, whose layers have scopes of
            `MARK` inside those of Keras.

    Returns:
        `dict` from the old to the new name of each node outside functions.
    """
    functions = {}
    for function in graph.library.function:
        names = _names(node.name for node in function.node_def)
        if any(old != new for old, new in names.items()):
            _rename(function.node_def, names)
            for results in (function.ret, function.control_ret):
                for key, reference in list(results.items()):
                    results[key] = _renamed(reference, names)
            # TensorFlow has the function as it was, under its name.
            old = function.signature.name
            functions[old] = function.signature.name = f"{old}_of_layers"
    for body in (graph.node, *(f.node_def for f in graph.library.function)):
        _call(body, functions)
    names = _names(node.name for node in graph.node)
    _rename(graph.node, names)
    return names


def give(graph, wanted):
    """Gives nodes the names of inputs and outputs, as far as they are free.

    TensorFlow numbers those that scopes have, such as that of the model.

    Args:
        graph: `GraphDef`, changed in place.
        wanted: list of `(name, new name)` of nodes.

    Returns:
        List of the names that they have now.
    """
    taken, names = {node.name for node in graph.node}, {}
    for old, new in wanted:
        if new not in taken:
            names[old] = new
            taken.add(new)
    _rename(graph.node, names)
    return [names.get(old, old) for old, _ in wanted]


def _names(names):
    """`dict` from names to those that tell of layers."""
    names = list(names)
    scopes = _scopes(names)
    wanted = {name: _told(name.split("/"), scopes) for name in names}
    taken = {name for name in names if wanted[name] == name}
    found = {}
    for name in names:
        changed = wanted[name] != name
        found[name] = _free(wanted[name], taken) if changed else name
        taken.add(found[name])
    return found


def _free(name, taken):
    if name not in taken:
        return name
    numbered = (f"{name}_{i}" for i in itertools.count(1))
    return next(x for x in numbered if x not in taken)


def _scopes(names):
    """`dict` from Keras' scopes of layers to the names of these."""
    found = {}
    for name in names:
        parts = name.split("/")
        for i in range(1, len(parts)):
            layer = _layer(parts[i])
            if layer is not None and _is_numbered(parts[i - 1], layer):
                found[tuple(parts[:i])] = layer
    return found


def _layer(part):
    match = _MARKED.fullmatch(part)
    return match and match[1]


def _is_numbered(part, layer):
    return re.fullmatch(re.escape(layer) + r"(_\d+)?", part) is not None


def _told(parts, scopes):
    """The name of a node, given the parts of its path."""
    told = []
    for i, part in enumerate(parts):
        layer = _layer(part)
        if layer is None:
            told.append(scopes.get(tuple(parts[: i + 1]), part))
        elif tuple(parts[:i]) not in scopes:
            told.append(layer)
    return "/".join(told)


def _rename(nodes, names):
    for node in nodes:
        node.name = names.get(node.name, node.name)
        for i, reference in enumerate(node.input):
            node.input[i] = _renamed(reference, names)
        places = node.attr["_class"].list.s if "_class" in node.attr else ()
        for i, place in enumerate(places):
            at, _, name = place.decode().partition("@")
            places[i] = f"{at}@{names.get(name, name)}".encode()


def _call(nodes, functions):
    """Changes the names of the functions that nodes call."""
    for node in nodes:
        for value in node.attr.values():
            for called in (value.func, *value.list.func):
                if called.name in functions:
                    called.name = functions[called.name]


def _renamed(reference, names):
    """A reference to a node, `^node`, `node:0` or `node:output:0`."""
    control = "^" if reference.startswith("^") else ""
    name, colon, rest = reference[len(control) :].partition(":")
    return f"{control}{names.get(name, name)}{colon}{rest}"
