"""The Python files of the checkout and what they import, read with `ast`."""

import ast
import dataclasses
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("tfprune", "tfprune_test", "tools", "examples", "benchmarks")


def write_data(path, value):
    """Writes what a tool has measured, a line for each row of a table.

    Args:
        path: `pathlib.Path`, of a .json file.
        value: dicts and lists of numbers and `str`.
    """
    path.write_text(f"{_json(value)}\n")


def _json(value, indent=""):
    """JSON in which only a list of no other lists stays on one line."""
    inner = indent + " "
    if isinstance(value, dict):
        ends = "{}"
        lines = [
            f"{json.dumps(key)}: {_json(value[key], inner)}"
            for key in sorted(value)
        ]
    elif isinstance(value, list) and all(isinstance(v, list) for v in value):
        ends, lines = "[]", [json.dumps(row) for row in value]
    else:
        return json.dumps(value)
    text = ",".join(f"\n{inner}{line}" for line in lines)
    return f"{ends[0]}{text}\n{indent}{ends[1]}"


@dataclasses.dataclass(frozen=True)
class Import:
    """One import statement, or one name of it.

    Args:
        module: `str`, the dotted module that is imported.
        line: `int`, counted from 1.
        at_import: `bool`, whether it runs when its file is imported
            (`False` inside a function).
    """

    module: str
    line: int
    at_import: bool


def python_files(root=ROOT, folders=FOLDERS):
    """The Python files in `folders`, as sorted paths relative to `root`."""
    found = (p for f in folders for p in (root / f).rglob("*.py"))
    return sorted(p.relative_to(root) for p in found)


def module_name(path):
    """The dotted name under which the file at `path` is imported."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree, path, known):
    """What the file imports, in the order of its lines.

    Args:
        tree: The `ast.Module` of the file.
        path: `pathlib.Path` of the file, relative to the checkout.
        known: The module names of the checkout. `from a.b import c` goes to
            `a.b.c` if that is one of them, else to `a.b`.

    Returns:
        A list of `Import`s.
    """
    inner = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(outer)
    }
    found = [
        Import(module, node.lineno, id(node) not in inner)
        for node in ast.walk(tree)
        for module in _targets(node, path, known)
    ]
    return sorted(found, key=lambda entry: entry.line)


def _targets(node, path, known):
    if isinstance(node, ast.Import):
        return [_script(alias.name, path, known) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, path)
        full = [f"{base}.{alias.name}" for alias in node.names]
        return [name if name in known else base for name in full]
    if isinstance(node, ast.Call) and node.args:
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        name = getattr(node.args[0], "value", None)
        if called in ("import_module", "__import__") and isinstance(name, str):
            return [name]
    return []


def _script(name, path, known):
    """A script finds the files of its own folder by their bare names."""
    sibling = module_name(path.with_name(f"{name}.py"))
    package = module_name(path.with_name("__init__.py"))
    return sibling if sibling in known and package not in known else name


def _absolute(node, path):
    """The module of `from ..a import b`, without the dots."""
    if not node.level:
        return node.module
    package = path.parts[: len(path.parts) - node.level]
    return ".".join((*package, *filter(None, [node.module])))
