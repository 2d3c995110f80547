"""C sources with a .tflite file and what firmware needs to know about it."""

import math
import re

import numpy as np

from tfprune.export.file import tensor_names

_C_TYPES = {
    "float32": "float",
    "bool": "bool",
    **{
        f"{u}int{n}": f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)
    },
}
_A_LINE = 12


def identifier(text):
    """A C identifier made from any text.

    Args:
        text: `str`; letters lose their accents, and other characters that
            an identifier cannot contain become underscores.

    Returns:
        A `str` that begins with a letter and has no two underscores in a
        row (C++ reserves such names).
    """
    plain = tensor_names.without_accents(text)
    name = re.sub(r"[^0-9A-Za-z]+", "_", plain).strip("_")
    if not name:
        return "model"
    return name if name[0].isalpha() else f"model_{name}"


def source(data, name, labels=()):
    """`model.cc`: the file as an array, and the names of the classes.

    Args:
        data: `bytes` of the .tflite file.
        name: `str`, the C identifier that all names begin with.
        labels: sequence of `str`, the names of the classes.

    Returns:
        A `str`.
    """
    text = f"""\
#include "model.h"

#include "model_settings.h"

// To place the array elsewhere than in flash, define
// {name.upper()}_DATA_ATTRIBUTE, for example as
// __attribute__((section(".external_flash"))). It must be memory-mapped.
#ifndef {name.upper()}_DATA_ATTRIBUTE
#define {name.upper()}_DATA_ATTRIBUTE
#endif

alignas(16) {name.upper()}_DATA_ATTRIBUTE
    const unsigned char {name}_data[] = {{
{_lines([f"0x{value:02x}" for value in data])}
}};
const unsigned int {name}_data_bytes = {len(data)};
"""
    if labels:
        listed = "".join(f"    {_literal(label)},\n" for label in labels)
        text += f"""
const char* const {name}_labels[{name.upper()}_LABEL_COUNT] = {{
{listed}}};
"""
    return text


def header(file, name):
    """`model.h`: the array; valid C99 and C++11.

    Args:
        file: `model_file.ModelFile`.
        name: C identifier.

    Returns:
        A `str`.
    """
    upper = name.upper()
    body = f"""\
// The size of the array in flash.
#define {upper}_DATA_BYTES {file.file_bytes}

extern const unsigned char {name}_data[];
extern const unsigned int {name}_data_bytes;"""
    return _guarded(f"{upper}_MODEL_H_", "A .tflite model.", body)


def settings(file, name, arena, labels=()):
    """`model_settings.h`: shapes, types and memory; valid C99 and C++11.

    Args:
        file: `model_file.ModelFile`.
        name: `str`, the C identifier that all names begin with.
        arena: `str`, the result of `arena_need.macros`.
        labels: sequence of `str`, the names of the classes.

    Returns:
        A `str`.
    """
    upper = name.upper()
    tensors = "\n".join(
        _tensor_macros(f"{upper}_{kind}_{i}", tensor)
        for kind, group in (("INPUT", file.inputs), ("OUTPUT", file.outputs))
        for i, tensor in enumerate(group)
    )
    body = f"""\
{arena}

// Real value = SCALE * (stored value - ZERO_POINT).
#define {upper}_INPUT_COUNT {len(file.inputs)}
#define {upper}_OUTPUT_COUNT {len(file.outputs)}
{tensors}"""
    if labels:
        body += f"""

// The names of the classes, in the order of the output.
#define {upper}_LABEL_COUNT {len(labels)}
extern const char* const {name}_labels[{upper}_LABEL_COUNT];"""
    return _guarded(f"{upper}_SETTINGS_H_", "Shapes, types and memory.", body)


def ops(name, methods):
    """`model_ops.h`: registers the kernels that the model needs; C++11.

    Args:
        name: `str`, the C identifier that all names begin with.
        methods: list of `str`, the op resolver's methods ("AddConv2D").

    Returns:
        A `str`.
    """
    upper = name.upper()
    calls = "".join(f"  ok = resolver.{m}() == 0 && ok;\n" for m in methods)
    return f"""\
// Registers only the kernels that the model needs. Written by tfprune.
#ifndef {upper}_OPS_H_
#define {upper}_OPS_H_

// The size of a tflite::MicroMutableOpResolver<{upper}_OP_COUNT> for them.
#define {upper}_OP_COUNT {max(1, len(methods))}

// Registers them; false if the resolver has no room.
template <typename Resolver>
inline bool {name}_register_ops(Resolver& resolver) {{
  bool ok = true;
  (void)resolver;
{calls}  return ok;
}}

#endif  // {upper}_OPS_H_
"""


def golden_header(file, name, pairs):
    """`model_golden.h`: declares inputs and their expected outputs.

    Args:
        file: `model_file.ModelFile`.
        name: `str`, the C identifier that all names begin with.
        pairs: `int`, the number of pairs of inputs and outputs.

    Returns:
        A `str`.
    """
    upper = name.upper()
    arrays = "\n".join(
        f"extern const {c_type(tensor)} {name}_golden_{kind}_{i}"
        f"\n    [{upper}_GOLDEN_COUNT][{upper}_{kind.upper()}_{i}_SIZE];"
        for kind, i, tensor in _numbered(file)
    )
    body = f"""\
#include "model_settings.h"

// The number of pairs of inputs and outputs.
#define {upper}_GOLDEN_COUNT {pairs}

{arrays}"""
    about = "Inputs, and the outputs of TFLite Micro's reference kernels."
    return _guarded(f"{upper}_GOLDEN_H_", about, body)


def golden_source(file, name, columns):
    """`model_golden.cc`: inputs and their expected outputs.

    Args:
        file: `model_file.ModelFile`.
        name: `str`, the C identifier that all names begin with.
        columns: list of arrays `(pairs, ...)`, the inputs and then the
            outputs, in the dtypes of the file.

    Returns:
        A `str`.
    """
    upper = name.upper()
    arrays = "".join(
        f"""
const {c_type(tensor)} {name}_golden_{kind}_{i}
    [{upper}_GOLDEN_COUNT][{upper}_{kind.upper()}_{i}_SIZE] = {{
{_rows(array)}
}};
"""
        for (kind, i, tensor), array in zip(
            _numbered(file), columns, strict=True
        )
    )
    return f'#include "model_golden.h"\n{arrays}'


def _numbered(file):
    for kind, group in (("input", file.inputs), ("output", file.outputs)):
        for i, tensor in enumerate(group):
            yield kind, i, tensor


def _guarded(guard, about, body):
    return f"""\
// {about} Written by tfprune.
#ifndef {guard}
#define {guard}

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{body}

#ifdef __cplusplus
}}  // extern "C"
#endif

#endif  // {guard}
"""


def _literal(text):
    """A C string literal of any text, in UTF-8."""
    plain = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
        for b in text.encode()
    )
    return f'"{plain}"'


def _lines(items):
    return "\n".join(
        f"    {', '.join(items[i : i + _A_LINE])},"
        for i in range(0, len(items), _A_LINE)
    )


def _rows(array):
    """C initializers, one in braces for each pair."""
    rows = array.reshape(len(array), -1)
    return "\n".join(
        f"    {{\n{_lines([_number(value) for value in row])}\n    }},"
        for row in rows
    )


def _number(value):
    """A C literal of a number whose type is among `_C_TYPES`."""
    if value.dtype.kind == "f":
        return _float(value) if np.isfinite(value) else _not_finite(value)
    if value.dtype.kind == "b":
        return "true" if value else "false"
    if int(value) == np.iinfo(np.int64).min:
        return "INT64_MIN"
    if int(value) == np.iinfo(np.int32).min:
        return "INT32_MIN"
    return f"{int(value)}{'u' * (value.dtype.kind == 'u')}"


def _not_finite(value):
    raise ValueError(
        "Finite inputs and outputs are required for a self-test. Received: "
        f"{value}. Pass another `sample`."
    )


def _tensor_macros(prefix, tensor):
    macros = {
        "NAME": _literal(tensor.name),
        "RANK": len(tensor.shape),
        "SHAPE": f"{{{', '.join(map(str, tensor.shape))}}}",
        "SIZE": int(np.prod(tensor.shape)),
        "TYPE": c_type(tensor),
    }
    if tensor.scale is not None:
        macros["SCALE"] = _float(tensor.scale)
        macros["ZERO_POINT"] = f"({tensor.zero_point})"
    return "\n".join(f"#define {prefix}_{k} {v}" for k, v in macros.items())


def classes(tensor):
    """How many values of an output are compared for the largest one.

    A map has classes at each of its positions; one of a single channel is taken
    for a vector.
    """
    size = math.prod(tensor.shape)
    last = tensor.shape[-1] if tensor.shape else 1
    return last if last > 1 else size


def c_type(tensor):
    """The C type of a tensor's values.

    Raises:
        ValueError: If C has no such type (float16, say).
    """
    if tensor.dtype not in _C_TYPES:
        raise ValueError(
            f"Inputs and outputs must be one of {', '.join(_C_TYPES)}. "
            f"Received: {tensor.name!r} of {tensor.dtype}. Export with another "
            "interface."
        )
    return _C_TYPES[tensor.dtype]


def _float(value):
    """A C literal that reads back as exactly this float32."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"
