"""Finds the ops that a runtime refuses in what it reports."""

import re

from tfprune.export.file import model_file

_BY_NUMBER = (
    # TFLite Micro, then TFLite.
    re.compile(r"Node (?P<kind>\w+) \(number (?P<number>\d+)"),
    re.compile(r"Node number (?P<number>\d+) \((?P<kind>\w+)\) failed"),
)
_BY_KIND = re.compile(r"Didn't find op for builtin opcode '(\w+)'")

# The op into which Vela compiles a file, whole or in part.
NPU_OP = "ethos-u"
# Why loops are no good on TFLite Micro, and what to do.
LOOPS = (
    "Its loops (WHILE) may not end, or give wrong outputs without an error. "
    "Export with runtime='micro' or quantize='int8', which unroll recurrent "
    "layers; loops of other layers must be written out."
)


def is_endless(error):
    """Whether `micro_runner` ended an inference that took too long.

    Args:
        error: `str`, how it died.
    """
    return "SIGVTALRM" in error


def check_npu(file, shown):
    """Raises `RuntimeError` if a file is compiled for an NPU.

    Args:
        file: `model_file.ModelFile`.
        shown: the path to name.
    """
    if NPU_OP in file.ops:
        raise RuntimeError(
            "A file that TFLite Micro runs on this machine is required. "
            f"Received: path={str(shown)!r}, which Vela has compiled for an "
            f"NPU (the op {NPU_OP}). Pass the file that Vela read. The "
            "compiled one is for a program with Arm's driver of the NPU, whose "
            "op resolver has AddEthosU()."
        )


def culprits(path, text):
    """The ops that a runtime refuses.

    Args:
        path: `str` or path-like, the file.
        text: `str`, the runtime's error and log.

    Returns:
        `(kind, names)`: the op ("SQRT") and a list of the names of its outputs;
        `None` and an empty list if the text names no op.
    """
    if is_endless(text):
        found = model_file.output_names(path)
        return "WHILE", [name for kind, name in found if kind == "WHILE"]
    for pattern in _BY_NUMBER:
        found = pattern.search(text)
        if found:
            number = int(found["number"])
            names = model_file.output_names(path)
            # The number is out of range if a delegate has replaced ops.
            names = names[number : number + 1]
            return found["kind"], [name for _, name in names]
    found = _BY_KIND.search(text)
    if found is None:
        return None, []
    names = model_file.output_names(path)
    return found[1], [name for kind, name in names if kind == found[1]]
