import json

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.pipeline import recipe as recipe_lib


class RecipeTest(parameterized.TestCase):
    def test_the_ends_of_each_range(self):
        recipe_lib.Recipe(
            **{"rounds": 1, "evaluations": 1, "selection": 1},
            **{"batch_size": 1, "most_epochs": 1, "reconstruction": 0},
            **{"corrections": 0, "rounds_share": 0.0, "label_weight": 1},
        )
        recipe_lib.Recipe(rounds_share=1, label_weight=0.0)

    @parameterized.parameters(
        *("rounds", "evaluations", "selection", "batch_size", "most_epochs")
    )
    def test_a_count_is_a_whole_number_of_at_least_one(self, name):
        for value in (0, -1, 1.5, "3", None):
            with self.assertRaisesRegex(
                ValueError, f"`{name}` .* whole number, at least 1. .*{name}="
            ):
                recipe_lib.Recipe(**{name: value})

    def test_a_criterion_is_written_without_its_address(self):
        def largest(values, axis):
            return values.max(axis)

        facts = recipe_lib.Recipe(criterion=largest).facts()
        self.assertIn("largest", facts["criterion"])
        self.assertNotIn("0x", facts["criterion"])

    @parameterized.parameters("reconstruction", "corrections")
    def test_a_count_that_may_be_nothing(self, name):
        for value in (-1, 0.5):
            with self.assertRaisesRegex(
                ValueError, f"`{name}` .* whole number, at least 0. .*{name}="
            ):
                recipe_lib.Recipe(**{name: value})

    def test_numbers_of_numpy_are_plain_data(self):
        recipe = recipe_lib.Recipe(
            rounds=np.int64(3), learning_rate=np.float32(0.5)
        )
        self.assertIs(type(recipe.rounds), int)
        json.dumps(recipe.facts())

    @parameterized.parameters("rounds_share", "label_weight")
    def test_a_share_lies_between_nothing_and_all(self, name):
        for value in (-0.1, 1.1, float("nan")):
            with self.assertRaisesRegex(ValueError, f"`{name}` .*{name}="):
                recipe_lib.Recipe(**{name: value})

    @parameterized.parameters("temperature", "learning_rate")
    def test_what_is_divided_by_or_stepped_with_is_positive(self, name):
        for value in (0, -1.0, float("nan"), float("inf")):
            with self.assertRaisesRegex(ValueError, f"`{name}` .*{name}="):
                recipe_lib.Recipe(**{name: value})

    def test_its_facts_are_plain_data(self):
        def mine(values, axis):
            return values

        facts = recipe_lib.Recipe(rounds=3, criterion=mine).facts()
        self.assertEqual(json.loads(json.dumps(facts)), facts)
        self.assertEqual(facts["rounds"], 3)
        self.assertIn("mine", facts["criterion"])
        self.assertEqual(recipe_lib.Recipe().facts()["criterion"], "l1")
        self.assertEqual(
            recipe_lib.Recipe(**recipe_lib.Recipe(rounds=3).facts()),
            recipe_lib.Recipe(rounds=3),
        )


if __name__ == "__main__":
    absltest.main()
