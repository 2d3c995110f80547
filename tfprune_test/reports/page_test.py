"""The page: all that was given, nothing else, and text that stays text."""

import dataclasses
import html.parser
import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.reports import answers
from tfprune.reports import comparison
from tfprune.reports import page as page_lib
from tfprune.reports import quantities
from tfprune.searches import curves

HOSTILE = "<script>document.title='taken'<-script>&\"'"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(html.parser.HTMLParser):
    """What a browser would see: elements, texts, and tags left open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [a for name, a in self.elements if name == tag]

    @property
    def sections(self):
        return [a["id"] for a in self.all("section")]

    @property
    def text(self):
        return "\n".join(self.words)


def net(name="net", hidden="hidden"):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = keras.layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x + y)
    x = keras.layers.Dense(6, activation="relu", name=hidden)(x)
    x = keras.layers.Dense(3, name="logits")(x)
    return keras.Model(inputs, x, name=name)


def without(model, layer, channels):
    """The model without some of the channels that a layer makes."""
    graph = read.channel_graph(model)
    labels = next(g.labels for g in graph.groups if layer in g.writers)
    keep = np.ones(graph.size, bool)
    keep[labels[channels]] = False
    return rebuild.shrink(graph, keep)


@dataclasses.dataclass(frozen=True)
class Tensors:
    """As `QuantizationError`."""

    tensors: tuple

    def worst(self, count):
        return sorted(self.tensors, key=lambda t: t.sqnr)[:count]


@dataclasses.dataclass(frozen=True)
class Tensor:
    name: str
    sqnr: float
    error: float
    clipped: float


def full(report):
    """A page with every section."""
    points = tuple(
        curves.Point("stem", ratio, 4 - i, 4, 0.9 - 0.2 * i)
        for i, ratio in enumerate((0.25, 0.5), start=1)
    )
    truth = np.array([0, 1, 2, 2])
    scores = np.eye(3)[[0, 1, 2, 1]]
    return dataclasses.replace(
        report.page(),
        title="A network",
        target="a board",
        measured=(
            quantities.Quantity("int8_flash_bytes", 900, 500, "", 600),
            quantities.Quantity("accuracy, validation", 0.9, 0.875, "%"),
        ),
        frontier=page_lib.Frontier(
            "accuracy",
            (
                page_lib.FrontierPoint("dense", 0.9, {"macs": 1000}),
                page_lib.FrontierPoint("small", 0.875, {"macs": 300}, True),
            ),
        ),
        stages=(
            page_lib.Stage(
                "dense", {"loss": [1.0, 0.5], "val_loss": [1.1, 0.75]}
            ),
            page_lib.Stage("fine-tuning", {"loss": [0.25]}),
        ),
        sensitivity=curves.Sensitivity("net", "accuracy", 0.9, points),
        chance=1 / 3,
        quantization=Tensors(
            (Tensor("stem", 30.0, 0.03, 0.0), Tensor("logits", 12.5, 0.2, 0.1))
        ),
        outcomes=(answers.outcome("logits", truth, scores, np.eye(3)[truth]),),
        settings={"seed": 7},
        command="tfprune compare a.keras b.keras --html=page.html",
    )


class PageTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dense = net()
        cls.small = without(cls.dense, "stem", [1, 2])
        cls.report = comparison.compare(cls.dense, cls.small)
        cls.page = full(cls.report)
        cls.read = Reader(cls.page.to_html())

    def test_every_section_is_there_and_linked(self):
        names = [
            "summary",
            "frontier",
            "channels",
            "layers",
            "training",
            "memory",
            "sensitivity",
            "quantization",
            "outcomes",
            "making",
        ]
        self.assertEqual(self.read.sections, names)
        links = [a["href"] for a in self.read.all("a")]
        self.assertEqual(links, ["#content", *(f"#{name}" for name in names)])

    def test_sections_without_data_are_absent(self):
        found = Reader(self.report.to_html())
        names = ["summary", "channels", "layers", "memory", "making"]
        self.assertEqual(found.sections, names)
        found = Reader(self.report.before.to_html())
        self.assertEqual(found.sections, names)

    def test_every_tag_is_closed_and_every_id_is_one_things(self):
        self.assertEmpty(self.read.open)
        ids = [a["id"] for _, a in self.read.elements if "id" in a]
        self.assertLen(set(ids), len(ids))

    def test_nothing_is_fetched(self):
        for tag, attributes in self.read.elements:
            self.assertNotIn(tag, ("link", "img", "iframe", "object"))
            self.assertNotIn("src", attributes)
            self.assertNotIn("onclick", attributes)
        self.assertNotRegex(self.page.to_html(), r"https?://|url\(|@import")

    def test_charts_have_titles_and_descriptions(self):
        charts = [
            a for a in self.read.all("svg") if "chart" in a.get("class", "")
        ]
        self.assertNotEmpty(charts)
        self.assertLen(self.read.all("desc"), len(charts))
        text = self.read.text
        self.assertIn("loss over 3 epochs: training ends at 0.25", text)

    def test_channels_tell_what_goes_together_and_what_must_stay(self):
        text = self.read.text
        self.assertIn(
            "stem: 2 of 4 channels kept\nGoes together with: branch", text
        )
        self.assertIn("logits: 3 of 3 channels kept\n3 must stay: ", text)
        # Of four channels the second and the third are gone.
        self.assertIn(
            {"d": "M1 0h2v1h-2z", "class": "removed"}, self.read.all("path")
        )

    def test_numbers_are_those_of_the_report(self):
        text = self.read.text
        for side in (self.report.before, self.report.after):
            for cost in ("macs", "params", "ram_bytes"):
                self.assertIn(f"{getattr(side.total, cost):,}", text)
            self.assertIn(f"peak {side.total.ram_bytes:,}", text)

    def test_the_limit_is_kept_or_said_to_be_broken(self):
        self.assertIn("✓ Fits: ", self.read.text)
        broken = quantities.Quantity("int8_flash_bytes", 900, 500, "", 499)
        page = dataclasses.replace(self.page, measured=(broken,))
        self.assertIn(
            "int8 flash bytes, measured 500, limit 499", page.to_html()
        )

    def test_one_name_for_two_things_is_refused(self):
        same = (quantities.Quantity("flash"), quantities.Quantity("flash"))
        with self.assertRaisesRegex(ValueError, "name of its own.*'flash'"):
            dataclasses.replace(self.page, measured=same)
        names = [q.label for q in self.page.quantities()]
        self.assertLen(set(names), len(names))

    def test_what_was_measured_replaces_the_profile_of_that_name(self):
        given = (quantities.Quantity("macs", 5, 4),)
        page = dataclasses.replace(self.page, measured=given)
        found = [q for q in page.quantities() if q.name == "macs"]
        self.assertEqual(found, list(given))

    @parameterized.parameters(HOSTILE, "a</script><b>", "half \ud800 surrogate")
    def test_texts_from_outside_stay_texts(self, hostile):
        named = hostile == HOSTILE  # Keras takes no other of them as a name.
        model = net(name="<b>", hidden=hostile if named else "hidden")
        small = without(model, hostile if named else "hidden", [0])
        confusion = answers.Confusion(
            hostile, (hostile, "b"), np.ones((2, 2), int)
        )
        page = dataclasses.replace(
            full(comparison.compare(model, small)),
            title=hostile,
            target=hostile,
            command=hostile,
            settings={hostile: hostile},
            stages=(page_lib.Stage(hostile, {hostile: [1.0]}),),
            outcomes=(confusion,),
        )
        found = Reader(page.to_html())
        self.assertEmpty(found.open)
        self.assertLen(found.all("script"), 1)
        tags = {tag for tag, _ in found.elements}
        self.assertEmpty(tags - {tag for tag, _ in self.read.elements})
        self.assertIn(hostile.encode(errors="replace").decode(), found.text)

    def test_a_page_is_written_whole_or_not_at_all(self):
        folder = pathlib.Path(self.create_tempdir())
        self.page.write(folder / "page.html")
        text = (folder / "page.html").read_text(encoding="utf-8")
        self.assertEqual(text, self.page.to_html())
        self.assertLen(list(folder.iterdir()), 1)
        with self.assertRaises(IsADirectoryError):
            self.page.write(folder)
        with self.assertRaises(FileNotFoundError):
            self.page.write(folder / "no" / "page.html")


class ManyTest(absltest.TestCase):
    def test_a_hundred_layers_and_classes_stay_a_small_page(self):
        inputs = keras.Input((4, 4, 8))
        x = inputs
        for i in range(100):
            x = x + keras.layers.Conv2D(8, 1, name=f"conv{i}")(x)
        model = keras.Model(inputs, x)
        truth = np.arange(500) % 100
        scores = np.eye(100)[(truth + (truth % 7 == 0)) % 100]
        page = dataclasses.replace(
            comparison.profile(model).page(),
            outcomes=(answers.outcome("scores", truth, scores),),
        )
        text = page.to_html()
        found = Reader(text)
        self.assertEmpty(found.open)
        self.assertLess(len(text), 600_000)
        self.assertIn("conv99", found.text)
        self.assertIn("all: 425 of 500 right (85.00%)", found.text)


if __name__ == "__main__":
    absltest.main()
