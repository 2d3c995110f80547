"""Writes the BUILD files: a target for each module, deps from its imports.

`python -m tools.build_files` writes them, `--check` only names those that are
not current. Packages from elsewhere come with the interpreter and stand as a
comment above the target.
"""

import argparse
import ast
import collections
import sys

from tools import source_tree

# These read the checkout itself, not what was built from it.
CHECKOUT_TESTS = ("floors_test.py", "packaging_test.py")
BINARIES = ("examples", "benchmarks")
RULES = ("py_binary", "py_library", "py_test")
PYTEST_MAIN = "//tools:run_pytest"


def build_files(root=source_tree.ROOT):
    """The text of every BUILD file.

    Args:
        root: `pathlib.Path` of the checkout.

    Returns:
        A `dict` from folder, relative to `root`, to text.

    Raises:
        ValueError: If two files of a folder ask for the same target name.
    """
    paths = [
        path
        for path in source_tree.python_files(root)
        if path.name not in CHECKOUT_TESTS
    ]
    labels = {source_tree.module_name(path): _label(path) for path in paths}
    targets = collections.defaultdict(list)
    for path in paths:
        tree = ast.parse((root / path).read_text())
        found = source_tree.imports(tree, path, labels)
        modules = {entry.module for entry in found}
        rule = _rule(path, tree)
        assets = _assets(root / path, tree)
        row = _target(path, rule, modules, labels, assets)
        targets[path.parent].append(row)
    return {folder: _file(folder, rows) for folder, rows in targets.items()}


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


def _name(path):
    return path.parent.name if path.stem == "__init__" else path.stem


def _label(path):
    folder = path.parent.as_posix()
    if _name(path) == path.parent.name:
        return f"//{folder}"
    return f"//{folder}:{_name(path)}"


def _rule(path, tree):
    if path.name.endswith("_test.py"):
        return "py_test"
    # What is run ends in `if __name__ == "__main__"`; others share its code.
    runs = path.parts[0] in BINARIES and isinstance(tree.body[-1], ast.If)
    return "py_binary" if runs else "py_library"


def _target(path, rule, modules, labels, assets):
    """`(name, rule, text)` of the target for one file."""
    deps = {labels[name] for name in modules if name in labels}
    attributes = {"name": _name(path), "srcs": [path.name]}
    if rule == "py_test":
        deps |= {labels["tfprune_test.conftest"], PYTEST_MAIN}
        attributes["srcs"].append(f"{PYTEST_MAIN}.py")
        attributes["args"] = [f"$(location {path.name})"]
        attributes["main"] = f"{PYTEST_MAIN}.py"
    if rule == "py_library" and path.parts[0] in BINARIES:
        attributes["imports"] = ["."]
    if path.name == "run_pytest.py":
        attributes["data"] = ["//:setup.cfg"]
    elif assets:
        attributes["data"] = assets
    own = f"//{path.parent.as_posix()}:"
    attributes["deps"] = sorted(
        (dep.replace(own, ":") for dep in deps - {_label(path)}),
        key=lambda dep: (dep.startswith("//"), dep.split(":")),
    )
    foreign = {name.split(".")[0] for name in modules if name not in labels}
    foreign -= sys.stdlib_module_names | set(source_tree.FOLDERS)
    comment = f"# Imports {', '.join(sorted(foreign))}.\n" if foreign else ""
    lines = "".join(
        f"    {key} = {_value(value)},\n"
        for key, value in attributes.items()
        if value
    )
    return _name(path), rule, f"{comment}{rule}(\n{lines})\n"


def _assets(path, tree):
    """The files beside a module that it names and reads."""
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    ends = (".css", ".js")
    beside = (f.name for f in path.parent.iterdir() if f.suffix in ends)
    return sorted(name for name in beside if name in texts)


def _value(value):
    """A string or a list of strings as buildifier writes them."""
    if isinstance(value, str):
        return f'"{value}"'
    if len(value) == 1:
        return f'["{value[0]}"]'
    rows = "".join(f'        "{item}",\n' for item in value)
    return f"[\n{rows}    ]"


def _file(folder, rows):
    names = [name for name, _, _ in rows]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise ValueError(
            f"The target names of a folder must differ. Received: two files "
            f"named {twice!r} in {folder}. Rename one of them."
        )
    rules = [rule for rule in RULES if any(rule == r for _, r, _ in rows)]
    symbols = ", ".join(f'"{rule}"' for rule in rules)
    head = (
        f'load("@rules_python//python:defs.bzl", {symbols})\n\n'
        'package(default_visibility = ["//visibility:public"])\n'
    )
    sources = 'exports_files(["run_pytest.py"])\n'
    extra = [sources] if "run_pytest" in names else []
    return "\n".join([head, *extra, *(text for _, _, text in sorted(rows))])


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
