"""How all pictures look: colours, marks, sizes, and how files are written."""

import contextlib
import importlib
import io

from tfprune.core.files import atomic

# From the palette of Okabe and Ito; they also differ in lightness, so that
# they can be told apart in print.
KEPT, REMOVED, FIXED = "#0072B2", "#F5C98B", "#8C8C8C"
FAINT, INK, GRID = "#C9DCE8", "#222222", "#E5E5E5"
FORMATS = (".png", ".svg", ".pdf")

# Okabe and Ito's, then Tol's muted ones; no two series share a colour, and
# each has a mark of its own for who cannot tell colours.
_COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#222222",
    "#882255",
    "#332288",
    "#999933",
    "#44AA99",
    "#8C564B",
    "#7F7F7F",
    "#B8860B",
)
_MARKS = "osD^vPX<>phd8*"
_DASHES = ("-", "--", ":", "-.")
_SETTINGS = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}


def series(count):
    """How each of several series is drawn.

    Args:
        count: `int`.

    Returns:
        List of `dict`s with `color`, `marker` and `linestyle`, which differ
        from one another: in the colour of the first 14, beyond these in
        dashes.
    """
    return [
        {
            "color": _COLORS[i % len(_COLORS)],
            "marker": _MARKS[i % len(_MARKS)],
            "linestyle": _DASHES[i // len(_COLORS) % len(_DASHES)],
        }
        for i in range(count)
    ]


@contextlib.contextmanager
def used():
    """While it is entered, what matplotlib draws looks like this."""
    with module("").rc_context(_SETTINGS):
        yield


def literal():
    """While it is entered, texts are drawn as they are: names have dollars."""
    return module("").rc_context({"text.parse_math": False})


def panels(rows, columns, size):
    """A `matplotlib.figure.Figure` and an array of its axes.

    Args:
        rows, columns: `int`.
        size: `(width, height)` in inches.
    """
    figure = module("figure").Figure(size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def logarithmic(axes, name, unit=1, marks=(1, 2, 5)):
    """Gives an axis a logarithmic scale with plain numbers.

    The scale's own numbers are formulas, at tens only or everywhere.

    Args:
        axes: the axes of a panel.
        name: `"x"` or `"y"`.
        unit: `float`, by which the numbers are divided.
        marks: numbers from 1 to 9; these times powers of ten are shown.
    """
    ticker = module("ticker")
    getattr(axes, f"set_{name}scale")("log")
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(ticker.LogLocator(subs=marks))
    axis.set_major_formatter(lambda value, _: f"{value / unit:,.10g}")
    axis.set_minor_formatter(ticker.NullFormatter())


def writable(path):
    """The path, if a picture can be written there.

    Raises:
        OSError: If it cannot be written.
        ValueError: If it ends in none of `FORMATS`.
    """
    path = atomic.writable(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"A picture's name must end in one of {', '.join(FORMATS)}. "
            f"Received: path={str(path)!r}."
        )
    return path


def write(figure, path):
    """Writes a figure, whole or not at all, to a path of `writable`."""
    atomic.write({path: encoded(figure, path.suffix[1:].lower())})


def encoded(figure, kind="png"):
    """The bytes of a figure's file."""
    buffer = io.BytesIO()
    # A picture of the same numbers is the same file.
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


def module(name):
    """A module of matplotlib, which is an extra.

    Raises:
        ImportError: If it is missing.
    """
    try:
        return importlib.import_module(f"matplotlib.{name}".rstrip("."))
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib. Install it: pip install "tfprune[plots]"'
        ) from error
