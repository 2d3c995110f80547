from absl.testing import absltest

from tfprune import zoo
from tfprune_test.zoo import plain_counts


class LeNetTest(absltest.TestCase):
    def test_counts_are_those_of_papers_on_compression(self):
        model = zoo.build("lenet5")
        # Layer by layer, weights and biases.
        self.assertEqual(model.count_params(), 520 + 25_050 + 400_500 + 5_010)
        self.assertEqual(model.count_params(), 431_080)
        self.assertEqual(
            plain_counts.macs(model),
            24**2 * 25 * 20 + 8**2 * 25 * 20 * 50 + 800 * 500 + 5_000,
        )

    def test_other_sizes(self):
        model = zoo.build(
            "lenet5",
            filters=(3, 4),
            hidden=5,
            classes=6,
            input_shape=(20, 20, 2),
        )
        self.assertEqual(model.output_shape, (None, 6))
        self.assertEqual(model.get_layer("fc1").kernel.shape, (2 * 2 * 4, 5))


if __name__ == "__main__":
    absltest.main()
