"""Elements of HTML and SVG, which escape all text.

A layer named `<script>` is shown, not run.
"""

import numbers
from xml.etree import ElementTree


def tag(kind, /, *children, **attributes):
    """An element.

    Args:
        kind: `str`, the name of an element of HTML or of SVG.
        *children: texts, elements and lists of both; `None` is skipped.
        **attributes: texts and numbers; `None` and `False` are skipped, `True`
            becomes an attribute without a value. Underscores become hyphens; a
            trailing one (`class_`) is dropped.

    Returns:
        An `xml.etree.ElementTree.Element`.

    Example:

    >>> text(tag("p", "a < b", class_="note"))
    '<p class="note">a &lt; b</p>'
    """
    element = ElementTree.Element(kind)
    for key, value in attributes.items():
        if value is not None and value is not False:
            key = key.rstrip("_").replace("_", "-")
            element.set(key, "" if value is True else _plain(value))
    _append(element, children)
    return element


def text(element):
    """The element as HTML, `str`."""
    return ElementTree.tostring(element, encoding="unicode", method="html")


def document(element):
    """A whole page, `bytes` in UTF-8; lone surrogates become "?"."""
    return f"<!DOCTYPE html>\n{text(element)}\n".encode(errors="replace")


def _append(element, children):
    for child in children:
        if child is None:
            continue
        if isinstance(child, (list, tuple)):
            _append(element, child)
        elif isinstance(child, ElementTree.Element):
            element.append(child)
        elif len(element):
            last = element[-1]
            last.tail = (last.tail or "") + _plain(child)
        else:
            element.text = (element.text or "") + _plain(child)


def _plain(value):
    """Text of a value; two decimals suffice for coordinates."""
    if isinstance(value, numbers.Real) and not isinstance(value, int):
        # Adding 0.0 turns -0.0 into 0.0.
        return f"{round(float(value), 2) + 0.0:.2f}".rstrip("0").rstrip(".")
    return str(value)
