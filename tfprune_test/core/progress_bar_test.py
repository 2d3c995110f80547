import io
from unittest import mock

import rich.console
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import progress_bar


def console(is_terminal):
    return rich.console.Console(
        file=io.StringIO(),
        force_terminal=is_terminal,
        width=80,
        _environ={"TERM": "xterm"},
    )


class LiveTest(parameterized.TestCase):
    def test_each_text_is_drawn(self):
        screen = console(is_terminal=True)
        with progress_bar.live(True, screen) as show:
            show("one [red] of 2")
            show("two of 2")
        drawn = screen.file.getvalue()
        # Brackets are text, as a layer's name may have them.
        self.assertIn("one [red] of 2", drawn)
        self.assertLess(drawn.index("one"), drawn.index("two"))

    @parameterized.parameters((False, True), (True, False))
    def test_nothing_is_drawn(self, shown, is_terminal):
        screen = console(is_terminal)
        with progress_bar.live(shown, screen) as show:
            show("one")
        self.assertEqual(screen.file.getvalue(), "")

    def test_an_error_goes_through(self):
        with self.assertRaisesRegex(KeyError, "mine"):
            with progress_bar.live(True, console(is_terminal=True)):
                raise KeyError("mine")


class BarTest(parameterized.TestCase):
    @parameterized.product(shown=(True, False), is_terminal=(True, False))
    def test_a_bar_is_drawn_where_somebody_sees_it(self, shown, is_terminal):
        screen = console(is_terminal)
        with mock.patch.object(
            progress_bar.rich.console, "Console", return_value=screen
        ):
            with progress_bar.bar(shown) as bar:
                task = bar.add_task("the trials", total=7)
                bar.advance(task, 3)
                bar.refresh()
        drawn = screen.file.getvalue()
        self.assertEqual("the trials" in drawn, shown and is_terminal)
        self.assertEqual("3/7" in drawn, shown and is_terminal)


if __name__ == "__main__":
    absltest.main()
