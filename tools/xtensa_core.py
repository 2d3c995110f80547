"""A core of the ESP32-S3 that runs assembly text and counts instructions.

No package has an emulator with its vector instructions, or a compiler for it,
but the text of kernels is all that is needed: each run of instructions up to a
jump becomes a Python function. Functions of both calling conventions may call
each other, so that C compiled for another Xtensa core, without windows of
registers, runs as well.
"""

import re

from tools import xtensa_instructions

# Where instructions lie: four bytes each, far from the data.
_CODE, _DATA = 0x40000000, 1 << 12
_STACK = 1 << 16
_LABEL = re.compile(r"^([.\w$]+):\s*(.*)$")
_COMMENT = re.compile(r"#.*|//.*|/\*.*?\*/")
_NEAR = re.compile(r"(\d+)([bf])")
_SHIFTS = {"call0": 0, "callx0": 0, "call8": 8, "callx8": 8}
# Other ends of runs of instructions.
_ENDS = {"j", "jx", "ret", "retw", *_SHIFTS}
_ARGUMENTS = 6  # in registers
# In place of an address to return to: what was saved with the caller's window
# says where; the first call is over.
_SAVED, _OVER = 0xFFFFFFFF, 0xFFFFFFFE


class Core:
    """A core with memory.

    Args:
        texts: `dict` from the name of a file of assembly to its text.
        library: `dict` from the name of a function that no text has to a
            function of the core and its arguments (a list of six words), which
            gives what it returns and how many instructions it takes.
        memory: `int`, bytes.
    """

    def __init__(self, texts, library=None, memory=1 << 22):
        self.memory = bytearray(memory)
        self._library = library or {}
        self._free, self._kept = _DATA, _DATA
        self._lines, self._globals = [], {}
        for text in texts.values():
            own = self._read(text)
            listed = own.pop(".global")
            self._globals |= {k: v for k, v in own.items() if k in listed}
        self._kept = self._free
        self._code = []
        # Instructions that are jumped to, and those behind loops.
        self._leaders, self._behind = set(), set()
        for number, (word, parts, own) in enumerate(self._lines):
            here = _CODE + 4 * number
            values = [self._value(part, own, here) for part in parts]
            self._code.append((word, values))
            is_loop = word in xtensa_instructions.LOOPS
            if word in xtensa_instructions.BRANCHES or is_loop or word == "j":
                self._leaders.add(_index(values[-1]))
            if is_loop:
                self._behind.add(_index(values[-1]))

    def reset(self):
        """Frees all that was allocated."""
        self._free = self._kept

    def allocate(self, data, alignment=16):
        """Puts bytes into memory; returns their address."""
        data = bytes(data)
        at = -(-self._free // alignment) * alignment
        self._free = at + len(data)
        if self._free > len(self.memory) - _STACK:
            raise MemoryError(f"{self._free:,} bytes would be in use.")
        self.memory[at : at + len(data)] = data
        return at

    def run(self, name, *words):
        """Calls a function.

        Args:
            name: `str`.
            *words: `int` arguments; addresses are those of `allocate`.

        Returns:
            `(what it returns, instructions)`.
        """
        at = _index(self._globals[name])
        r = self._registers = [0] * 16
        r[1] = len(self.memory) - _DATA
        for number, word in enumerate(words):
            word &= xtensa_instructions.WORD
            if number < _ARGUMENTS:
                r[2 + number] = word
            else:
                place = r[1] + 4 * (number - _ARGUMENTS)
                self.memory[place : place + 4] = word.to_bytes(4, "little")
        self._frames, self._count = [], 0
        names = {
            **xtensa_instructions.names(
                r, xtensa_instructions.State(), self.memory
            ),
            "enter": self._enter,
            "leave": self._leave,
        }
        blocks = {}
        at = self._enter(at, None, 0)
        while at is not None:
            if at not in blocks:
                blocks[at] = self._compiled(at, names)
            block, count = blocks[at]
            self._count += count
            at = block()
        return xtensa_instructions.signed(r[2]), self._count

    def _read(self, text):
        """Adds the instructions of a file; returns where its names are."""
        own = {".global": set(), ".numbers": []}
        for line in text.splitlines():
            line = _COMMENT.sub("", line).strip()
            while found := _LABEL.match(line):
                own[found[1]] = here = _CODE + 4 * len(self._lines)
                # Labels that are numbers may stand at many places.
                own[".numbers"].append((found[1], here))
                line = found[2].strip()
            word, *rest = line.split(None, 1) or [""]
            parts = [x.strip() for x in rest[0].split(",")] if rest else []
            if word == ".global":
                own[".global"].update(parts)
            elif word in (".literal", ".set"):
                own[parts[0]] = parts[1]
            elif word == ".comm":
                own[parts[0]] = self.allocate(bytes(int(parts[1])))
            elif word and not word.startswith("."):
                self._lines.append((word.removesuffix(".n"), parts, own))
        return own

    def _value(self, text, own, here):
        """The number that an operand is."""
        if text == "sp":
            return 1
        if re.fullmatch(r"[aq]\d+", text):
            return int(text[1:])
        if re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)", text):
            return int(text, 0)
        if near := _NEAR.fullmatch(text):
            places = [at for name, at in own[".numbers"] if name == near[1]]
            if near[2] == "f":
                return min(at for at in places if at > here)
            return max(at for at in places if at <= here)
        found = own.get(text, self._globals.get(text))
        if isinstance(found, str):  # What a literal holds.
            return self._value(found, own, here)
        if found is None:
            if text not in self._library:
                raise ValueError(f"The name must be known. Received: {text}")
            found = _CODE - 4 - 4 * list(self._library).index(text)
        return found

    # Calls.

    def _enter(self, at, back, shift):
        """Calls a function.

        Args:
            at: `int`, its first instruction; below 0, one of the library.
            back: `int`, where to go on after it.
            shift: `int`, by which its registers lie above the caller's.

        Returns:
            `int`, the next instruction; `None` at the end.
        """
        r = self._registers
        given = [*r, *r][2 + shift : 2 + shift + _ARGUMENTS]
        if at < 0:
            name = list(self._library)[-1 - at]
            found, count = self._library[name](self, given)
            self._count += count
            for number in range(2):
                word = found >> 32 * number & xtensa_instructions.WORD
                r[2 + shift + number] = word
            return back
        if shift or self._code[at][0] == "entry":
            self._frames.append((list(r), back, shift))
            r[2 : 2 + _ARGUMENTS] = given
            r[0] = _SAVED
        else:
            r[0] = _OVER if back is None else _CODE + 4 * back
        return at

    def _leave(self):
        """Returns from a function, by what its register 0 says."""
        r = self._registers
        if r[0] != _SAVED:
            return None if r[0] == _OVER else _index(r[0])
        before, back, shift = self._frames.pop()
        results = r[2:6]
        r[:] = before
        r[2 + shift : 2 + shift + len(results)] = results
        return back

    # Python of instructions.

    def _compiled(self, first, names):
        """`(function, count)` of the instructions up to the next jump."""
        body, at, ended = [], first, False
        while not ended:
            word, values = self._code[at]
            at += 1
            if word in xtensa_instructions.MOVES:
                line = xtensa_instructions.MOVES[word].format(*values)
                body.append(line)
            elif word == "entry":
                body.append(f"r[1] -= {values[1]}")
            else:
                body += self._jump(word, values, at)
                ended = True
            if not ended and at in self._leaders:
                body += self._go_on(at)
                ended = True
        text = "def block():\n" + "".join(f"    {line}\n" for line in body)
        place = dict(names)
        exec(text, place)
        return place["block"], at - first

    def _go_on(self, at):
        if at not in self._behind:
            return [f"return {at}"]
        return [
            f"if s.left and s.end == {at}:",
            "    s.left -= 1",
            "    return s.begin",
            f"return {at}",
        ]

    def _jump(self, word, values, after):
        """The Python of an instruction that goes elsewhere, by lines."""
        branch = xtensa_instructions.BRANCHES.get(word)
        loop = xtensa_instructions.LOOPS.get(word)
        to = _index(values[-1]) if values else None
        if branch:
            taken = f"if {branch.format(*values)}: return {to}"
            return [taken, *self._go_on(after)]
        if loop:
            return [
                f"if {loop.format(*values)}: return {to}",
                f"s.left = (r[{values[0]}] - 1) & W",
                f"s.begin, s.end = {after}, {to}",
                f"return {after}",
            ]
        if word == "j" and (to < 0 or self._code[to][0] == "entry"):
            # Another function, which returns to who called this one.
            return [f"return enter({to}, leave(), 0)"]
        if word == "j":
            return [f"return {to}"]
        if word in ("call0", "call8"):
            return [f"return enter({to}, {after}, {_SHIFTS[word]})"]
        if word in _SHIFTS:
            to = f"(r[{values[0]}] - {_CODE}) // 4"
            return [f"return enter({to}, {after}, {_SHIFTS[word]})"]
        if word == "jx":
            return [f"return (r[{values[0]}] - {_CODE}) // 4"]
        if word in ("ret", "retw"):
            return ["return leave()"]
        raise ValueError(f"The instruction must be known. Received: {word}")


def _index(address):
    return (address - _CODE) // 4
