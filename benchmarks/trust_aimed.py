"""Folders that are exchanged, killed before every change of theirs.

Firmware is written over that of another model; the result folder of
`compress` is put in place.
"""

import json
import random
import re
import shutil

import trust_kills

# The last of what `compress` does: it writes its result and puts it in place.
_LAST = 40
_OLD, _NEW, _GUARD = "old", "new", "guard"
_INCLUDE = re.compile(rb'^#include "([^"]+)"', re.MULTILINE)


def firmware(folder, journal, most=None):
    """Kills `export_micro` before each change of a folder of another model.

    What is left survives if it is all old or all new, or does not compile;
    and if the next export makes it all new, with the user's program kept.

    Args:
        folder: `pathlib.Path` to work in.
        journal: `trust_journal.Journal`.
        most: `int`, how many of the changes; `None` for each.
    """
    what = "killed before a change on disk: `export_micro` over another model"
    if most is not None and journal.count(what) >= most:
        return
    answer = trust_kills.ask(folder, "make")
    if answer.error:
        raise RuntimeError(f"{answer.error}\n{answer.tail}")
    sides = {}
    for name in (_OLD, _NEW):
        _write(folder / name, folder / f"{name}.tflite", None)
        sides[name] = _files(folder / name)
    program = next(n for n in sides[_OLD] if n.endswith("main.cc"))
    place = folder / "killed"
    _fresh(folder, program)
    _write(place, folder / "new.tflite", None)
    _, changes = json.loads((place / "taken").read_text())
    for aim in _some(range(1, changes + 1), most, journal.kept(what)):
        _fresh(folder, program)
        killed = _write(place, folder / "new.tflite", aim).crashed
        left = _files(place)
        survived = killed and _is_one(left, sides, program)
        _write(place, folder / "new.tflite", None)
        again = _files(place)
        survived &= again.pop(program) == b"// mine\n" and again == {
            n: d for n, d in sides[_NEW].items() if n != program
        }
        journal.add(what, survived)
        if not survived:
            journal.keep_input(place, f"firmware-{aim}", f"{aim} {killed}")
        journal.keep(what, aim)


def result(folder, journal, most=None):
    """Kills `compress` before each of its last changes.

    The folder survives if it is not there, or empty, or whole; and if the run
    goes on to the result of one that was not killed.
    """
    what = "killed before a change on disk: the `out` of `compress`"
    wanted, _, changes = trust_kills.whole(
        folder / "compress-whole", "compress", journal
    )
    start = folder / "start"
    if not trust_kills.ask(start, "compress", aim=changes - _LAST).crashed:
        raise RuntimeError("A run ended before it was killed.")
    place = folder / "killed"
    place.mkdir()
    aim = journal.kept(what) or 0
    while most is None or aim < most:
        aim += 1
        shutil.rmtree(place)
        shutil.copytree(start, place)
        if aim % 2:
            (place / "out").mkdir()  # one that is empty is taken
        killed = trust_kills.ask(place, "compress", aim=aim).crashed
        if not killed:
            break
        left = sorted(p.name for p in (place / "out").glob("*"))
        answer = trust_kills.ask(place, "compress")
        survived = left in ([], wanted[1]) and answer.result == wanted
        journal.add(what, survived)
        if not survived:
            text = f"{aim} {left} {answer.error} {answer.result}"
            journal.keep_input(place, f"out-{aim}", text)
        journal.keep(what, aim)


def _write(place, file, aim):
    answer = trust_kills.ask(place, "firmware", aim=aim, file=str(file))
    if aim is None and answer.error:
        raise RuntimeError(f"{answer.error}\n{answer.tail}")
    return answer


def _some(aims, most, done):
    """Those still to do, in an order of chance."""
    aims = list(aims)
    random.Random(0).shuffle(aims)
    if done is not None:
        del aims[: aims.index(done) + 1]
    return aims if most is None else aims[:most]


def _fresh(folder, program):
    """The firmware of the old model, whose main program is the user's."""
    shutil.rmtree(folder / "killed", ignore_errors=True)
    shutil.copytree(folder / _OLD, folder / "killed")
    (folder / "killed" / "firmware" / program).write_bytes(b"// mine\n")


def _files(place):
    """The files of firmware, `dict` from their paths to `bytes`."""
    root = place / "firmware"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".tfprune-")
    }


def _is_one(left, sides, program):
    """Whether files are of one model, or cannot be compiled together."""
    found = set()
    for name, data in left.items():
        if name == program:
            if data != b"// mine\n":
                return False
            continue
        of = {s for s, files in sides.items() if files.get(name) == data}
        if not of and not data.startswith(b"#error"):
            return False  # of neither
        if len(of) == 1:
            found |= of
    if len(found) < 2:
        return True
    guards = {n for n, data in left.items() if data.startswith(b"#error")}
    # Each source must meet a header that refuses.
    return all(
        guards & _headers(name, left)
        for name in left
        if name.endswith((".cc", ".cpp", ".c")) and name != program
    )


def _headers(name, left):
    """The headers of a folder that a source includes, in their own too."""
    found, waiting = set(), [name]
    while waiting:
        for match in _INCLUDE.finditer(left[waiting.pop()]):
            end = match[1].decode().rpartition("/")[2]
            for header in left:
                if header.rpartition("/")[2] == end and header not in found:
                    found.add(header)
                    waiting.append(header)
    return found
