"""Progress displays for long work: a bar, or live text."""

import contextlib

import rich.console
import rich.live
import rich.progress
import rich.text


def bar(shown):
    """Returns a progress bar on stderr, if that is a terminal.

    Args:
        shown: `bool`, whether to show it.

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


@contextlib.contextmanager
def live(shown, console=None):
    """Shows text on stderr that is redrawn in place, if it is a terminal.

    Args:
        shown: `bool`, whether to show it.
        console: `rich.console.Console` to draw on instead of stderr.

    Yields:
        A function of the text to show; call it with every change.
    """
    console = console or rich.console.Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda text: None
        return
    with rich.live.Live(console=console, transient=True) as display:
        yield lambda text: display.update(rich.text.Text(text), refresh=True)
