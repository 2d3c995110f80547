"""Plots of pruned channels; matplotlib is imported on first use."""

import keras
import numpy as np

from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.plots import style
from tfprune.reports import kept_channels
from tfprune.reports import strips as strips_lib
from tfprune.sparsity import wrapping


def channels_plot(model, small, path=None, title=None):
    """Plots the removed channels of each layer, and its multiply-adds.

    Each layer that makes channels has a strip with one cell per channel, in
    the order of its weights, and a bar with its multiply-adds before and
    after. Given two models, channels are matched by their weights; if these
    were trained in between, the strip only shows how many channels remain,
    marked "any". Multiply-adds are left out where the sizes of the inputs are
    unknown.

    Args:
        model: the dense `keras.Model`, or its `ChannelGraph`, which may know
            the sizes of inputs that the model leaves open.
        small: the smaller model; or bool array, shape `(graph.size,)`: the
            `keep` of a `Cut` from `tfprune.selection.choose`, or, for a model
            with zeros in its weights, from
            `tfprune.surgery.removable(graph)`.
        path: `str` or path-like, the file to write: .png, .svg or .pdf;
            `None` writes nothing.
        title: `str`; by default the model's name and remaining costs.

    Returns:
        A `matplotlib.figure.Figure`, which notebooks show.

    Raises:
        ImportError: If matplotlib is missing.
        OSError: If the file cannot be written.
        ValueError: If the file extension is not one of these, `small` is not
            a smaller version of the model or has the wrong shape, or no layer
            of the model makes channels.

    Example:

    >>> small = tfprune.prune(model, macs=0.25)
    >>> tfprune.plots.channels_plot(model, small, "channels.png")
    """
    path = None if path is None else style.writable(path)
    graph, keep, guessed = _cut(model, small)
    strips = strips_lib.channel_strips(graph, keep, guessed)
    if not strips:
        raise ValueError(
            "A model with layers that make channels is required. Received: "
            f"model={graph.model.name!r}, which has none."
        )
    sized = _is_sized(graph)
    with style.literal():
        picture = _draw(strips, title or _title(graph, keep, sized), sized)
        if path is not None:
            style.write(picture, path)
    return picture


def _cut(model, small):
    """The graph, the kept channels, and which of them are guesses."""
    graph = _graph(model)
    if not isinstance(small, (keras.Model, channel_graph.ChannelGraph)):
        return graph, small, None
    return graph, *kept_channels.kept_channels(graph, _graph(small))


def _graph(model):
    if isinstance(model, channel_graph.ChannelGraph):
        return model
    return read.channel_graph(wrapping.plain(model))


def _is_sized(graph):
    """Whether multiply-adds can be counted."""
    try:
        counting.check_sizes(graph)
    except ValueError:
        return False
    return True


def _title(graph, keep, sized):
    meter = counting.Meter(graph)
    before, after = meter.cost(), meter.cost(keep)
    macs = f"{after.macs / max(before.macs, 1):.0%} of the MACs, "
    return (
        f"{graph.model.name}: {after.channels:,} of {before.channels:,} "
        f"removable channels kept, {macs if sized else ''}"
        f"{after.params / max(before.params, 1):.0%} of the weights"
    )


def _draw(strips, title, sized):
    """A `matplotlib.figure.Figure` with strips on the left, bars right."""
    figure_lib = style.module("figure")
    height = 1.5 + 0.3 * len(strips)  # inches
    figure = figure_lib.Figure((11, height), layout="constrained")
    left, right = figure.subplots(
        1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 1.25)}
    )
    _draw_strips(left, strips)
    if sized:
        _draw_work(right, strips)
    else:
        right.set_visible(False)
    left.set_ylim(len(strips) - 0.4, -0.6)
    left.set_yticks(range(len(strips)), [_short(s.layer) for s in strips])
    for axes in (left, right):
        axes.tick_params(length=0, colors=style.INK, labelsize=8)
        axes.spines[:].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=style.INK)
    figure.legend(
        handles=_legend(),
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    return figure


def _draw_strips(axes, strips):
    widest = max(len(s.kept) for s in strips)
    for row, strip in enumerate(strips):
        count = len(strip.kept)
        axes.imshow(
            _colors(strip)[None],
            extent=(0, count, row + 0.36, row - 0.36),
            aspect="auto",
        )
        if widest <= 256:
            lines = np.arange(1, count)
            axes.vlines(lines, row - 0.36, row + 0.36, "white", linewidth=0.6)
        axes.text(
            count + widest * 0.01,
            row,
            f"{'any ' * strip.guessed}{strip.kept.sum()} of {count}",
            va="center",
            fontsize=7.5,
            color=style.INK,
        )
    axes.set_xlim(0, widest * 1.12)
    axes.set_xticks([n for n in axes.get_xticks() if n <= widest])
    axes.set_xlabel("output channels", fontsize=8, loc="left", color=style.INK)


def _draw_work(axes, strips):
    rows = np.arange(len(strips))
    before = np.array([s.macs_before for s in strips], float)
    after = np.array([s.macs_after for s in strips], float)
    axes.barh(rows, before, 0.72, color=style.FAINT)
    axes.barh(rows, after, 0.72, color=style.KEPT)
    for row, (b, a) in enumerate(zip(before, after, strict=True)):
        text = f"{a / b:.0%}" if b else ""
        axes.text(
            b, row, f" {text}", va="center", fontsize=7.5, color=style.INK
        )
    axes.set_xlim(0, before.max() * 1.15 or 1)
    axes.xaxis.set_major_formatter(style.module("ticker").EngFormatter())
    axes.set_xlabel(
        "MACs per sample: before, after (dark)",
        fontsize=8,
        loc="left",
        color=style.INK,
    )
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _colors(strip):
    """RGB of each channel, shape `(channels, 3)`."""
    to_rgb = style.module("colors").to_rgb
    colors = np.where(
        strip.kept[:, None], to_rgb(style.KEPT), to_rgb(style.REMOVED)
    )
    return np.where(
        (strip.fixed & strip.kept)[:, None], to_rgb(style.FIXED), colors
    )


def _legend():
    patch = style.module("patches").Patch
    return [
        patch(color=style.KEPT, label="kept"),
        patch(color=style.REMOVED, label="removed"),
        patch(color=style.FIXED, label="cannot be removed"),
    ]


def _short(name, limit=34):
    return name if len(name) <= limit else f"...{name[3 - limit :]}"
