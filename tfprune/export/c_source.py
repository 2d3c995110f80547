"""C text of a .tflite file: an array, and what firmware must know of it."""

import re
import unicodedata

import numpy as np

_C_TYPES = {
    "float32": "float",
    "bool": "bool",
    **{
        f"{u}int{n}": f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)
    },
}
_BYTES_A_LINE = 12


def identifier(text):
    """A name that is a C identifier, whatever the text.

    Args:
        text: `str`; letters lose their accents, all that a name cannot hold
            becomes an underscore.

    Returns:
        A `str` that begins with a letter and has no two underscores in a
        row (such names belong to the compiler).
    """
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    name = re.sub(r"[^0-9A-Za-z]+", "_", plain).strip("_")
    if not name:
        return "model"
    return name if name[0].isalpha() else f"model_{name}"


def source(data, name, header):
    """The `.cc` file.

    Args:
        data: `bytes` of the .tflite file.
        name: C identifier.
        header: `str`, the file name of the header.

    Returns:
        A `str`.
    """
    return f"""\
#include "{header}"

alignas(16) const unsigned char {name}_data[] = {{
{_hex(data)}
}};
const unsigned int {name}_data_bytes = {len(data)};
"""


def header(file, name, arena, methods):
    """The `.h` file; valid C99 and C++11, the op resolver's part C++ alone.

    Args:
        file: `model_file.ModelFile`.
        name: C identifier.
        arena: `micro.Arena`.
        methods: the op resolver's methods ("AddConv2D").

    Returns:
        A `str`.
    """
    upper = name.upper()
    tensors = "\n".join(
        _tensor_macros(f"{upper}_{kind}_{i}", tensor)
        for kind, group in (("INPUT", file.inputs), ("OUTPUT", file.outputs))
        for i, tensor in enumerate(group)
    )
    calls = "".join(f"  ok = resolver.{m}() == 0 && ok;\n" for m in methods)
    return f"""\
// A .tflite model and what firmware must know of it; written by tfprune.
//
//   static tflite::MicroMutableOpResolver<{upper}_OP_COUNT> resolver;
//   {name}_register_ops(resolver);
//   alignas(16) static uint8_t arena[{upper}_ARENA_BYTES];
//   static tflite::MicroInterpreter interpreter(
//       tflite::GetModel({name}_data), resolver, arena, sizeof(arena));
//   interpreter.AllocateTensors();
#ifndef {upper}_H_
#define {upper}_H_

#include <stdbool.h>
#include <stdint.h>

// Flash that the array takes, and the least tensor arena that the TFLite
// Micro interpreter runs it in, measured with 64-bit pointers: 32-bit targets
// need less.
#define {upper}_DATA_BYTES {file.file_bytes}
#define {upper}_ARENA_BYTES {arena.required_bytes}

// Real value = SCALE * (stored value - ZERO_POINT).
#define {upper}_INPUT_COUNT {len(file.inputs)}
#define {upper}_OUTPUT_COUNT {len(file.outputs)}
{tensors}

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char {name}_data[];
extern const unsigned int {name}_data_bytes;

#ifdef __cplusplus
}}  // extern "C"

#define {upper}_OP_COUNT {len(methods)}

// Registers the kernels that the model needs and no others; false if the
// resolver has no room for them.
template <typename Resolver>
inline bool {name}_register_ops(Resolver& resolver) {{
  bool ok = true;
  (void)resolver;
{calls}  return ok;
}}
#endif  // __cplusplus

#endif  // {upper}_H_
"""


def _hex(data):
    digits = [f"0x{value:02x}," for value in range(256)]
    lines = (
        " ".join([digits[value] for value in data[i : i + _BYTES_A_LINE]])
        for i in range(0, len(data), _BYTES_A_LINE)
    )
    return "\n".join(f"    {line}" for line in lines)


def _tensor_macros(prefix, tensor):
    macros = {
        "RANK": len(tensor.shape),
        "SHAPE": f"{{{', '.join(map(str, tensor.shape))}}}",
        "SIZE": int(np.prod(tensor.shape)),
        "TYPE": _c_type(tensor),
    }
    if tensor.scale is not None:
        macros["SCALE"] = _float(tensor.scale)
        macros["ZERO_POINT"] = f"({tensor.zero_point})"
    return "\n".join(f"#define {prefix}_{k} {v}" for k, v in macros.items())


def _c_type(tensor):
    if tensor.dtype not in _C_TYPES:
        raise ValueError(
            f"Inputs and outputs must be one of {', '.join(_C_TYPES)}. "
            f"Received: {tensor.name!r} of {tensor.dtype}."
        )
    return _C_TYPES[tensor.dtype]


def _float(value):
    """A C literal that is exactly this float32."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"
