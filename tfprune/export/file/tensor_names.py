"""The names of the tensors of a .tflite file."""

import re
import unicodedata

from tfprune.export.file import packing


def plain(name):
    """The name in ASCII letters, digits and underscores, the last not first."""
    letters = without_accents(name)
    return re.sub(r"\W", "_", letters, flags=re.ASCII).lstrip("_")


def without_accents(text):
    """The text without accents and other combining characters."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c for c in letters if not unicodedata.combining(c))


def layers(name):
    """The layers that a tensor's name tells of.

    Where TensorFlow's converter fuses ops, it joins the paths of all of them:
    "net/bn/mul;net/conv/BiasAdd" becomes "bn + conv". Names that are no paths
    stay as they are.

    Args:
        name: `str`, paths of name scopes: model, layers, op.

    Returns:
        `str`.
    """
    paths = [path.split("/") for path in name.split(";")]
    return " + ".join(
        dict.fromkeys(
            "/".join(path[1:-1] if len(path) > 2 else path[:1])
            for path in paths
        )
    )


def without(data, scope):
    """The file without a name scope in the names of its tensors.

    Args:
        data: `bytes` of a .tflite file.
        scope: `str`, the name of the scope.

    Returns:
        `bytes`.
    """
    model = packing.unpacked(data)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = (tensor.name or b"").replace(
                b"/%b" % scope.encode(), b""
            )
    return packing.packed(model)
