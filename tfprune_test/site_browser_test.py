"""The site in a real browser: no error, no page too wide, search works.

And no block of code is left as text. Runs where `make docs` has built it,
`playwright` and Chromium are installed.
"""

import pathlib
import shutil

import pytest
from absl.testing import absltest
from absl.testing import parameterized

SITE = pathlib.Path(__file__).resolve().parents[1] / "build" / "site"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
)
PAGES = (
    "index.html",
    "tutorials/first_network.html",
    "concepts.html",
    "reference/index.html",
    "reference/criteria.html",
    "results/index.html",
)


@pytest.mark.skipif(not SITE.exists(), reason="make docs has not built it")
class PagesTest(absltest.TestCase):
    def test_every_block_of_code_is_one(self):
        pages = sorted(SITE.rglob("*.html"))
        self.assertNotEmpty(pages)
        broken = [page.name for page in pages if "```" in page.read_text()]
        self.assertEmpty(broken)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.skipif(not SITE.exists(), reason="make docs has not built it")
class SiteTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = pytest.importorskip("playwright.sync_api")
        cls.play = api.sync_playwright().start()
        cls.browser = cls.play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.play.stop()
        super().tearDownClass()

    def open(self, page, width=1280, scheme="light"):
        """The page, opened without a network, and its console's errors."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
        )
        self.addCleanup(context.close)
        tab = context.new_page()
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on(
            "console",
            lambda message: (
                message.type == "error" and errors.append(message.text)
            ),
        )
        tab.goto((SITE / page).as_uri())
        tab.wait_for_load_state()
        return tab, errors

    @parameterized.product(page=PAGES, width=(1280, 400))
    def test_a_page_fits_and_says_no_error(self, page, width):
        tab, errors = self.open(page, width)
        self.assertTrue(tab.title())
        wide = tab.evaluate("document.documentElement.scrollWidth")
        self.assertLessEqual(wide, width)
        self.assertEmpty(errors)

    @parameterized.parameters("microcontrollers.html", "from_tfmot.html")
    def test_names_in_tables_stay_whole_on_a_phone(self, page):
        tab, _ = self.open(page, width=400)
        names = tab.eval_on_selector_all(
            "article table:not([class]) code",
            """all => all.map(
              name => [name.textContent, name.getClientRects().length])""",
        )
        names = [pair for pair in names if pair[0].isidentifier()]
        self.assertNotEmpty(names)
        self.assertEqual({lines for _, lines in names}, {1}, names)
        widths = tab.eval_on_selector_all(
            "article td:first-child", "all => all.map(td => td.offsetWidth)"
        )
        self.assertLessEqual(max(widths), 200)

    def test_in_the_dark_it_is_dark(self):
        tab, errors = self.open("index.html", scheme="dark")
        color = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        parts = [int(n) for n in color[4:-1].split(",")[:3]]
        self.assertLess(max(parts), 80)
        self.assertEmpty(errors)

    def test_every_picture_is_there(self):
        tab, _ = self.open("concepts.html")
        sizes = tab.eval_on_selector_all(
            "article img", "all => all.map(one => one.naturalWidth)"
        )
        self.assertLen(sizes, 2)
        self.assertGreater(min(sizes), 0)

    def test_search_works_without_a_network(self):
        tab, _ = self.open("index.html")
        tab.wait_for_selector("input[name=query]", timeout=20_000)
        for _ in range(20):
            # What is typed before the index is read may go unheard.
            tab.fill("input[name=query]", "")
            tab.type("input[name=query]", "reconstruct")
            tab.wait_for_timeout(1000)
            if tab.locator(".md-search-result__link").count():
                break
        found = tab.eval_on_selector_all(
            ".md-search-result__link", "all => all.map(one => one.href)"
        )
        self.assertTrue(any("reference" in link for link in found), found)


if __name__ == "__main__":
    absltest.main()
