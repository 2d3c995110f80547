"""Pages of the site from elsewhere: reference, examples and changelog.

A hook of MkDocs. The reference has a page for the verbs of `tfprune` and one
for each of its public rooms, with every name that they export.
"""

import ast
import pathlib
import re

import yaml
from mkdocs.structure import files as files_lib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tfprune"
_VERBS = "reference/index.md"
# Pages that stand outside of docs/, and where their links lead on the site.
_ELSEWHERE = {
    "changelog.md": "CHANGELOG.md",
    "examples.md": "examples/README.md",
}
_PLACES = {
    "examples/README.md": "examples.md",
    "../docs/": "",
    "docs/": "",
}
# What the theme would load from elsewhere to search pages on a disk; it has to
# run before the theme's own scripts.
_FOREIGN = re.compile(r"https://unpkg\.com/iframe-worker/shim")
_OWN = "javascripts/file_worker.js"


def on_files(files, config):
    """Adds the generated pages to those on disk."""
    rooms, verbs = face()
    pages = {_VERBS: _page("tfprune", verbs, _summary("tfprune"))}
    for room in rooms:
        name = f"tfprune.{room}"
        pages[f"reference/{room}.md"] = _page(
            name, exported(PACKAGE / room), _summary(name)
        )
    for page, source in _ELSEWHERE.items():
        text = (ROOT / source).read_text()
        for link, place in _PLACES.items():
            text = text.replace(f"]({link}", f"]({place}")
        pages[page] = text
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


def on_post_page(output, page, config):
    """Lets a page load nothing from elsewhere."""
    own = files_lib.File(_OWN, None, "", use_directory_urls=False)
    return _FOREIGN.sub(own.url_relative_to(page.file), output)


def face():
    """`(rooms, verbs)`: what `tfprune` exports, modules or not, as `dict`s."""
    found = exported(PACKAGE)
    rooms = {name: home for name, home in found.items() if is_room(name)}
    return rooms, {k: v for k, v in found.items() if k not in rooms}


def is_room(name):
    """Whether a name of the face is a package."""
    return (PACKAGE / name).is_dir()


def exported(folder):
    """What a package exports, read without importing it.

    Args:
        folder: `pathlib.Path` of the package.

    Returns:
        `dict` from each public name to where the site finds it, in dots.

    Raises:
        ValueError: If the package does not say what it exports.
    """
    package = ".".join(folder.relative_to(ROOT).parts)
    assigned = {}
    for node in ast.parse((folder / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign):
            for target in ast.walk(node.targets[0]):
                if isinstance(target, ast.Name):
                    assigned[target.id] = node.value
    names = assigned.get("__all__")
    if isinstance(names, ast.List):
        return {n: f"{package}.{n}" for n in ast.literal_eval(names)}
    if isinstance(names, ast.Call):  # lazy.attach(__name__, homes)
        homes = names.args[1]
        if isinstance(homes, ast.Name):
            homes = assigned[homes.id]
        homes = ast.literal_eval(homes)
        return {name: _in_module(name, homes[name]) for name in homes}
    raise ValueError(
        "A public room must say what it exports. Received: "
        f"package={package}, whose __init__.py has no __all__."
    )


def _in_module(name, home):
    return home if home.endswith(f".{name}") else f"{home}.{name}"


def _summary(name):
    """The docstring of a package."""
    folder = ROOT.joinpath(*name.split("."))
    tree = ast.parse((folder / "__init__.py").read_text())
    return ast.get_docstring(tree)


def _page(name, names, summary):
    """Markdown with an entry for each of `exported`."""
    head = yaml.safe_dump({"title": name})
    entries = "\n".join(f"::: {place}\n" for place in names.values())
    return f"---\n{head}---\n\n# {name}\n\n{summary}\n\n{entries}"
