import keras
from absl.testing import absltest

import tfprune
from tfprune_test.legacy import old_files


class TrainedRangesTest(old_files.OldFileTest):
    def test_ranges_of_a_file(self):
        kernel, bias = self.normal(3, 2), self.normal(2)
        old_files.write_quantized(self.path, kernel, bias, -0.5, 6)
        found = tfprune.quantization_ranges(self.path)
        self.assertEqual(found, {"a": (-0.5, 6.0)})
        with self.assertWarnsRegex(UserWarning, "quantization_ranges"):
            model = tfprune.load_model(self.path)
        self.assertIn("a", [layer.name for layer in model.layers])

    def test_a_file_without_ranges(self):
        old_files.write(
            self.path,
            old_files.sequential(
                old_files.layer(
                    "Dense",
                    name="a",
                    units=2,
                    use_bias=False,
                    batch_input_shape=[None, 3],
                )
            ),
            {"a": [self.normal(3, 2)]},
        )
        self.assertEqual(tfprune.quantization_ranges(self.path), {})
        path = self.path.with_suffix(".keras")
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
        self.assertEqual(tfprune.quantization_ranges(str(path)), {})

    def test_what_is_no_model_is_refused(self):
        with self.assertRaisesRegex(FileNotFoundError, "does not exist"):
            tfprune.quantization_ranges("none.h5")
        with self.assertRaisesRegex(TypeError, "a model of tf_keras"):
            tfprune.quantization_ranges(3)


if __name__ == "__main__":
    absltest.main()
