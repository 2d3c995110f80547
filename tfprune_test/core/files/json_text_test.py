import json
import math

from absl.testing import absltest

from tfprune.core.files import json_text


class JsonTextTest(absltest.TestCase):
    def test_numbers_that_json_lacks_are_null(self):
        facts = {"a": math.nan, "b": [1.5, (math.inf, "NaN")], "c": None}
        text = json_text.written(facts)

        def refuse(name):
            raise ValueError(name)

        found = json.loads(text, parse_constant=refuse)
        self.assertEqual(
            found, {"a": None, "b": [1.5, [None, "NaN"]], "c": None}
        )
        self.assertTrue(math.isnan(facts["a"]))

    def test_measurements_come_back_as_nan(self):
        found = json_text.measured({"a": None, "b": [1, {"c": None}, "x"]})
        self.assertTrue(math.isnan(found["a"]))
        self.assertTrue(math.isnan(found["b"][1]["c"]))
        self.assertEqual((found["b"][0], found["b"][2]), (1, "x"))


if __name__ == "__main__":
    absltest.main()
