"""The command `tfprune`, which starts without the library.

Importing `tfprune` imports Keras and registers every layer class, so that
saved models load. Help, lists and wrong flags need none of it: in a process
that imports this module first, `tfprune` loads what is asked of it, when it
is asked.
"""


def main():
    """Runs the command line of the process; returns the exit status."""
    from tfprune.cli import program

    return program.main()
