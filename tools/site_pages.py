"""Pages of the site that are made from the code: reference and changelog.

A hook of MkDocs. The reference has a page for the verbs of `tfprune` and one
for each of its public rooms, with every name that they export.
"""

import ast
import pathlib

import yaml
from mkdocs.structure import files as files_lib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tfprune"
_VERBS = "reference/index.md"


def on_files(files, config):
    """Adds the generated pages to those on disk."""
    rooms, verbs = face()
    pages = {_VERBS: _page("tfprune", verbs, _summary("tfprune"))}
    for room in rooms:
        name = f"tfprune.{room}"
        pages[f"reference/{room}.md"] = _page(
            name, exported(PACKAGE / room), _summary(name)
        )
    pages["changelog.md"] = (ROOT / "CHANGELOG.md").read_text()
    for path, text in pages.items():
        files.append(files_lib.File.generated(config, path, content=text))
    return files


def on_config(config):
    """Puts the reference and the results into the navigation."""
    rooms, _ = face()
    results = sorted(p.name for p in (ROOT / "docs/results").glob("*.md"))
    results.remove("README.md")
    lists = {
        "Reference": [_VERBS, *(f"reference/{room}.md" for room in rooms)],
        "Results": [f"results/{name}" for name in ("README.md", *results)],
    }
    config["nav"] = [
        {title: lists.get(title, page)}
        for entry in config["nav"]
        for title, page in entry.items()
    ]
    return config


def face():
    """`(rooms, verbs)`: names that `tfprune` exports, modules or not."""
    names = exported(PACKAGE)
    rooms = [name for name in names if (PACKAGE / name).is_dir()]
    return rooms, [name for name in names if name not in rooms]


def exported(folder):
    """The names in `__all__` of a package, read without importing it."""
    tree = ast.parse((folder / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    raise ValueError(
        f"A public room must say what it exports. Received: {folder.name}, "
        "whose __init__.py has no __all__."
    )


def _summary(name):
    """The docstring of a package."""
    folder = ROOT.joinpath(*name.split("."))
    tree = ast.parse((folder / "__init__.py").read_text())
    return ast.get_docstring(tree)


def _page(name, names, summary):
    """Markdown with an entry for each name."""
    head = yaml.safe_dump({"title": name})
    entries = "\n".join(f"::: {name}.{each}\n" for each in names)
    return f"---\n{head}---\n\n# {name}\n\n{summary}\n\n{entries}"
