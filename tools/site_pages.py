"""Pages of the site from elsewhere: reference, examples, notebooks, changelog.

A hook of MkDocs. The reference has a page for the verbs of `tfprune` and one
for each of its public rooms, with every name that they export.
"""

import ast
import json
import pathlib
import re

import griffe
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
# The parts of the README that a page asks for by a comment.
_README_PARTS = {
    "code": r"^```python\n.*?^```$",
    "result": r"(?<=<!-- result:begin -->\n).*?(?=<!-- result:end -->)",
    "first": r"(?<=<!-- first:begin -->\n).*?(?=<!-- first:end -->)",
}
# What the theme would load from elsewhere to search pages on a disk; it has to
# run before the theme's own scripts.
_FOREIGN = re.compile(r"https://unpkg\.com/iframe-worker/shim")
_OWN = "javascripts/file_worker.js"
# The backend beside a block's language, which the site takes for a paragraph.
_BACKEND = re.compile(r"^(```python) \w+$", re.M)
# The dash that mkdocstrings puts where no type stands before it.
_DASH = re.compile(r"(doc-section-item field-body\">\s*)–\s")


def on_files(files, config):
    """Adds the generated pages to those on disk."""
    rooms, verbs = face()
    package = griffe.load("tfprune", search_paths=[ROOT])
    pages = {_VERBS: _page("tfprune", verbs, package)}
    for room in rooms:
        names = exported(PACKAGE / room)
        name = f"tfprune.{room}"
        pages[f"reference/{room}.md"] = _page(name, names, package)
    for page, source in _ELSEWHERE.items():
        pages[page] = _moved((ROOT / source).read_text())
    for source in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        text = notebook(json.loads(source.read_text()), source.name)
        pages[f"notebooks/{source.stem}.md"] = text
    for path, text in pages.items():
        files.append(files_lib.File.generated(config, path, content=text))
    return files


def on_config(config):
    """Puts the reference and the results into the navigation."""
    rooms, _ = face()
    reference = [_VERBS, *(f"reference/{room}.md" for room in rooms)]
    lists = {"Reference": reference, "Results": results()}
    config["nav"] = [
        {title: lists.get(title, page)}
        for entry in config["nav"]
        for title, page in entry.items()
    ]
    return config


def on_page_markdown(markdown, page, **kwargs):
    """Fills in parts of the README, leaves out the backends of blocks."""
    readme = (ROOT / "README.md").read_text()
    for name, pattern in _README_PARTS.items():
        part = re.search(pattern, readme, re.M | re.S)[0].strip()
        markdown = markdown.replace(f"<!-- README: {name} -->", _moved(part))
    return _BACKEND.sub(r"\1", markdown)


def on_post_page(output, page, config):
    """Lets a page load nothing from elsewhere, and mends its lists."""
    output = _DASH.sub(r"\1", output)
    own = files_lib.File(_OWN, None, "", use_directory_urls=False)
    return _FOREIGN.sub(own.url_relative_to(page.file), output)


def results():
    """The navigation of the results: pages under the question they answer.

    Raises:
        ValueError: If a page is not listed in the results' README.
    """
    folder = ROOT / "docs/results"
    entries, listed = ["results/README.md"], set()
    for part in (folder / "README.md").read_text().split("\n## ")[1:]:
        question, _, text = part.partition("\n")
        pages = re.findall(r"\]\((\w+\.md)\)", text)
        entries.append({question: [f"results/{page}" for page in pages]})
        listed.update(pages)
    missing = {p.name for p in folder.glob("*.md")} - listed - {"README.md"}
    if missing:
        raise ValueError(
            "docs/results/README.md must list every page under a question. "
            f"Received: {sorted(missing)}, which it does not name."
        )
    return entries


def notebook(cells, name):
    """A notebook with its outputs as markdown.

    Args:
        cells: `dict`, the notebook as it lies on disk.
        name: `str`, its file, which the page offers.
    """
    parts = []
    for cell in cells["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                picture = "".join(data["image/png"]).strip()
                parts.append(f"![](data:image/png;base64,{picture})")
            else:
                text = output.get("text") or data.get("text/plain", "")
                parts.append(f"```text\n{''.join(text).rstrip()}\n```")
    offer = f"[This page as a notebook]({name})."
    return "\n\n".join([parts[0], offer, *parts[1:]]) + "\n"


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


def _moved(text):
    """A text of a file outside of docs/, its links as the site has them."""
    for link, place in _PLACES.items():
        text = text.replace(f"]({link}", f"]({place}")
    return text


def _page(name, names, package):
    """Markdown with an entry for each of `exported`, after a list of them."""
    head = yaml.safe_dump({"title": name})
    room = package if name == "tfprune" else package[name.partition(".")[2]]
    lines = ["| name | |", "| :-- | :-- |"]
    for short, place in names.items():
        told = package[place.partition(".")[2]].docstring
        first = told.value.partition("\n")[0] if told else ""
        lines.append(f"| [`{short}`][{place}] | {first} |")
    entries = "\n".join(f"::: {place}\n" for place in names.values())
    return "\n\n".join(
        [f"---\n{head}---", f"# {name}", room.docstring.value]
        + ['<div class="names" markdown="1">', "\n".join(lines), "</div>"]
        + [entries]
    )
