import uuid
from unittest import mock

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.scoring import criterion as criterion_lib


class Widths(criterion_lib.Criterion):
    def scores(self, graph, data=None):
        return np.full(graph, 2.0)


class OldStyle:
    def scores(self, graph, data=None):
        return np.zeros(graph)


class CriterionTest(parameterized.TestCase):
    def test_one_without_scores_is_none(self):
        class Empty(criterion_lib.Criterion):
            pass

        with self.assertRaisesRegex(TypeError, "scores"):
            Empty()

    def test_unless_it_is_overridden_refine_changes_nothing(self):
        keep = np.array([True, False])
        self.assertIs(Widths().refine(None, keep), keep)
        self.assertEqual(Widths.normalize, "mean")

    def test_a_cell_of_a_notebook_may_run_again(self):
        names = {"register": criterion_lib.register, "__name__": "notebook"}
        self.enter_context(mock.patch.dict(criterion_lib.criteria._objects))
        for power in (1, 2):
            exec(
                "@register('again')\n"
                f"def again(values, axis): return values**{power}",
                names,
            )
        self.assertEqual(criterion_lib.find("again")(3, 0), 9)

    def test_what_is_registered_is_found_by_every_name(self):
        name, alias = f"a{uuid.uuid4().hex}", f"b{uuid.uuid4().hex}"

        @criterion_lib.register(name, alias, paper="Nobody", year=2016)
        def total(values, axis):
            return values.sum(1 - axis)

        self.assertIs(criterion_lib.find(name), total)
        self.assertIs(criterion_lib.find(alias), total)
        entry = criterion_lib.criteria.get(alias)
        self.assertEqual(
            entry,
            criterion_lib.Entry(
                name, total, "Nobody", 2016, "", "nothing", "weights"
            ),
        )

    def test_a_class_is_taken_with_its_defaults(self):
        self.assertIsInstance(criterion_lib.find(Widths), Widths)
        made = Widths()
        self.assertIs(criterion_lib.find(made), made)

    def test_a_function_is_itself(self):
        self.assertIs(criterion_lib.find(max), max)

    @parameterized.parameters(OldStyle, OldStyle())
    def test_an_object_of_another_class_is_told_what_to_derive_from(self, it):
        with self.assertRaisesRegex(
            TypeError, "tfprune.criteria.Criterion. Received.*subclass"
        ):
            criterion_lib.find(it)

    @parameterized.parameters(None, 3, 0.5)
    def test_what_is_no_criterion(self, it):
        with self.assertRaisesRegex(TypeError, f"Received: criterion={it}"):
            criterion_lib.find(it)


if __name__ == "__main__":
    absltest.main()
