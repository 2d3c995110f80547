"""What tells a function from others, in the next process too."""

import dis
import functools
import hashlib
import re
import types

import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_LOADS = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR")
# Methods that change what they are called on.
_CHANGES = (
    "append clear extend fill insert pop popitem remove setdefault update"
).split()


def told(function):
    """What tells a function, or an object that is called, from others.

    Args:
        function: a callable, or `None`.

    Returns:
        A `str`: its name, its code, and what it holds or reads in its module
        of numbers, texts, arrays, tensors, lists and functions; of an object,
        also its attributes that the call leaves as they are. Nothing of other
        objects, whose text may hold an address.
    """
    return _told(function, [])


def _told(function, seen):
    if function is None:
        return ""
    if isinstance(function, functools.partial):
        given = function.args, sorted(function.keywords.items())
        given = _held(given, seen)
        return f"{_told(function.func, seen)} of {given}"
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if any(function is other for other in seen):
        return name  # It is told already, or calls itself.
    seen.append(function)
    plain = function
    if not hasattr(function, "__code__") and callable(function):
        plain = type(function).__call__
    parts = _code(getattr(plain, "__code__", None))
    parts += _values(plain, seen)
    parts += _attributes(function, plain)
    return repr([name, *parts])


def _code(code):
    """What a function does, as text, in parts; nothing of an object."""
    if code is None:
        return []
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    # A set has another order in the next process.
    plain = [
        repr(sorted(map(repr, c)) if isinstance(c, frozenset) else c)
        for c in code.co_consts
        if not isinstance(c, types.CodeType)
    ]
    found = [code.co_code.hex(), *code.co_names, *plain]
    return found + [part for c in inner for part in _code(c)]


def _values(function, seen):
    """The defaults of a function, and what it takes from around it."""
    found = [
        *(getattr(function, "__defaults__", None) or ()),
        *sorted((getattr(function, "__kwdefaults__", None) or {}).items()),
    ]
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # It is set after the function is made.
            continue
    parts = [_held(value, seen) for value in found]
    return parts + [_short(_held(v, seen)) for v in _globals(function)]


def _short(text):
    """Each text inside another one would double its escapes."""
    if len(text) <= 64:
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def _globals(function):
    """What a user's function reads, and does not write, in its module."""
    module = getattr(function, "__module__", None) or ""
    code = getattr(function, "__code__", None)
    if code is None or module.partition(".")[0] in ("keras", "tfprune"):
        return []
    steps = [s for c in _codes(code) for s in dis.get_instructions(c)]
    written = {s.argval for s in steps if s.opname == "STORE_GLOBAL"}
    names = {s.argval for s in steps if s.opname == "LOAD_GLOBAL"} - written
    found = function.__globals__
    values = [found[n] for n in sorted(names) if n in found and n[:2] != "__"]
    # What a function fills, such as a record of its calls, is no setting.
    fills = any(
        s.opname == "STORE_SUBSCR" or s.argval in _CHANGES for s in steps
    )
    return [
        value
        for value in values
        if isinstance(value, (*_PLAIN, tuple))
        or not fills
        and (isinstance(value, (list, dict)) or is_constant(value))
        or isinstance(value, types.FunctionType)
        and value.__module__ == module
    ]


def _codes(code):
    """The code of a function, and of those inside it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _attributes(function, plain):
    """Numbers, texts, arrays of an object that is called, or of a method's."""
    owner = getattr(function, "__self__", function)
    if isinstance(owner, (types.FunctionType, types.ModuleType, type)):
        return []
    left_out, kinds = changed(owner, [plain]), (list, tuple, dict)
    if any(c.__module__.startswith("keras.") for c in type(owner).__mro__):
        left_out |= {"name", "built"}  # Keras numbers names.
        kinds = ()  # Lists may hold such names, too.
    return [
        f"{name} {_held(value, [])}"
        for name, value in sorted(getattr(owner, "__dict__", {}).items())
        if (isinstance(value, (*_PLAIN, *kinds)) or is_constant(value))
        and not name.startswith("_")
        and name not in left_out
    ]


def changed(thing, methods):
    """Attributes that methods set or fill, themselves or by others.

    Args:
        thing: the object of the methods.
        methods: list of functions.

    Returns:
        Set of `str`.
    """
    cls, held = type(thing), getattr(thing, "__dict__", {})
    found, filled, seen, todo = set(), set(), set(), list(methods)
    while todo:
        code = getattr(todo.pop(), "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        for inner in _codes(code):
            steps = _steps(inner)
            loaded = [name for kind, name, _ in steps if kind in _LOADS]
            # Also what is called by super().
            todo += [getattr(c, n, None) for n in loaded for c in cls.__mro__]
            found |= {name for kind, name, _ in steps if kind == "STORE_ATTR"}
            filled |= _filled(steps)
    # Nothing is put into a number or a text, which is only read there.
    return found | {n for n in filled if not isinstance(held.get(n), _PLAIN)}


def _steps(code):
    """List of `(kind, name, effect)`, the last one on the stack's height."""
    found = []
    for step in dis.get_instructions(code):
        kinds = re.findall("(?:LOAD|STORE)_FAST", step.opname)
        if len(kinds) > 1:  # Python 3.13 does two of them in one.
            effects = [1 if kind == "LOAD_FAST" else -1 for kind in kinds]
            found += zip(kinds, step.argval, effects, strict=True)
        else:
            effect = dis.stack_effect(step.opcode, step.arg, jump=False)
            found.append((step.opname, step.argval, effect))
    return found


def _filled(steps):
    """Attributes that code puts something into, also by a variable."""
    found, variables = set(), {}

    def operand(end):
        """Where what is on the stack before a step begins, and attributes."""
        start, height = end, 0
        while start and height < 1:
            start -= 1
            height += steps[start][2]
        names = set()
        for kind, name, _ in steps[start:end]:
            if kind in _LOADS:
                names.add(name)
            elif kind.startswith("LOAD_FAST"):
                names |= variables.get(name, set())
        return start, names

    for i, (kind, name, _) in enumerate(steps):
        before = steps[i - 1][0] if i else ""
        after = steps[i + 1][0] if i + 1 < len(steps) else ""
        if kind == "STORE_FAST":
            same = before in (*_LOADS, "BINARY_SUBSCR")
            variables[name] = operand(i)[1] if same else set()
        elif kind in _LOADS and name in _CHANGES:
            found |= operand(i)[1]
        elif (
            # As in a[i] += 1, which copies both a and i.
            (kind == "COPY" and after == "COPY" and before != "COPY")
            or (kind == "STORE_SUBSCR" and before != "SWAP")
        ):
            found |= operand(operand(i)[0])[1]
    return found


def _held(value, seen):
    if isinstance(value, _PLAIN) and not isinstance(value, np.generic):
        return repr(value)
    if is_constant(value):
        return array(value)
    if isinstance(value, (list, tuple)):
        return repr([_held(part, seen) for part in value])
    if isinstance(value, dict):
        parts = [(repr(k), _held(v, seen)) for k, v in value.items()]
        return repr(sorted(parts))
    if isinstance(value, (types.FunctionType, functools.partial)):
        return _told(value, seen)
    return type(value).__qualname__


def is_constant(value):
    """Whether a value is an array or tensor of any library, no variable."""
    if isinstance(value, type) or hasattr(value, "assign"):
        return False
    return all(hasattr(value, n) for n in ("__array__", "shape", "dtype"))


def array(value):
    """What tells an array or tensor from others, a `str`."""
    try:
        numbers = np.ascontiguousarray(value)
    except Exception:  # A symbolic tensor has no numbers.
        return type(value).__qualname__
    if numbers.dtype.hasobject:
        return type(value).__qualname__
    digest = hashlib.sha256(numbers.tobytes()).hexdigest()
    return f"{numbers.dtype} {numbers.shape} {digest}"
