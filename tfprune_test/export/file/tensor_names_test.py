from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import tensor_names


class TensorNamesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("input_1", "input_1"),
        ("dense", "dense"),
        ("net/conv/BiasAdd", "conv"),
        ("net/block/conv/BiasAdd", "block/conv"),
        ("net/bn/mul;net/bn/add_1;net/conv/BiasAdd", "bn + conv"),
        ("conv/BiasAdd", "conv"),
        ("", ""),
    )
    def test_layers(self, name, wanted):
        self.assertEqual(tensor_names.layers(name), wanted)


if __name__ == "__main__":
    absltest.main()
