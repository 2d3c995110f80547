"""Every writer in every odd place: what it writes there, what it says."""

import shutil

import trust_kills
import trust_writers

from tfprune.core import tables

# Of nobody, on Linux.
_NOBODY = 65534
# Each needs root on Linux: mounts, and folders of somebody else.
PLACES = {
    "a usual folder": {},
    "a name with spaces, an umlaut, a newline": {"name": "a b\u00fc\n'\u4e2d"},
    "a name of 240 characters": {"name": "n" * 240},
    "a name of 300 characters": {"name": "n" * 300},
    "a full disk": {"full": True},
    "a full disk for temporary files": {"full": True, "temporary": True},
    "a read-only disk": {"read_only": True},
    "a folder of another user": {"owner": _NOBODY, "mode": 0o755},
    "another user's folder that all may write": {
        "owner": _NOBODY,
        "mode": 0o777,
    },
    "HOME is not set": {"unset": ["HOME"]},
    "HOME is not there": {"set": {"HOME": "/proc/none"}},
    "TMPDIR cannot be written": {"set": {"TMPDIR": "/proc/none"}},
    "umask 077": {"umask": 0o077},
    "a symbolic link": {"at": "link"},
    "a file of mode 0600": {"at": "mode"},
    "a device": {"at": "device"},
    "a pipe": {"at": "pipe"},
}


def odd_places(folder, journal, writers=None, places=None):
    """Runs every writer in every place.

    Args:
        folder: `pathlib.Path` to work in.
        journal: `trust_journal.Journal`.
        writers, places: lists of names, or `None` for all.
    """
    for words in places or PLACES:
        for writer in writers or trust_writers.WRITERS:
            key = f"{writer} in {words}"
            if journal.kept(key) is not None:
                continue
            here = folder / "place"
            answer = trust_kills.ask(
                here,
                "write",
                trust_writers.__file__,
                writer=writer,
                place=PLACES[words],
            )
            said, sound = answer.result or (
                f"{answer.error} {answer.tail}",
                False,
            )
            journal.add(f"written: {words}", sound)
            if not sound:
                journal.keep_input(here / "none", key.replace("/", " "), said)
            journal.keep(key, said.replace(str(here), ""))
            shutil.rmtree(here)


def table(journal):
    """What each writer said in each place, a `tables.Table`."""
    names = list(trust_writers.WRITERS)
    rows = []
    for words in PLACES:
        said = [journal.kept(f"{name} in {words}") for name in names]
        if None in said:
            continue
        refusals = [text for text in said if text != "written"]
        cells = [text.partition(":")[0] for text in said]
        example = min(refusals, key=len).partition(": ")[2] if refusals else ""
        rows.append((words, *cells, " ".join(example.split())[:160]))
    return tables.Table(("place", *names, "what is said, for one"), tuple(rows))
