"""What a failed conversion means, in words."""

import re

# An input or an output that only float ops read or write.
_FLOAT_ENDS = re.compile(r"Unsupported (?:input|output) type \w+ for")
_WITHOUT_KERNEL = re.compile(r"^(?:TF Select|Custom) ops: (.*)$", re.M)


def are_float_ends(answer):
    """Whether it failed since a float op reads an input or writes an output.

    Args:
        answer: `child.Answer` of `converter`.
    """
    return bool(answer.error and _FLOAT_ENDS.search(answer.error))


def of(answer, manifest, quantize):
    """The exception for a failed conversion.

    Args:
        answer: `child.Answer` of `converter`.
        manifest: `dict`, from `graph_file.write`.
        quantize: `str`, as for `export_tflite`.

    Returns:
        A `ValueError` if ops have no kernel, else a `RuntimeError`.
    """
    names = sorted(
        {
            name.strip()
            for found in _WITHOUT_KERNEL.findall(answer.error)
            for name in found.split(",")
        }
    )
    if names:
        return ValueError(_refusal(names, manifest["places"]))
    hint = ""
    if any("While" in op for op in manifest["places"]):
        hint = (
            " The model holds a loop, which the converter handles in float "
            "only: write out its steps."
        )
    if manifest.get("quantized"):
        hint = (
            f" Keras has quantized {', '.join(manifest['quantized'])}: export "
            "the model in float, and quantize the file."
        )
    reason = answer.error.splitlines()[0][:500]
    return RuntimeError(
        "The TFLite converter must take the model. Received: "
        f"quantize={quantize!r}, and the converter failed ({reason}).{hint} "
        f"Its log ends: {answer.ending}"
    )


def _refusal(names, places):
    listed = [f"{n} (at {places[n]})" if n in places else n for n in names]
    return (
        "Every op must have a built-in TFLite kernel. Received: a model with "
        f"{', '.join(listed)}. Replace the layers that use them."
    )
