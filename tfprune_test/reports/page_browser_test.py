"""The page in a real browser: wide, on a phone, in the dark, on paper.

Runs where the package `playwright` and Chromium are installed.
"""

import dataclasses
import pathlib
import shutil

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports import answers
from tfprune.reports import comparison
from tfprune.reports.html import page as page_lib
from tfprune_test.reports import example_pages

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
)
HOSTILE = "<script>document.title='taken'<-script>"
WIDE, PHONE = (1280, 900), (400, 800)
# The ratio of two colours' luminances, as WCAG 2 defines it.
CONTRAST = """
element => {
  const light = color => {
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map(n => n / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const style = getComputedStyle(element);
  const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
  let below = element;
  while (getComputedStyle(below).backgroundColor == "rgba(0, 0, 0, 0)")
    below = below.parentElement;
  const two = [light(ink), light(getComputedStyle(below).backgroundColor)];
  return (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
}
"""


# Puts the color of a cell, which is transparent, over that of its section.
OPAQUE = """
cell => {
  const parts = element =>
    getComputedStyle(element).backgroundColor.match(/[\\d.]+/g).map(Number);
  const [r, g, b, share = 1] = parts(cell);
  const below = parts(cell.closest("section"));
  const mixed = [r, g, b].map((v, i) => v * share + below[i] * (1 - share));
  cell.style.background = `rgb(${mixed.join(" ")})`;
}
"""


def two_outputs():
    """A classifier that also answers a number."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    heads = [keras.layers.Dense(3, name="kind"), keras.layers.Dense(1)]
    return keras.Model(inputs, [head(x) for head in heads], name="two")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
class BrowserTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = pytest.importorskip("playwright.sync_api")
        cls.folder = pathlib.Path(cls.create_tempdir(cls).full_path)
        dense = example_pages.net()
        small = example_pages.without(dense, "stem", [1, 2])
        full = example_pages.full(comparison.compare(dense, small))
        full = dataclasses.replace(full, command=full.command + " --a=b" * 40)
        cls.pages = {"full": full}
        deep = comparison.profile(example_pages.deep()).page()
        truth = np.arange(500) % 100
        scores = np.eye(100)[(truth + (truth % 7 == 0)) % 100]
        many = (answers.outcome("scores", truth, scores, scores),)
        cls.pages["deep"] = dataclasses.replace(deep, outcomes=many)
        scores = np.eye(12)[truth % 12 // (1 + truth % 3)]
        few = (answers.outcome("scores", truth % 12, scores, scores),)
        cls.pages["many"] = dataclasses.replace(full, outcomes=few)
        two = two_outputs()
        rng = np.random.default_rng(0)
        x = rng.normal(size=(60, 8, 8, 3)).astype("float32")
        y = (rng.integers(0, 3, 60), rng.normal(size=(60, 1)))
        half = example_pages.without(two, "conv", [0, 1, 5])
        cls.pages["two"] = dataclasses.replace(
            comparison.compare(two, half).page(),
            outcomes=answers.outcomes([two, half], (x, y)),
        )
        cls.pages["hostile"] = dataclasses.replace(
            full,
            title=HOSTILE,
            target=HOSTILE,
            settings={HOSTILE: HOSTILE},
            stages=(page_lib.Stage(HOSTILE, {HOSTILE: [1.0, 2.0]}),),
        )
        for name, page in cls.pages.items():
            page.write(cls.folder / f"{name}.html")
        cls.play = api.sync_playwright().start()
        cls.browser = cls.play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.play.stop()
        super().tearDownClass()

    @staticmethod
    def create_tempdir(cls):
        return absltest.TestCase.create_tempdir(cls("runTest"))

    def runTest(self):
        """For the folder of the class."""

    def opened(self, name, size=WIDE, dark=False, script=True):
        """A page as the browser shows it, and what it complained of."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            offline=True,
        )
        self.addCleanup(context.close)
        page, complaints = context.new_page(), []
        address = (self.folder / f"{name}.html").as_uri()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url != address and complaints.append(request.url)
            ),
        )
        page.goto(address)
        return page, complaints

    @parameterized.product(
        name=("full", "deep", "two", "hostile"),
        view=((WIDE, False), (WIDE, True), (PHONE, False)),
    )
    def test_everything_is_shown_and_nothing_complains(self, name, view):
        page, complaints = self.opened(name, *view)
        sections = page.query_selector_all("section")
        self.assertGreaterEqual(len(sections), 5)
        for section in sections:
            self.assertGreater(section.bounding_box()["height"], 60)
        wider = page.evaluate(
            "document.documentElement.scrollWidth"
            " - document.documentElement.clientWidth"
        )
        self.assertEqual(wider, 0)
        self.assertEmpty(complaints)

    def test_texts_from_outside_run_nowhere(self):
        page, _ = self.opened("hostile")
        self.assertEqual(page.title(), HOSTILE)
        self.assertLen(page.query_selector_all("script"), 1)

    @parameterized.parameters("full", "deep", "two")
    def test_a_number_and_its_unit_share_a_line(self, name):
        page, _ = self.opened(name, PHONE)
        lines = page.eval_on_selector_all(
            ".numbers b",
            """all => all.map(number => {
              const range = document.createRange();
              range.selectNodeContents(number);
              return range.getClientRects().length;
            })""",
        )
        self.assertEqual(set(lines), {1})

    @parameterized.parameters("full", "deep", "two")
    def test_letters_can_be_read_on_a_phone(self, name):
        page, _ = self.opened(name, PHONE)
        heights = page.eval_on_selector_all(
            "svg text", "all => all.map(t => t.getBoundingClientRect().height)"
        )
        self.assertNotEmpty(heights)
        self.assertGreaterEqual(min(heights), 11)

    @parameterized.parameters(False, True)
    def test_letters_stand_out_from_what_is_below_them(self, dark):
        page, _ = self.opened("full", dark=dark)
        for chosen in ("h1", ".soft", ".good", "summary", "nav a", ".tick"):
            element = page.query_selector(chosen)
            contrast = page.evaluate(CONTRAST, element)
            self.assertGreaterEqual(contrast, 4.5, chosen)

    @parameterized.parameters(False, True)
    def test_counts_stand_out_in_cells_of_any_color(self, dark):
        page, _ = self.opened("many", dark=dark)
        cells = page.query_selector_all("td.hit, td.miss")
        self.assertNotEmpty(cells)
        for cell in cells:
            page.evaluate(OPAQUE, cell)
            self.assertGreaterEqual(page.evaluate(CONTRAST, cell), 4.5)

    def test_pointing_tells_what_goes_together_and_what_must_stay(self):
        page, _ = self.opened("full")
        told = page.locator("#told")
        self.assertFalse(told.is_visible())
        row = page.locator(".strips li", has_text="stem")
        row.locator("svg").hover()
        self.assertEqual(
            told.inner_text().splitlines()[:2],
            ["stem: 2 of 4 channels kept", "Coupled with: branch"],
        )
        page.locator(".strips li", has_text="logits").locator("svg").hover()
        self.assertIn("3 must stay: ", told.inner_text())
        page.mouse.move(2, 2)
        self.assertFalse(told.is_visible())

    @parameterized.parameters(
        ("frontier", ["small", "accuracy: 87.50 %", "MACs: 300"]),
        ("training", ["dense, epoch 1", "training: 1", "validation: 1.1"]),
        ("memory", ["nothing runs: "]),
    )
    def test_keys_go_from_mark_to_mark(self, section, lines):
        page, _ = self.opened("full")
        page.locator(f"#{section} .chart").first.focus()
        page.keyboard.press("ArrowRight")
        told = page.locator("#told")
        first = told.inner_text()
        for line in lines:
            self.assertIn(line, first)
        page.keyboard.press("ArrowRight")
        self.assertNotEqual(told.inner_text(), first)
        page.keyboard.press("Escape")
        self.assertFalse(told.is_visible())

    def test_what_is_told_stays_on_a_phones_screen(self):
        page, _ = self.opened("full", PHONE)
        for strip in page.locator(".strips svg").all():
            # What is told goes when the page scrolls, a frame later.
            strip.scroll_into_view_if_needed()
            page.evaluate(
                "() => new Promise("
                "r => requestAnimationFrame(() => requestAnimationFrame(r)))"
            )
            strip.hover()
            box = page.locator("#told").bounding_box()
            self.assertGreaterEqual(box["x"], 0)
            self.assertLessEqual(box["x"] + box["width"], PHONE[0])

    def test_tables_open_by_keyboard(self):
        page, _ = self.opened("full")
        page.locator("#channels summary").focus()
        page.keyboard.press("Enter")
        cell = page.locator("#channels td", has_text="branch").first
        self.assertTrue(cell.is_visible())

    def test_links_lead_to_their_sections(self):
        page, _ = self.opened("full")
        page.locator("nav a", has_text="Sensitivity").click()
        page.wait_for_function(
            "document.querySelector('#sensitivity')"
            ".getBoundingClientRect().top < 200"
        )

    def test_without_scripts_titles_tell(self):
        page, _ = self.opened("full", script=False)
        title = page.locator(".strips li title").first
        self.assertIn("stem: 2 of 4", title.text_content())

    @parameterized.parameters("full", "deep")
    def test_it_prints(self, name):
        page, _ = self.opened(name, dark=True)
        paper = page.pdf(format="A4", print_background=True)
        self.assertEqual(paper[:5], b"%PDF-")
        page.emulate_media(media="print")
        self.assertFalse(page.locator("nav").is_visible())
        color = page.evaluate("getComputedStyle(document.body).color")
        self.assertEqual(color, "rgb(29, 31, 34)")
        for box in page.locator(".tall .scroll").all():
            inner = box.evaluate("e => e.scrollHeight - e.clientHeight")
            self.assertLessEqual(inner, 1)
        for box in page.locator("pre").all():
            cut = box.evaluate("e => e.scrollWidth - e.clientWidth")
            self.assertEqual(cut, 0)


if __name__ == "__main__":
    absltest.main()
