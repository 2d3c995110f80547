"""Writes the BUILD files: a target for each room, deps from its imports.

`python -m tools.build_files` writes them, `--check` only names those that are
not current. Folders that import each other, as a room and the folders in it,
are one target. Scripts of `examples` and `benchmarks` have a target each.
Packages from elsewhere come with the interpreter and stand as a comment above
the target.
"""

import argparse
import ast
import collections
import os
import pathlib
import sys

from tools import source_tree

# These read the checkout itself, not what was built from it.
CHECKOUT_TESTS = ("command_test.py", "floors_test.py", "packaging_test.py")
SCRIPTS = ("examples", "benchmarks")
RULES = ("py_binary", "py_library", "py_test")
PYTEST_MAIN = "//tools:run_pytest.py"


def build_files(root=source_tree.ROOT):
    """The text of every BUILD file.

    Args:
        root: `pathlib.Path` of the checkout.

    Returns:
        A `dict` from folder, relative to `root`, to text.

    Raises:
        ValueError: If folders import each other that stand side by side.
    """
    files = _read(root)
    rooms = _rooms(files)
    found = collections.defaultdict(list)
    for file in files.values():
        found[rooms[file.path.parent]].append(file)
    return {
        room: _build_file(room, inside, files, rooms, _assets(root, inside))
        for room, inside in found.items()
    }


def stale(root=source_tree.ROOT):
    """The BUILD files on disk that are not what `build_files` gives."""
    wanted = {root / k / "BUILD": v for k, v in build_files(root).items()}
    present = {
        path
        for folder in source_tree.FOLDERS
        for path in (root / folder).rglob("BUILD")
    }
    differing = {
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text() != text
    }
    return sorted(differing | (present - wanted.keys()))


class _File:
    """A Python file of the checkout.

    Attributes:
        path: `pathlib.Path`, relative to the checkout.
        modules: set of the dotted names that it imports.
        kind: `"test"`, `"script"`, or `"library"` for what others import.
    """

    def __init__(self, root, path, known):
        tree = ast.parse((root / path).read_text())
        self.path = path
        found = source_tree.imports(tree, path, known)
        self.modules = {entry.module for entry in found}
        # What is run ends in `if __name__ == "__main__"`.
        runs = bool(tree.body) and isinstance(tree.body[-1], ast.If)
        self.kind = "library"
        if path.name.endswith("_test.py"):
            self.kind = "test"
        elif path.parts[0] in SCRIPTS and runs:
            self.kind = "script"


def _read(root):
    """`dict` from dotted names to the files of the checkout."""
    paths = [
        path
        for path in source_tree.python_files(root)
        if path.name not in CHECKOUT_TESTS
    ]
    names = [source_tree.module_name(path) for path in paths]
    return {
        name: _File(root, path, set(names))
        for name, path in zip(names, paths, strict=True)
    }


def _rooms(files):
    """`dict` from each folder to the one whose BUILD file has its target."""
    edges = collections.defaultdict(set)
    for file in files.values():
        edges[file.path.parent]  # Folders that import nothing count as well.
        if file.kind == "library":
            for name in file.modules & files.keys():
                edges[file.path.parent].add(files[name].path.parent)
    reached = {folder: _reached(folder, edges) for folder in edges}
    rooms = {}
    for folder in edges:
        tied = [x for x in reached[folder] if folder in reached[x]]
        top = pathlib.Path(os.path.commonpath([folder, *tied]))
        if top != folder and top not in tied:
            names = ", ".join(sorted(x.as_posix() for x in tied))
            raise ValueError(
                "Folders side by side must not import each other. Received: "
                f"a circle through {names}."
            )
        rooms[folder] = top
    return rooms


def _reached(start, edges):
    """The folders that one imports, and those that these import."""
    found, waiting = set(), [start]
    while waiting:
        for folder in edges[waiting.pop()] - found:
            found.add(folder)
            waiting.append(folder)
    return found


def _assets(root, inside):
    """Names of what the modules of the library read beside themselves."""
    folders = {f.path.parent for f in inside if f.path.parts[0] == "tfprune"}
    beside = (path for folder in folders for path in (root / folder).iterdir())
    code = (".py", ".pyc", "")
    return sorted(p.name for p in beside if p.suffix not in code)


def _build_file(room, inside, files, rooms, assets):
    """The text of the BUILD file of a room."""
    kinds = collections.defaultdict(list)
    for file in inside:
        kinds[file.kind].append(file)
    targets = []

    def add(rule, name, some, **attributes):
        modules = set().union(*(file.modules for file in some))
        deps = {
            _label(files[m], rooms)
            for m in modules & files.keys()
            if files[m] not in some
        }
        targets.append(_target(rule, name, attributes, deps, room, modules))

    if kinds["library"]:
        scripts = room.parts[0] in SCRIPTS
        data = ["//:setup.cfg"] if room.name == "tools" else assets
        add(
            "py_library",
            room.name,
            kinds["library"],
            srcs=_Glob(_patterns(room, kinds["library"]), _leave_out(kinds)),
            **({"imports": ["."]} if scripts else {}),
            **({"data": data} if data else {}),
        )
    for file in kinds["script"]:
        add("py_binary", file.path.stem, [file], srcs=[file.path.name])
    if kinds["test"]:
        add(
            "py_test",
            f"{room.name}_all_test",
            kinds["test"],
            srcs=_Glob(
                _patterns(room, kinds["test"]),
                CHECKOUT_TESTS if room.name == "tfprune_test" else (),
            ),
            args=[room.as_posix()],
            main=PYTEST_MAIN,
        )
    rules = [r for r in RULES if any(r == rule for rule, _ in targets)]
    symbols = ", ".join(f'"{rule}"' for rule in rules)
    head = (
        f'load("@rules_python//python:defs.bzl", {symbols})\n\n'
        'package(default_visibility = ["//visibility:public"])\n'
    )
    extra = ['exports_files(["run_pytest.py"])\n'] * (room.name == "tools")
    return "\n".join([head, *extra, *(text for _, text in targets)])


def _patterns(room, some):
    """Glob patterns for files of a room, relative to it."""
    tests = some[0].kind == "test"
    folders = sorted({f.path.parent.relative_to(room).as_posix() for f in some})
    end = "*_test.py" if tests else "*.py"
    return [end if x == "." else f"{x}/{end}" for x in folders]


def _leave_out(kinds):
    tests = ["*_test.py"] if kinds["test"] else []
    return tests + [file.path.name for file in kinds["script"]]


def _label(file, rooms):
    room = rooms[file.path.parent].as_posix()
    return (
        f"//{room}:{file.path.stem}" if file.kind == "script" else f"//{room}"
    )


class _Glob:
    def __init__(self, patterns, exclude):
        self.patterns, self.exclude = list(patterns), list(exclude)

    def __str__(self):
        rest = f", exclude = {_value(self.exclude)}" if self.exclude else ""
        return f"glob({_value(self.patterns)}{rest})"


def _target(rule, name, attributes, deps, room, modules):
    """`(rule, text)` of one target."""
    own = f"//{room.as_posix()}"
    if rule == "py_test":
        deps = deps | {"//tfprune_test"}
        attributes["srcs"] = f'{attributes["srcs"]} + ["{PYTEST_MAIN}"]'
    if rule == "py_library":
        deps = deps - {own}
    deps = {f":{room.name}" if dep == own else dep for dep in deps}
    if deps:
        attributes["deps"] = sorted(
            deps, key=lambda dep: (dep.startswith("//"), dep)
        )
    foreign = {module.split(".")[0] for module in modules}
    foreign -= sys.stdlib_module_names | set(source_tree.FOLDERS)
    comment = ""
    if foreign:
        comment = f"# Imports {', '.join(sorted(foreign))}.\n"
    rows = "".join(
        f"    {key} = {_attribute(value)},\n"
        for key, value in {"name": name, **attributes}.items()
    )
    return rule, f"{comment}{rule}(\n{rows})\n"


def _attribute(value):
    plain = isinstance(value, str) and value.startswith("glob(")
    return str(value) if plain or isinstance(value, _Glob) else _value(value)


def _value(value):
    """A string or a list of strings as buildifier writes them."""
    if isinstance(value, str):
        return f'"{value}"'
    if len(value) == 1:
        return f'["{value[0]}"]'
    rows = "".join(f'        "{item}",\n' for item in value)
    return f"[\n{rows}    ]"


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    outdated = stale()
    wanted = build_files()
    for path in outdated:
        name = path.relative_to(source_tree.ROOT)
        if check:
            print(f"{name} is not current: run make build-files")
        elif name.parent in wanted:
            path.write_text(wanted[name.parent])
        else:
            path.unlink()
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
