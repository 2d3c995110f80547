import numpy as np
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.micro import c_source

ARENA = "#define NET_ARENA_BYTES 1136"


class IdentifierTest(parameterized.TestCase):
    @parameterized.parameters(
        ("resnet_20", "resnet_20"),
        ("ResNet-20 (25 %)", "ResNet_20_25"),
        ("modèle été", "modele_ete"),
        ("20_resnet", "model_20_resnet"),
        ("__init__", "init"),
        ("a__b", "a_b"),
        ("模型", "model"),
        ("", "model"),
    )
    def test_any_name_becomes_an_identifier(self, text, expected):
        self.assertEqual(c_source.identifier(text), expected)


class SettingsTest(parameterized.TestCase):
    def header(self, tensor):
        file = model_file.ModelFile("a", 10, {}, (tensor,), ())
        return c_source.settings(file, "net", ARENA)

    @parameterized.parameters(
        (0.1, "0.100000001f"),
        (1.0, "1.0f"),
        (2.0**-40, "9.09494702e-13f"),
    )
    def test_scales_are_exact_literals(self, scale, literal):
        tensor = model_file.Tensor("x", (1, 3), "int8", scale, -5)
        text = self.header(tensor)
        self.assertIn(f"#define NET_INPUT_0_SCALE {literal}\n", text)
        self.assertIn("#define NET_INPUT_0_ZERO_POINT (-5)\n", text)
        self.assertEqual(np.float32(literal[:-1]), np.float32(scale))

    def test_a_tensor_in_real_numbers_has_no_scale(self):
        text = self.header(model_file.Tensor("x", (1, 2, 3), "float32"))
        self.assertIn("#define NET_INPUT_0_SHAPE {1, 2, 3}\n", text)
        self.assertIn("#define NET_INPUT_0_SIZE 6\n", text)
        self.assertIn("#define NET_INPUT_0_TYPE float\n", text)
        self.assertNotIn("SCALE ", text.replace("= SCALE", ""))

    def test_names_are_literals(self):
        text = self.header(model_file.Tensor('a "b"', (1,), "int8"))
        self.assertIn('#define NET_INPUT_0_NAME "a \\042b\\042"\n', text)

    def test_a_type_that_c_has_not_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'x' of float16"):
            self.header(model_file.Tensor("x", (1,), "float16"))
