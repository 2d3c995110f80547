"""Docstrings as the site reads them: examples under a name it knows."""

import re
import textwrap

import griffe

_EXAMPLE = re.compile(r"^Example:\n(.*?)(?=^[A-Z]\w+:$|\Z)", re.M | re.S)


class DocstringExamples(griffe.Extension):
    """Makes of a section `Example:`, not indented, one of Google's style."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_indented, obj.docstring.value)


def _indented(match):
    body = textwrap.indent(match[1].strip("\n"), "    ")
    return f"Examples:\n{body}\n\n"
