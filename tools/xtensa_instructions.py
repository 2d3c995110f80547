"""Instructions of an ESP32-S3, each as a line of Python.

They are those of the "Xtensa Instruction Set Architecture Reference Manual" and
of the "ESP32-S3 Technical Reference Manual", chapter 1, as far as ESP-NN uses
them. In a line, {0} is the first operand: the number of a register, or a
number. `r` holds the registers as words without sign, `s` is a `State`, `m` the
memory, `q` the vectors, and `b8`, `b16` and `b32` their lanes.
"""

import array
import operator

WORD = 0xFFFFFFFF
_SIGN = 0x80000000
_VECTORS, _LANES = 8, {"b8": "b", "b16": "h", "b32": "i"}
# The sums of products of all lanes are kept side by side.
_WIDE_BYTES = 40


class State:
    """What a core holds besides registers and vectors.

    Attributes:
        sar, bytes: `int`, by how much words and vectors are shifted.
        sum: `int`, the sum of products of all lanes.
        wide: list of `int`, the sum of each lane: 8, or 16 of half the bits.
        begin, end, left: `int`, the first instruction of the loop, the first
            behind it, and how many times it is still to run.
    """

    def __init__(self):
        self.sar = self.bytes = self.sum = 0
        self.wide = [0] * 8
        self.begin = self.end = -1
        self.left = 0

    def add(self, products):
        """Adds products to the sum of each lane."""
        if len(self.wide) != len(products):
            if any(self.wide):
                raise ValueError("Sums of 8 and of 16 lanes must not mix.")
            self.wide = [0] * len(products)
        bits = 8 * _WIDE_BYTES // len(products)
        self.wide = [
            saturated(x + y, bits)
            for x, y in zip(self.wide, products, strict=True)
        ]

    def packed(self, first, count):
        """Some bytes of the sums of all lanes."""
        bits = 8 * _WIDE_BYTES // len(self.wide)
        number = sum(
            (x & (1 << bits) - 1) << bits * i for i, x in enumerate(self.wide)
        )
        return number.to_bytes(_WIDE_BYTES, "little")[first : first + count]


def signed(word):
    """The number that 32 bits are with a sign."""
    return word - ((word & _SIGN) << 1)


def saturated(number, bits):
    """The nearest number of some bits with a sign."""
    high = (1 << (bits - 1)) - 1
    return max(-high - 1, min(number, high))


def _low(number):
    """The lower 16 bits with a sign."""
    return (number & 65535 ^ 32768) - 32768


_UP = "; r[{1}] = (r[{1}] + {2}) & W"
_UP_BY = "; r[{1}] = (r[{1}] + r[{2}]) & W"
_AT = "m[(x := r[{1}] + {2}):x + %d]"
_SHIFTED = "(q[{1}] + q[{2}])[s.bytes:s.bytes + 16]"
_SAME_WORDS = "q[{0}][:] = m[(x := r[{1}] & ~3):x + 4] * 4"
MOVES = {
    "add": "r[{0}] = (r[{1}] + r[{2}]) & W",
    "addi": "r[{0}] = (r[{1}] + {2}) & W",
    "addmi": "r[{0}] = (r[{1}] + {2}) & W",
    "addx2": "r[{0}] = (2 * r[{1}] + r[{2}]) & W",
    "addx4": "r[{0}] = (4 * r[{1}] + r[{2}]) & W",
    "addx8": "r[{0}] = (8 * r[{1}] + r[{2}]) & W",
    "sub": "r[{0}] = (r[{1}] - r[{2}]) & W",
    "subx8": "r[{0}] = (8 * r[{1}] - r[{2}]) & W",
    "neg": "r[{0}] = -r[{1}] & W",
    "and": "r[{0}] = r[{1}] & r[{2}]",
    "or": "r[{0}] = r[{1}] | r[{2}]",
    "xor": "r[{0}] = r[{1}] ^ r[{2}]",
    "mov": "r[{0}] = r[{1}]",
    "movi": "r[{0}] = {1} & W",
    "l32r": "r[{0}] = {1} & W",
    "min": "r[{0}] = min(signed(r[{1}]), signed(r[{2}])) & W",
    "max": "r[{0}] = max(signed(r[{1}]), signed(r[{2}])) & W",
    "mull": "r[{0}] = r[{1}] * r[{2}] & W",
    "mulsh": "r[{0}] = signed(r[{1}]) * signed(r[{2}]) >> 32 & W",
    "mul16u": "r[{0}] = (r[{1}] & 65535) * (r[{2}] & 65535)",
    "mul16s": "r[{0}] = low(r[{1}]) * low(r[{2}]) & W",
    "quos": "r[{0}] = int(signed(r[{1}]) / signed(r[{2}])) & W",
    "salt": "r[{0}] = int(signed(r[{1}]) < signed(r[{2}]))",
    "saltu": "r[{0}] = int(r[{1}] < r[{2}])",
    "movnez": "if r[{2}]: r[{0}] = r[{1}]",
    "moveqz": "if not r[{2}]: r[{0}] = r[{1}]",
    "movgez": "if not r[{2}] & SIGN: r[{0}] = r[{1}]",
    "movltz": "if r[{2}] & SIGN: r[{0}] = r[{1}]",
    "nsau": "r[{0}] = 32 - r[{1}].bit_length()",
    "extui": "r[{0}] = r[{1}] >> {2} & (1 << {3}) - 1",
    "sext": "x = 1 << {2}; r[{0}] = ((r[{1}] & 2 * x - 1 ^ x) - x) & W",
    "clamps": "r[{0}] = saturated(signed(r[{1}]), {2} + 1) & W",
    "nop": "pass",
    # Shifts.
    "slli": "r[{0}] = r[{1}] << {2} & W",
    "srli": "r[{0}] = r[{1}] >> {2}",
    "srai": "r[{0}] = signed(r[{1}]) >> {2} & W",
    "ssl": "s.sar = 32 - (r[{0}] & 31)",
    "ssr": "s.sar = r[{0}] & 31",
    "ssai": "s.sar = {0}",
    "wsr.sar": "s.sar = r[{0}] & 63",
    "sll": "r[{0}] = r[{1}] << 32 - s.sar & W",
    "sra": "r[{0}] = signed(r[{1}]) >> s.sar & W",
    "src": "r[{0}] = (r[{1}] << 32 | r[{2}]) >> s.sar & W",
    # Memory.
    "l8ui": "r[{0}] = m[r[{1}] + {2}]",
    "l16ui": f"r[{{0}}] = int.from_bytes({_AT % 2}, 'little')",
    "l16si": f"r[{{0}}] = int.from_bytes({_AT % 2}, 'little', signed=True) & W",
    "l32i": f"r[{{0}}] = int.from_bytes({_AT % 4}, 'little')",
    "s8i": "m[r[{1}] + {2}] = r[{0}] & 255",
    "s16i": f"{_AT % 2} = (r[{{0}}] & 65535).to_bytes(2, 'little')",
    "s32i": f"{_AT % 4} = r[{{0}}].to_bytes(4, 'little')",
    # Vectors: loads and stores.
    "ee.vld.128.ip": "load({0}, r[{1}])" + _UP,
    "ee.vld.128.xp": "load({0}, r[{1}])" + _UP_BY,
    "ee.vst.128.ip": "store({0}, r[{1}])" + _UP,
    "ee.vst.128.xp": "store({0}, r[{1}])" + _UP_BY,
    "ld.qr": "load({0}, r[{1}] + {2})",
    "st.qr": "store({0}, r[{1}] + {2})",
    "mv.qr": "q[{0}][:] = q[{1}]",
    "ee.vld.l.64.ip": "load_half({0}, 0, r[{1}])" + _UP,
    "ee.vld.h.64.ip": "load_half({0}, 8, r[{1}])" + _UP,
    "ee.vld.l.64.xp": "load_half({0}, 0, r[{1}])" + _UP_BY,
    "ee.vld.h.64.xp": "load_half({0}, 8, r[{1}])" + _UP_BY,
    "ee.vst.l.64.ip": "m[(x := r[{1}] & ~7):x + 8] = q[{0}][:8]" + _UP,
    "ee.vldbc.8": "q[{0}][:] = m[r[{1}]:r[{1}] + 1] * 16",
    "ee.vldbc.16": "q[{0}][:] = m[(x := r[{1}] & ~1):x + 2] * 8",
    "ee.vldbc.32": _SAME_WORDS,
    "ee.vldbc.32.ip": _SAME_WORDS + _UP,
    "ee.vldbc.32.xp": _SAME_WORDS + _UP_BY,
    "ee.ld.128.usar.ip": "s.bytes = r[{1}] & 15; load({0}, r[{1}])" + _UP,
    "wur.sar_byte": "s.bytes = r[{0}] & 15",
    "ee.src.q": "q[{0}][:] = " + _SHIFTED,
    "ee.src.q.qup": "q[{0}][:] = " + _SHIFTED + "; q[{1}][:] = q[{2}]",
    "ee.src.q.ld.ip": "x = (q[{3}] + q[{4}])[s.bytes:s.bytes + 16]; "
    "load({0}, r[{1}])" + _UP + "; q[{3}][:] = x",
    # Vectors: lanes.
    "ee.zero.q": "q[{0}][:] = bytes(16)",
    "ee.movi.32.a": "r[{1}] = b32[{0}][{2}] & W",
    "ee.movi.32.q": "b32[{0}][{2}] = signed(r[{1}])",
    "ee.orq": "each(b32, {0}, or_, {1}, {2})",
    "ee.andq": "each(b32, {0}, and_, {1}, {2})",
    "ee.vsr.32": "put(b32, {0}, [x >> s.sar for x in b32[{1}]])",
    "ee.vsl.32": "put(b32, {0}, [signed(x << s.sar & W) for x in b32[{1}]])",
    "ee.vmul.s16": "each(b16, {0}, lambda x, y: low(x * y >> s.sar), {1}, {2})",
    # Sums of products.
    "ee.zero.accx": "s.sum = 0",
    "rur.accx_0": "r[{0}] = s.sum & W",
    "ee.srs.accx": "r[{0}] = saturated(s.sum >> (r[{1}] & 63), 32) & W",
    "ee.zero.qacc": "s.wide = [0] * 8",
    "ee.srcmb.s16.qacc": "s.wide = [x >> (r[{1}] & 63) for x in s.wide]; "
    "put(b16, {0}, [saturated(x, 16) for x in s.wide])",
}
for _bits in (8, 16, 32):
    _lanes = f"b{_bits}"
    MOVES[f"ee.vzip.{_bits}"] = f"zipped({_lanes}, {{0}}, {{1}})"
    MOVES[f"ee.vunzip.{_bits}"] = f"unzipped({_lanes}, {{0}}, {{1}})"
    for _name, _does in {
        "vadds": f"lambda x, y: saturated(x + y, {_bits})",
        "vsubs": f"lambda x, y: saturated(x - y, {_bits})",
        "vmax": "max",
        "vmin": "min",
        "vcmp.lt": "lambda x, y: -(x < y)",
        "vcmp.gt": "lambda x, y: -(x > y)",
    }.items():
        _same = f"ee.{_name}.s{_bits}"
        MOVES[_same] = f"each({_lanes}, {{0}}, {_does}, {{1}}, {{2}})"
        # Another vector is loaded or stored meanwhile.
        MOVES[f"{_same}.ld.incp"] = (
            f"x = list(map({_does}, {_lanes}[{{3}}], {_lanes}[{{4}}])); "
            "load({0}, r[{1}]); r[{1}] = (r[{1}] + 16) & W; "
            f"put({_lanes}, {{2}}, x)"
        )
        MOVES[f"{_same}.st.incp"] = (
            "store({0}, r[{1}]); r[{1}] = (r[{1}] + 16) & W; "
            f"each({_lanes}, {{2}}, {_does}, {{3}}, {{4}})"
        )
# What is loaded meanwhile, and the number of the first factor.
_LOADED = "x = m[(x := r[{1}] & ~15):x + 16]"
_MEANWHILE = {
    "": ("SUM", 0),
    ".ld.ip": (_LOADED + _UP + "; SUM; q[{0}][:] = x", 3),
    ".ld.xp": (_LOADED + _UP_BY + "; SUM; q[{0}][:] = x", 3),
    ".ld.incp": (
        _LOADED + "; r[{1}] = (r[{1}] + 16) & W; SUM; q[{0}][:] = x",
        2,
    ),
    ".ld.ip.qup": (
        _LOADED + _UP + "; SUM; y = (q[{5}] + q[{6}])[s.bytes:s.bytes + 16]; "
        "q[{0}][:] = x; q[{5}][:] = y",
        3,
    ),
}
for _name, _sum in {
    "vmulas.s8.accx": "s.sum += sum(map(mul, b8[<0>], b8[<1>]))",
    "vmulas.s16.accx": "s.sum += sum(map(mul, b16[<0>], b16[<1>]))",
    "vmulas.s8.qacc": "s.add(list(map(mul, b8[<0>], b8[<1>])))",
    "vmulas.s16.qacc": "s.add(list(map(mul, b16[<0>], b16[<1>])))",
    "vsmulas.s16.qacc": "z = b16[<1>][<2>]; s.add([z * y for y in b16[<0>]])",
}.items():
    for _form, (_text, _first) in _MEANWHILE.items():
        for _number in range(3):
            _operand = f"{{{_first + _number}}}"
            _text = _text.replace("SUM", _sum)
            _text = _text.replace(f"<{_number}>", _operand)
        MOVES[f"ee.{_name}{_form}"] = _text
for _number, _side in enumerate(("l", "h")):
    for _part, _skip, _size in (("l.128", 0, 16), ("h.32", 16, 4)):
        MOVES[f"ee.st.qacc_{_side}.{_part}.ip"] = (
            f"m[(x := r[{{0}}] & ~{_size - 1}):x + {_size}] = "
            f"s.packed({20 * _number + _skip}, {_size}); "
            "r[{0}] = (r[{0}] + {1}) & W"
        )
# When they are taken.
BRANCHES = {
    "beqz": "not r[{0}]",
    "bnez": "r[{0}]",
    "bltz": "r[{0}] & SIGN",
    "bgez": "not r[{0}] & SIGN",
    "beq": "r[{0}] == r[{1}]",
    "bne": "r[{0}] != r[{1}]",
    "blt": "signed(r[{0}]) < signed(r[{1}])",
    "bge": "signed(r[{0}]) >= signed(r[{1}])",
    "bltu": "r[{0}] < r[{1}]",
    "bgeu": "r[{0}] >= r[{1}]",
    "beqi": "r[{0}] == {1} & W",
    "bnei": "r[{0}] != {1} & W",
    "blti": "signed(r[{0}]) < {1}",
    "bgei": "signed(r[{0}]) >= {1}",
    "bltui": "r[{0}] < {1}",
    "bgeui": "r[{0}] >= {1}",
    "bbci": "not r[{0}] >> {1} & 1",
    "bbsi": "r[{0}] >> {1} & 1",
    "bany": "r[{0}] & r[{1}]",
    "bnone": "not r[{0}] & r[{1}]",
}
# When they are left out.
LOOPS = {
    "loop": "False",
    "loopnez": "not r[{0}]",
    "loopgtz": "signed(r[{0}]) <= 0",
}


def names(registers, state, memory):
    """What the lines above name.

    Args:
        registers: list of `int`.
        state: a `State`.
        memory: `bytearray`.

    Returns:
        `dict`.
    """
    q = [bytearray(16) for _ in range(_VECTORS)]
    lanes = {
        name: [memoryview(vector).cast(kind) for vector in q]
        for name, kind in _LANES.items()
    }
    kinds = {id(lanes[name]): kind for name, kind in _LANES.items()}

    def put(views, number, values):
        views[number][:] = array.array(kinds[id(views)], values)

    def each(views, number, function, x, y):
        put(views, number, list(map(function, views[x], views[y])))

    def zipped(views, x, y):
        pairs = zip(views[x], views[y], strict=True)
        both = [value for pair in pairs for value in pair]
        put(views, x, both[: len(both) // 2])
        put(views, y, both[len(both) // 2 :])

    def unzipped(views, x, y):
        both = [*views[x], *views[y]]
        put(views, x, both[::2])
        put(views, y, both[1::2])

    def load(number, at):
        # The lowest bits of addresses do not count.
        at &= ~15
        q[number][:] = memory[at : at + 16]

    def store(number, at):
        at &= ~15
        memory[at : at + 16] = q[number]

    def load_half(number, to, at):
        at &= ~7
        q[number][to : to + 8] = memory[at : at + 8]

    functions = put, each, zipped, unzipped, load, store, load_half
    return {
        **{function.__name__: function for function in functions},
        **lanes,
        "W": WORD,
        "SIGN": _SIGN,
        "signed": signed,
        "saturated": saturated,
        "low": _low,
        "mul": operator.mul,
        "or_": operator.or_,
        "and_": operator.and_,
        "r": registers,
        "s": state,
        "m": memory,
        "q": q,
    }
