"""Short names for the tensors of a .tflite file."""


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
