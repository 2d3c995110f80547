"""Work that is killed at random moments and started again."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import threading
import time

import trust_jobs

from tfprune.core.processes import child

# In this order, over and over; what is quick comes more often.
KILLED = (
    *("search", "fit", "pcas", "write", "compress", "search", "fit", "records"),
    *("search", "pcas", "fit", "write", "lab", "search", "fit", "pcas"),
    *("search", "fit", "write", "compress", "search", "fit", "pcas", "search"),
    *("fit", "pcas", "search", "fit", "pcas", "search", "fit", "search"),
)
# Kills in a row before a run may end.
_MOST = 6
_RANDOM, _AIMED = "killed at a random moment", "killed before a change on disk"


def ask(folder, job, script=trust_jobs.__file__, aim=None, **options):
    """The `child.Answer` of a job."""
    folder.mkdir(parents=True, exist_ok=True)
    with child.Child(script) as process:
        return process.ask(
            {"job": job, "folder": str(folder), "options": options, "aim": aim}
        )


def kills(folder, journal, seed, until, most):
    """Kills runs until there were `most` kills at random moments.

    A run is killed up to six times, and started again each time. Every third
    run is killed just before it changes a file or a name instead. The kills
    survive if it ends with the weights of a run that was not killed.

    Args:
        folder: `pathlib.Path` to work in.
        journal: `trust_journal.Journal`.
        seed: `int`.
        until: `float`, a time to end at; every job is killed once all the
            same. `None` for no such time.
        most: `int`. Kills of the job `write` come on top.
    """
    number = journal.kept("chain") or 0
    while random_kills(journal) < most and (
        until is None or time.time() < until or number < len(KILLED)
    ):
        job = KILLED[number % len(KILLED)]
        _chain(folder / f"{job}-{number}", job, journal, f"{seed}-{number}")
        number += 1
        journal.keep("chain", number)


def random_kills(journal):
    """How many kills there were at random moments, without those of `write`."""
    return journal.count(_RANDOM) - journal.count(
        f"{_RANDOM}: {trust_jobs.TITLES['write']}"
    )


def _chain(place, job, journal, seed):
    """One run, killed several times."""
    rng = random.Random(seed)
    kind = _AIMED if rng.random() < 1 / 3 else _RANDOM
    wanted, lasts, changes = whole(
        place.with_name(f"{job}-whole"), job, journal
    )
    count, sound = 0, True
    for _ in range(rng.randint(1, _MOST)):
        if kind == _AIMED:
            aim = rng.randint(1, changes)
            killed = ask(place, job, aim=aim).crashed
        else:
            killed = _killed(place, job, rng.uniform(0, lasts))
        if job == "write":
            sound &= _is_whole(place)
        count += killed
        if not killed:
            break
    answer = ask(place, job)
    survived = sound and answer.result == wanted
    for _ in range(count):
        journal.add(f"{kind}: {trust_jobs.TITLES[job]}", survived)
    if not survived:
        text = f"{answer.error}\n{answer.result}\n{wanted}\n{answer.tail}"
        journal.keep_input(place, place.name, text)
    shutil.rmtree(place)


def whole(place, job, journal):
    """What a run gives that is not killed, its seconds, and its changes."""
    known = journal.kept(job)
    if known is None:
        answer = ask(place, job)
        if answer.error:
            raise RuntimeError(f"{job}: {answer.error}\n{answer.tail}")
        known = [answer.result, *json.loads((place / "taken").read_text())]
        journal.keep(job, known)
        shutil.rmtree(place)
    return known


def _killed(place, job, seconds):
    """Starts a job and kills it; whether it was still running."""
    place.mkdir(parents=True, exist_ok=True)
    started = place / "started"
    started.unlink(missing_ok=True)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(place, job)))
    thread.start()
    while not (started.exists() and started.read_text()):
        time.sleep(0.001)
        if not thread.is_alive():
            break
    thread.join(seconds)
    if thread.is_alive():
        # It may have ended just now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(started.read_text()), signal.SIGKILL)
    thread.join()
    return answers[0].crashed


def _is_whole(place):
    """Whether the files of the job `write` are old or new, not in between."""
    a, b = (read(place / name) for name in "ab")
    return (
        len(set(a)) <= 1
        and len(set(b)) <= 1
        and len(a) in (0, 40_000)
        and len(b) in (0, 10)
    )


def read(path):
    """The bytes of a file, none where there is none."""
    return pathlib.Path(path).read_bytes() if path.exists() else b""
