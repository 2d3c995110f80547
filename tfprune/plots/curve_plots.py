"""Pictures of sensitivity and of searches; matplotlib is imported lazily."""

import io
import itertools

from tfprune.core import atomic

# From the palette of Okabe and Ito; what goes beyond it changes its dashes.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = ("-", "--", ":", "-.")
_FORMATS = (".png", ".svg", ".pdf")


def sensitivity_plot(sensitivity, path, title=None):
    """Draws one curve for each group: the metric over the removed share.

    Args:
        sensitivity: a `curves.Sensitivity`.
        path: `str` or path-like, the file to write: .png, .svg or .pdf.
        title: `str`; by default the name of the model.

    Raises:
        ImportError: If matplotlib is missing.
        OSError: If the file cannot be written.
        ValueError: If the name has another ending.

    Example:

    >>> curves = tfprune.sensitivity(model, (x_val, y_val))
    >>> tfprune.plots.sensitivity_plot(curves, "sensitivity.png")
    """
    _save(path, lambda: _draw(sensitivity, title or sensitivity.model))


def search_plot(searches, path, title="search"):
    """Draws the accuracy of each trial, and the best so far as a line.

    Args:
        searches: a `searching.Search`, or a list of them; those with one
            trial become horizontal lines.
        path: as for `sensitivity_plot`.
        title: `str`.

    Raises:
        ImportError, OSError, ValueError: as `sensitivity_plot`.

    Example:

    >>> found = tfprune.search(model, (x_val, y_val), budget)
    >>> tfprune.plots.search_plot(found, "search.png")
    """
    if not isinstance(searches, (list, tuple)):
        searches = [searches]
    _save(path, lambda: _draw_searches(searches, title))


def _save(path, draw):
    path = atomic.writable(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(
            f"A picture's name must end in one of {', '.join(_FORMATS)}. "
            f"Received: path={str(path)!r}."
        )
    buffer = io.BytesIO()
    draw().savefig(buffer, format=path.suffix[1:].lower(), dpi=160)
    atomic.write({path: buffer.getvalue()})


def _axes(height):
    """A `matplotlib.figure.Figure` and its axes."""
    try:
        from matplotlib import figure as figure_lib
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib. Install it: pip install "tfprune[plots]"'
        ) from error
    figure = figure_lib.Figure((8, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(color="#E5E5E5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_searches(searches, title):
    figure, axes = _axes(4.0)
    longest = max(len(found.trials) for found in searches)
    for i, found in enumerate(searches):
        color = _COLORS[i % len(_COLORS)]
        values = [trial.accuracy for trial in found.trials]
        best = list(itertools.accumulate(values, max))
        if len(values) == 1:
            axes.axhline(
                values[0], color=color, linestyle="--", label=found.strategy
            )
            continue
        numbers = range(1, len(values) + 1)
        axes.plot(numbers, values, ".", color=color, alpha=0.4)
        axes.plot(numbers, best, color=color, label=found.strategy)
    axes.set_xlim(0, longest + 1)
    axes.set_xlabel("trial")
    axes.set_ylabel("accuracy before fine-tuning")
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False)
    return figure


def _draw(sensitivity, title):
    """A `matplotlib.figure.Figure`."""
    curves = sensitivity.curves()
    figure, axes = _axes(max(4.0, 0.22 * len(curves)))  # inches
    for i, (group, curve) in enumerate(curves.items()):
        ratios = [0.0, *(point.ratio for point in curve)]
        values = [sensitivity.dense, *(point.value for point in curve)]
        axes.plot(
            ratios,
            values,
            color=_COLORS[i % len(_COLORS)],
            linestyle=_DASHES[i // len(_COLORS) % len(_DASHES)],
            marker="o",
            markersize=3,
            label=f"{group} ({curve[0].channels})",
        )
    axes.set_xlabel("share of the group's channels that is removed")
    axes.set_ylabel(sensitivity.metric)
    axes.set_title(title, loc="left", fontsize=10)
    figure.legend(
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        title="group (channels)",
    )
    return figure
