"""The Python in the how-to pages runs, in the order in which it stands."""

import contextlib
import io
import os
import pathlib
from unittest import mock

import keras
import pytest
from absl.testing import parameterized

from tfprune.scoring import criterion
from tfprune.sparsity import method
from tools import page_outputs

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if page_outputs.BLOCK.search(path.read_text())
)
# Those that train or export for more than ten seconds.
LONG = (
    "compress.md",
    "criteria.md",
    "fine_tuning.md",
    "learned_pruning.md",
    "microcontrollers.md",
    "search.md",
    "tutorials/first_network.md",
    "tutorials/to_a_board.md",
)


class DocsTest(parameterized.TestCase):
    @parameterized.parameters(*sorted({*PAGES} - {*LONG}))
    def test_the_code_of_a_page(self, page):
        self.run_page(page)

    @parameterized.parameters(*LONG)
    @pytest.mark.slow
    def test_the_code_of_a_long_page(self, page):
        self.run_page(page)

    def run_page(self, page):
        keras.utils.set_random_seed(0)
        names = {}
        count = 0
        blocks = page_outputs.BLOCK.findall((DOCS / page).read_text())
        run = ("", keras.config.backend())
        own = {backend for backend, *_ in blocks}
        if keras.config.backend() not in {"tensorflow", *own}:
            self.skipTest("nothing on this page is for this backend alone")
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.create_tempdir()))
            # What a page sets and registers is gone with it.
            stack.enter_context(mock.patch.dict(os.environ))
            for known in (criterion.criteria, method.METHODS):
                stack.enter_context(mock.patch.dict(known._objects))
            for backend, code, shown in blocks:
                if backend in run:
                    printed = io.StringIO()
                    with contextlib.redirect_stdout(printed):
                        exec(compile(code, page, "exec"), names)
                    if shown:
                        self.assertEqual(
                            page_outputs.shape(printed.getvalue()),
                            page_outputs.shape(shown),
                        )
                    count += 1
        self.assertGreater(count, 0)
