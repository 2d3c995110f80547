import keras
from absl.testing import absltest

from tfprune.core.files import saved_size


class SavedSizeTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        inputs = keras.Input((2,))
        self.model = keras.Model(inputs, keras.layers.Dense(3)(inputs))

    def test_eight_bytes_a_weight_and_what_hdf5_adds(self):
        # A kernel of 6 and a bias of 3.
        expected = 8 * 9 + 2 * 4096 + 65536
        self.assertEqual(saved_size.saved_bytes(self.model), expected)

    def test_what_the_optimizer_holds_counts(self):
        bare = saved_size.saved_bytes(self.model)
        self.model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
        self.model.optimizer.build(self.model.trainable_variables)
        found = saved_size.saved_bytes(self.model)
        # A momentum for each weight, the rate and the step.
        self.assertEqual(found - bare, 8 * 9 + 8 * 2 + 4 * 4096)

    def test_it_is_no_less_than_the_file(self):
        path = self.create_tempdir().full_path + "/model.keras"
        self.model.save(path)
        with open(path, "rb") as file:
            size = len(file.read())
        self.assertGreater(saved_size.saved_bytes(self.model), size)


if __name__ == "__main__":
    absltest.main()
