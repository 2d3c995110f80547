"""Tables of what there is."""

from absl.testing import absltest

import tfprune
from tfprune.reports import catalogue
from tfprune.scoring import criterion as criterion_lib


class CatalogueTest(absltest.TestCase):
    def test_every_criterion_names_its_paper_data_and_cost(self):
        table = catalogue.criteria()
        self.assertEqual(
            [row[0] for row in table.rows], criterion_lib.criteria.names()
        )
        for row in table.rows:
            self.assertNotIn("-", row)
            self.assertTrue(all(row))
        rows = {row[0]: row[1:] for row in table.rows}
        self.assertEqual(
            rows["l1"],
            (
                "Li et al., Pruning Filters for Efficient ConvNets",
                "nothing",
                "weights",
                "2016",
            ),
        )
        self.assertEqual(rows["taylor"][1], "inputs and labels")

    def test_aliases_lead_to_the_same_criterion(self):
        self.assertIs(
            criterion_lib.criteria.get("fpgm"),
            criterion_lib.criteria.get("geometric_median"),
        )
        self.assertIs(
            criterion_lib.criteria.get("obd"),
            criterion_lib.criteria.get("fisher"),
        )
        self.assertIs(criterion_lib.find("l1"), tfprune.criteria.l1)
