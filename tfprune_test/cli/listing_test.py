import json
import types

from absl.testing import absltest

from tfprune.cli import choices
from tfprune.cli import listing


def listed(form):
    return listing.criteria((), types.SimpleNamespace(format=form), None)


class ListingTest(absltest.TestCase):
    def test_json_has_a_name_for_each_column(self):
        rows = json.loads(listed("json"))
        self.assertLen(rows, len(choices.CRITERIA))
        self.assertEqual(
            list(rows[0]), ["criterion", "paper", "data", "cost", "year"]
        )
        by_name = {row["criterion"]: row for row in rows}
        self.assertEqual(by_name["taylor"]["data"], "inputs and labels")
        self.assertEqual(by_name["l1"]["data"], "nothing")

    def test_a_table_has_a_row_for_each(self):
        lines = listed("markdown").splitlines()
        self.assertLen(lines, 2 + len(choices.CRITERIA))
        self.assertStartsWith(lines[0], "| criterion | paper | data |")
        # Words on the left, the year on the right.
        self.assertEqual(lines[1], "| :-- | :-- | :-- | :-- | --: |")


if __name__ == "__main__":
    absltest.main()
