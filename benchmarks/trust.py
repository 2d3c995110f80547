"""What is lost under kills, damaged files, odd places, and several at once.

Runs until all kills and files are tried, and at least for some minutes, and
writes what it tried, what survived and what was lost. Each trial is noted in
`build/trust/trials.jsonl`; a run that was cut off goes on from there, if
neither the seed nor tfprune has changed. Inputs that failed are kept beside
it. Linux, as root.

  python benchmarks/trust.py --minutes=60 --seed=0 --table=docs/results/trust.md
"""

import json
import pathlib
import sys
import threading
import time
import traceback

import numpy as np
import results
from absl import app
from absl import flags

# The tools are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import trust_aimed
import trust_alone
import trust_files
import trust_jobs
import trust_journal
import trust_kills
import trust_places
import trust_soak

from tfprune.core import tables
from tfprune.core.files import leftovers

FLAGS = flags.FLAGS
# Rounds of each kind that the memory of pipelines is compared with.
_CONTROLS = 30
flags.DEFINE_float("minutes", 60, "how long pipelines run")
flags.DEFINE_integer("seed", 0, "of kills, damages and pipelines")
flags.DEFINE_integer("kills", 200, "kills at random moments")
flags.DEFINE_integer("files", 2000, "damaged and hostile files")
flags.DEFINE_integer("aimed", 50, "kills of each folder that is exchanged")
flags.DEFINE_string("state", "build/trust", "what a run goes on from")
flags.DEFINE_string("table", "", "also write the table to this file")

_TEXT = """\
A killed run survives if it is started again and ends with the weights of one
that was not killed. It is killed up to six times; each kill counts. Kills
before a change on the disk come just before a file is opened to be written, or
a name is made, changed or removed; for firmware and for results of `compress`
that is any change, in an order of chance and one after the other. Firmware
survives if its files are of one model or refuse to compile, and if the next
export is whole. A file survives if it opens or is refused in one line, within
{patience} seconds and {memory:,} MB, and nothing of it ran. A writer survives
in an odd place if the file is whole, or refused in one line with what was there
before unchanged, and nothing half-written stays.
"""


def main(argv):
    del argv
    journal = trust_journal.Journal(pathlib.Path(FLAGS.state), FLAGS.seed)
    end = time.time() + FLAGS.minutes * 60 - journal.seconds
    failed = run(journal, end)
    results.publish(page(journal), FLAGS.table)
    lost = [r.what for r in journal.rows() if r.survived < r.tried]
    if failed or lost:
        raise RuntimeError("\n".join(failed + lost))


def run(journal, end):
    """Tries everything until a time; kills, files and pipelines side by side.

    Returns:
        List of `str`, the errors of parts that ended before their time.
    """
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        failed = []

        def start(name, work, *arguments):
            def guarded():
                try:
                    work(place, journal, *arguments)
                except Exception:
                    failed.append(f"{name}: {traceback.format_exc()}")

            place = folder / name
            place.mkdir()
            thread = threading.Thread(target=guarded)
            thread.start()
            return thread

        started = [
            start("kills", trust_kills.kills, FLAGS.seed, None, FLAGS.kills),
            start("files", trust_files.damaged, FLAGS.seed, None, FLAGS.files),
            start("soak", soak, FLAGS.seed, end),
            start("once", once),
        ]
        for thread in started:
            thread.join()
        return failed


def once(folder, journal):
    """What is tried for each change, place or pair, whatever the time."""
    trust_alone.network(folder, journal)
    trust_alone.orphans(folder / "orphans", journal, FLAGS.seed)
    threads(folder, journal)
    two_at_once(folder, journal)
    trust_aimed.firmware(folder / "firmware", journal, FLAGS.aimed)
    trust_aimed.result(folder / "result", journal, FLAGS.aimed)
    trust_places.odd_places(folder, journal)


def threads(folder, journal):
    """`prune` from eight threads."""
    what = "at once: `prune` in eight threads, the same result"
    if journal.count(what):
        return
    answer = trust_kills.ask(folder / "threads", "threads")
    for _ in range(8):
        journal.add(what, answer.result == [8, 1])


# Each of two processes gives the result, or leaves the folder to the other.
_SHARED = ("fit", "pcas", "search", "compress", "export")


def two_at_once(folder, journal, jobs=_SHARED):
    """Two processes that write the same files."""
    looks = "at once: looks at files that two processes write"
    if not journal.count(looks):
        place = folder / "shared"
        for _ in _pair(place, "write"):
            a = trust_kills.read(place / "a")
            journal.add(looks, len(a) in (0, 40_000) and len(set(a)) <= 1)
            time.sleep(0.1)
    for job in jobs:
        title = trust_jobs.TITLES[job]
        what = f"at once: two processes in one folder, {title}"
        if journal.count(what):
            continue
        wanted, *_ = trust_kills.whole(folder / "whole", job, journal)
        answers = []
        for _ in _pair(folder / job, job, answers):
            time.sleep(0.1)
        said = [answer.error or answer.result for answer in answers]
        refused = [
            text
            for text in said
            if str(text).startswith("RuntimeError: Each ")
            and "which another process" in text
        ]
        survived = said.count(wanted) + len(refused) == 2 and wanted in said
        journal.add(what, survived, f"{len(refused)} of 2 was refused")
        if not survived:
            journal.keep_input(folder / job, f"two-{job}", f"{said}")


def _pair(place, job, answers=None):
    """Two processes with one job: yields while they work."""

    def work():
        answer = trust_kills.ask(place, job)
        if answers is not None:
            answers.append(answer)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for thread in workers:
        thread.start()
    while any(thread.is_alive() for thread in workers):
        yield


def soak(folder, journal, seed, end):
    """Whole pipelines for a while; memory and open files stay flat."""
    what = "pipelines from `prune` to a .tflite file, one process"
    answer = trust_kills.ask(
        folder,
        "soak",
        trust_soak.__file__,
        until=end,
        seed=seed,
        number=journal.count("pipelines"),
        controls=_CONTROLS,
    )
    log = (folder / "log").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    held = journal.kept("held") or []
    held.append([line[1:] for line in lines])
    journal.keep("held", held)
    for line in lines:
        journal.add(what, line[0] is None)
        if line[0] is not None:
            journal.keep_input(folder / "none", "soak", line[0])
    if answer.error:
        journal.add(what, False, answer.error)
    else:
        journal.keep("controls", answer.result)


def growth(held):
    """What a process held, thirds of its pipelines compared: a `Table`."""
    rows = np.array(held)
    thirds = [part.mean(0) for part in np.array_split(rows[2:], 3)]
    names = ("memory, MB", "threads", "open files", "temporary files")
    return tables.Table(
        ("held by the process", "first third", "second", "last third"),
        tuple(
            (name, *(f"{third[i]:,.1f}" for third in thirds))
            for i, name in enumerate(names)
        ),
    )


def page(journal):
    """The page of results, `str`."""
    rows = [
        (r.what, r.tried, r.survived, r.tried - r.survived, r.notes)
        for r in sorted(journal.rows(), key=lambda row: row.what)
    ]
    total = [sum(row[i] for row in rows) for i in (1, 2, 3)]
    table = tables.Table(
        ("what", "tried", "survived", "lost", "notes"),
        tuple(tuple(map(str, row)) for row in [*rows, ("all", *total, "")]),
    )
    parts = [
        "# Kills, damaged files, odd places, several at once\n",
        f"{journal.seconds_now / 60:.0f} minutes, seed {FLAGS.seed}: "
        f"{journal.count('killed')} kills, {trust_kills.random_kills(journal)} "
        "of them at random moments of training, pruning and searches; "
        f"{journal.count('opened')} files, "
        f"{journal.count('pipelines')} pipelines.",
        _TEXT.format(
            patience=trust_files.PATIENCE, memory=trust_files.MOST_MEMORY
        ),
        table.to_markdown(),
        "\n## Odd places\n",
        trust_places.table(journal).to_markdown(),
        "\n## What pipelines leave behind\n",
    ]
    slowest, largest = journal.kept("worst") or (0, 0)
    parts += [
        growth(held).to_markdown() + "\n"
        for held in journal.kept("held") or []
        if len(held) > 8
    ]
    parts += [
        f"{words}: {gained:.1f} MB more with each of {_CONTROLS} rounds.\n"
        for words, gained in (journal.kept("controls") or {}).items()
    ]
    parts.append(
        f"The slowest file took {slowest:.1f} s, the largest {largest:,} MB.\n"
    )
    parts.append(results.footer("trust.py"))
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    app.run(main)
