from absl.testing import absltest
from absl.testing import parameterized

from tfprune.cli import flag_parsers


class ParsersTest(parameterized.TestCase):
    @parameterized.parameters(
        ("0.5", 0.5), ("50%", 0.5), ("1.0", 1.0), ("20000", 20_000), ("1", 1)
    )
    def test_a_limit_is_a_fraction_or_a_count(self, text, expected):
        found = flag_parsers.Limit().parse(text)
        self.assertEqual(found, expected)
        self.assertIs(type(found), type(expected))

    @parameterized.parameters(
        *("0", "-3", "1.5", "150%", "0%", "nan", "inf", "", "half", "5 %%")
    )
    def test_a_limit_that_is_neither_is_refused(self, text):
        with self.assertRaisesRegex(
            ValueError, "A fraction to keep of at most"
        ):
            flag_parsers.Limit().parse(text)

    def test_no_block_may_stay(self):
        self.assertEqual(flag_parsers.Limit(least=0).parse("0"), 0)
        for text in ("-1", "0.0", "0%"):
            with self.assertRaisesRegex(ValueError, "fraction .* or a count"):
                flag_parsers.Limit(least=0).parse(text)

    @parameterized.parameters(
        ("32,32,3", [(32, 32, 3)]), ("8,8,1;10", [(8, 8, 1), (10,)])
    )
    def test_shapes(self, text, expected):
        self.assertEqual(flag_parsers.Shapes().parse(text), expected)

    @parameterized.parameters(
        (flag_parsers.Limit(), "0.5"),
        (flag_parsers.Limit(), "1.0"),
        (flag_parsers.Limit(), "20000"),
        (flag_parsers.Shapes(), "8,8,1;10"),
        (flag_parsers.Ratios(several=True), "0.25,0.5"),
        (flag_parsers.Ratios(several=False), "0.25"),
    )
    def test_what_was_read_is_written_again(self, parser, text):
        self.assertEqual(parser.serialize(parser.parse(text)), text)

    @parameterized.parameters("", "32,,3", "a,b", "0,3", "3,-1", "32x32", "8;")
    def test_shapes_that_are_none_are_refused(self, text):
        with self.assertRaisesRegex(ValueError, "like 32,32,3 are required"):
            flag_parsers.Shapes().parse(text)

    def test_ratios_are_what_goes(self):
        self.assertEqual(
            flag_parsers.Ratios(True).parse("0.25,0.5"), [0.25, 0.5]
        )
        self.assertEqual(flag_parsers.Ratios(False).parse("0"), 0)

    @parameterized.parameters("1", "-0.1", "nan", "", "0.5;0.5", "half")
    def test_ratios_that_are_none_are_refused(self, text):
        with self.assertRaisesRegex(ValueError, r"floats in \[0, 1\)"):
            flag_parsers.Ratios(True).parse(text)

    def test_one_ratio_is_not_two_and_not_a_budget(self):
        for text in ("0.25,0.5", "1"):
            with self.assertRaisesRegex(ValueError, "use --macs, --params"):
                flag_parsers.Ratios(False).parse(text)


if __name__ == "__main__":
    absltest.main()
