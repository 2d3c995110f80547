"""A progress bar for what takes minutes."""

import rich.console
import rich.progress


def bar(shown):
    """A bar on stderr, if that is a terminal.

    Args:
        shown: `bool`, whether one is wanted.

    Returns:
        A `rich.progress.Progress`, a context manager.
    """
    console = rich.console.Console(stderr=True)
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
    )
