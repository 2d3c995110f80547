"""A picture of sensitivity curves; matplotlib is imported where it is used."""

import io

from tfprune.export import files

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
    >>> tfprune.sensitivity_plot(curves, "sensitivity.png")
    """
    path = files.writable(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(
            f"A picture's name must end in one of {', '.join(_FORMATS)}. "
            f"Received: path={str(path)!r}."
        )
    picture = _draw(sensitivity, title or sensitivity.model)
    buffer = io.BytesIO()
    picture.savefig(buffer, format=path.suffix[1:].lower(), dpi=160)
    files.write({path: buffer.getvalue()})


def _draw(sensitivity, title):
    """A `matplotlib.figure.Figure`."""
    try:
        from matplotlib import figure as figure_lib
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib. Install it: pip install "tfprune[plots]"'
        ) from error
    curves = sensitivity.curves()
    height = max(4.0, 0.22 * len(curves))  # inches
    figure = figure_lib.Figure((8, height), layout="constrained")
    axes = figure.subplots()
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
    axes.grid(color="#E5E5E5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        title="group (channels)",
    )
    return figure
