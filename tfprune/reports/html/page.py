"""The report page: one self-contained HTML file."""

import dataclasses
import importlib.resources

from tfprune.core.files import atomic
from tfprune.reports import quantities
from tfprune.reports.html import markup
from tfprune.reports.html import page_layers
from tfprune.reports.html import page_predictions
from tfprune.reports.html import page_results
from tfprune.reports.html import page_training
from tfprune.reports.html import provenance


@dataclasses.dataclass(frozen=True)
class FrontierPoint:
    """A candidate network.

    Attributes:
        name: `str`.
        value: `float`, its metric.
        costs: `dict` from the names of quantities (keys of
            `quantities.WORDS`, or others) to numbers.
        chosen: `bool`, whether the page is about this network.
    """

    name: str
    value: float
    costs: dict
    chosen: bool = False


@dataclasses.dataclass(frozen=True)
class Frontier:
    """A metric against costs, for several networks.

    Attributes:
        metric: `str`, the name of the metric and of its data.
        points: tuple of `FrontierPoint`.
        unit: `str`, "%" if the metric is a fraction of 1.
    """

    metric: str
    points: tuple
    unit: str = "%"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of training.

    Attributes:
        name: `str` ("dense", "fine-tuning").
        history: `dict` from the name of a metric to a list with a number for
            each epoch, like `keras.callbacks.History.history`.
    """

    name: str
    history: dict


@dataclasses.dataclass(frozen=True)
class Page:
    """The contents of a page. Sections without data are omitted.

    Attributes:
        before: `profiles.Profile` of the original network, or of the only one.
        after: `Profile` of the smaller network.
        title: `str`; by default, the name of the model.
        target: `str`, the name of the target, such as a board.
        measured: tuple of `Quantity`, measurements with limits. They come
            first and replace quantities of the profiles that have the same
            label.
        channels: the result of `channel_strips(graph, keep)` for the original
            network. Without it, the page shows how many channels of each layer
            are kept, but not which.
        frontier: a `Frontier`.
        stages: tuple of `Stage`, in order of time.
        sensitivity: the result of `tfprune.sensitivity`.
        chance: `float`, the metric of `sensitivity` at chance level.
        quantization: the result of `tfprune.quantization_error`.
        outcomes: the result of `outcomes`, a tuple.
        settings: `dict` from names to values.
        command: `str`, the command or the code that reproduces the result.

    Example:

    >>> report = tfprune.compare(model, small)
    >>> page = dataclasses.replace(
    ...     report.page(), stages=(Stage("fine-tuning", history.history),))
    >>> page.write("report.html")
    """

    before: object
    after: object = None
    title: str = ""
    target: str = ""
    measured: tuple = ()
    channels: tuple = ()
    frontier: Frontier | None = None
    stages: tuple = ()
    sensitivity: object = None
    chance: float | None = None
    quantization: object = None
    outcomes: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)
    command: str = ""

    def __post_init__(self):
        names = [quantity.label for quantity in self.measured]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    "Each quantity of a page must have a unique name. "
                    f"Received: measured with {names.count(name)} times "
                    f"{name!r}. Tell them apart by name, as in 'int8 flash "
                    "bytes, measured'."
                )

    def quantities(self):
        """List of `Quantity`: the measurements, then those of the profiles."""
        found = list(self.measured)
        known = {quantity.label for quantity in found}
        before = self.before.totals
        after = {} if self.after is None else self.after.totals
        for name in before | after:
            quantity = quantities.Quantity(
                name,
                before.get(name),
                after.get(name),
                "%" if quantities.is_accuracy(name) else "",
                larger_is_better=quantities.is_accuracy(name),
            )
            if quantity.label not in known:
                found.append(quantity)
        return found

    def to_html(self):
        """The page, `str`."""
        return self._document().decode()

    def write(self, path):
        """Writes the page to a file, completely or not at all.

        Args:
            path: `str` or path-like, the file.

        Raises:
            OSError: If the file cannot be written.
        """
        path = atomic.writable(path)
        atomic.write({path: self._document()})

    def _document(self):
        sections = [
            (name, title, element)
            for name, title, make in _SECTIONS
            if (element := make(self)) is not None
        ]
        if self.after is None and not self.measured:
            sections[0] = ("summary", "Costs", sections[0][-1])
        title = self.title or (self.after or self.before).name
        html = markup.tag(
            "html",
            markup.tag(
                "head",
                markup.tag("meta", charset="utf-8"),
                markup.tag(
                    "meta",
                    name="viewport",
                    content="width=device-width, initial-scale=1",
                ),
                markup.tag("meta", name="color-scheme", content="light dark"),
                markup.tag("title", title),
                markup.tag("style", _asset("page.css")),
            ),
            markup.tag(
                "body",
                markup.tag(
                    "a", "Skip to content", href="#content", class_="skip"
                ),
                _header(self, title),
                _navigation(sections),
                markup.tag(
                    "main",
                    [_section(*section) for section in sections],
                    id="content",
                ),
                markup.tag(
                    "div",
                    id="told",
                    role="status",
                    aria_live="polite",
                    hidden=True,
                ),
                markup.tag("script", _asset("page.js")),
            ),
            lang="en",
        )
        return markup.document(html)


def _header(page, title):
    models = [p.name for p in (page.before, page.after) if p is not None]
    names = " → ".join(dict.fromkeys(models))
    line = [names] if names != title else []
    if page.target:
        line.append(f"for {page.target}")
    return markup.tag(
        "header",
        markup.tag("h1", title),
        markup.tag("p", ", ".join(line), class_="soft") if line else None,
        page_results.verdict(page),
    )


def _navigation(sections):
    return markup.tag(
        "nav",
        markup.tag(
            "ul",
            [
                markup.tag("li", markup.tag("a", title, href=f"#{name}"))
                for name, title, _ in sections
            ],
        ),
        aria_label="Sections",
    )


def _section(name, title, content):
    return markup.tag(
        "section",
        markup.tag("h2", title, id=f"{name}-title"),
        content,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def _making(page):
    """Settings, versions, and the command that reproduces the page."""
    found = provenance.environment()
    facts = {
        **page.settings,
        "machine": found["machine"],
        **{f"version of {k}": v for k, v in found["versions"].items()},
    }
    rows = [
        markup.tag("div", markup.tag("dt", name), markup.tag("dd", str(value)))
        for name, value in facts.items()
    ]
    command = None
    if page.command:
        command = [
            markup.tag("h3", "Reproduce it"),
            markup.tag("pre", markup.tag("code", page.command), tabindex=0),
        ]
    return markup.tag("div", markup.tag("dl", rows), command)


def _asset(name):
    """The text of a file in this package."""
    return (importlib.resources.files(__package__) / name).read_text("utf-8")


# In the order of the page.
_SECTIONS = (
    ("summary", "Before and after", page_results.summary),
    ("frontier", "Frontier", page_results.frontier),
    ("channels", "Channels", page_layers.channels),
    ("layers", "Layers", page_layers.layers),
    ("training", "Training", page_training.training),
    ("memory", "RAM over time", page_layers.memory),
    ("sensitivity", "Sensitivity", page_training.sensitivity),
    (
        "quantization",
        "Quantization error",
        page_results.quantization,
    ),
    ("outcomes", "Predictions", page_predictions.outcomes),
    ("making", "How it was made", _making),
)
