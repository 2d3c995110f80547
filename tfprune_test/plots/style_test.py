"""One style: colours that differ, files that are whole."""

import pathlib

from absl.testing import absltest

from tfprune.plots import style


class StyleTest(absltest.TestCase):
    def test_fourteen_series_share_neither_colour_nor_mark(self):
        looks = style.series(14)
        for key in ("color", "marker"):
            self.assertLen({look[key] for look in looks}, 14)

    def test_further_series_differ_in_dashes(self):
        looks = {tuple(sorted(look.items())) for look in style.series(50)}
        self.assertLen(looks, 50)

    def test_a_name_that_is_no_picture_is_refused(self):
        with self.assertRaisesRegex(
            ValueError, "must end in one of .png, .svg"
        ):
            style.writable("picture.txt")

    def test_settings_hold_while_the_style_is_used(self):
        settings = style.module("").rcParams
        before = settings["legend.frameon"]
        with style.used():
            self.assertFalse(settings["legend.frameon"])
        self.assertEqual(settings["legend.frameon"], before)

    def test_the_same_picture_is_the_same_file(self):
        def picture():
            with style.used():
                figure, ((axes,),) = style.panels(1, 1, (2, 2))
                axes.plot([0, 1], [0, 1], **style.series(1)[0])
                return figure

        path = style.writable(
            pathlib.Path(self.create_tempdir().full_path) / "a.png"
        )
        style.write(picture(), path)
        self.assertEqual(path.read_bytes(), style.encoded(picture()))

    def test_logarithms_have_plain_numbers(self):
        with style.used():
            figure, ((axes,),) = style.panels(1, 1, (4, 3))
            style.logarithmic(axes, "x", 1000)
            axes.plot([1000, 8000], [1, 1])
            figure.canvas.draw()
            shown = [label.get_text() for label in axes.get_xticklabels()]
        self.assertContainsSubset(["1", "2", "5"], shown)
        self.assertEqual(axes.get_xscale(), "log")


if __name__ == "__main__":
    absltest.main()
