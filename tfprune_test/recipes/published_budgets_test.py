"""Layers and ratios of table 1 in "Pruning Filters for Efficient ConvNets"."""

from absl.testing import absltest

from tfprune.recipes import published_budgets

BUDGETS = published_budgets.LI_ET_AL


class PublishedBudgetsTest(absltest.TestCase):
    def test_vgg16_a_halves_the_first_and_the_last_six_layers(self):
        layers = {f"conv{i}" for i in (1, 8, 9, 10, 11, 12, 13)}
        self.assertEqual(BUDGETS["vgg16_a"], dict.fromkeys(layers, 0.5))

    def test_resnet56_a_skips_four_sensitive_blocks(self):
        found = BUDGETS["resnet56_a"]
        self.assertEqual(set(found.values()), {0.1})
        # Of 27 blocks, those that begin with layers 16, 20, 38 and 54.
        self.assertLen(found, 23)
        for skipped in (
            "stage1_block7",
            "stage2_block0",
            "stage3_block0",
            "stage3_block8",
        ):
            self.assertNotIn(f"{skipped}_conv1", found)

    def test_resnet56_b_prunes_stages_differently(self):
        found = BUDGETS["resnet56_b"]
        self.assertLen(found, 21)
        self.assertEqual(found["stage1_block0_conv1"], 0.6)
        self.assertEqual(found["stage2_block1_conv1"], 0.3)
        self.assertEqual(found["stage3_block1_conv1"], 0.1)

    def test_resnet110_a_prunes_the_first_stage_alone(self):
        found = BUDGETS["resnet110_a"]
        expected = {f"stage1_block{i}_conv1": 0.5 for i in range(17)}
        self.assertEqual(found, expected)

    def test_resnet110_b(self):
        found = BUDGETS["resnet110_b"]
        self.assertLen(found, 54 - 3)
        self.assertEqual(found["stage3_block17_conv1"], 0.3)


if __name__ == "__main__":
    absltest.main()
