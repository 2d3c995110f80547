"""The page: all that was given, nothing else, and text that stays text."""

import dataclasses
import html.parser
import pathlib

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports import answers
from tfprune.reports import comparison
from tfprune.reports import quantities
from tfprune.reports.html import page as page_lib
from tfprune_test.reports import example_pages

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


class PageTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dense = example_pages.net()
        cls.small = example_pages.without(cls.dense, "stem", [1, 2])
        cls.report = comparison.compare(cls.dense, cls.small)
        cls.page = example_pages.full(cls.report)
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

    def test_one_network_has_no_before_and_after(self):
        text = Reader(self.report.before.to_html()).text
        self.assertNotIn("Before and after", text)
        self.assertNotIn("\nremoved\n", text)
        self.assertIn("Before and after", self.read.text)

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
        self.assertIn("stem: 2 of 4 channels kept\nCoupled with: branch", text)
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

    def test_the_unit_stands_once_in_a_card(self):
        given = (quantities.Quantity("of the core", 900, 500, "bytes"),)
        page = dataclasses.replace(self.page, measured=given)
        text = page.to_html()
        self.assertIn('class="old">900</span>', text)
        self.assertIn("<b>500 bytes</b>", text)

    def test_one_name_for_two_things_is_refused(self):
        same = (quantities.Quantity("flash"), quantities.Quantity("flash"))
        with self.assertRaisesRegex(ValueError, "unique name.*'flash'"):
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
        model = example_pages.net(
            name="<b>", hidden=hostile if named else "hidden"
        )
        small = example_pages.without(
            model, hostile if named else "hidden", [0]
        )
        confusion = answers.Confusion(
            hostile, (hostile, "b"), np.ones((2, 2), int)
        )
        page = dataclasses.replace(
            example_pages.full(comparison.compare(model, small)),
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
        model = example_pages.deep()
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
        self.assertIn("block_99_convolution", found.text)
        self.assertIn("all: 425 of 500 correct (85.00%)", found.text)


if __name__ == "__main__":
    absltest.main()
