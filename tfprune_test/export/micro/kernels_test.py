import pathlib
import re

from absl.testing import parameterized

from tfprune.core import packages
from tfprune.export.micro import kernels


class KernelsTest(parameterized.TestCase):
    def test_names_are_those_of_the_resolver(self):
        ops = ["MAX_POOL_2D", "CONV_2D", "PADV2", "L2_NORMALIZATION", "ADD_N"]
        self.assertEqual(
            kernels.resolver_methods(ops),
            [
                "AddAddN",
                "AddConv2D",
                "AddL2Normalization",
                "AddMaxPool2D",
                "AddPadV2",
            ],
        )

    def test_custom_ops_of_the_runtime_have_methods_too(self):
        self.assertEqual(
            kernels.resolver_methods(["TFLM_DECODE", "ethos-u"]),
            ["AddDecode", "AddEthosU"],
        )

    def test_ops_without_a_kernel_are_named(self):
        with self.assertRaisesRegex(ValueError, "with ERF, FlexErf, GELU"):
            kernels.resolver_methods(["GELU", "CONV_2D", "FlexErf", "ERF"])

    def test_every_op_of_the_list_is_in_the_runtime_and_in_the_schema(self):
        runtime = packages.load("tflite_micro.python.tflite_micro.runtime")
        library = pathlib.Path(runtime.__file__).with_name("_runtime.so")
        found = re.findall(rb"Register_([A-Z0-9_]+)Ev", library.read_bytes())
        registered = {name.decode().replace("_", "") for name in found}
        schema = packages.load("ai_edge_litert.schema_py_generated")
        known = {n.replace("_", "") for n in vars(schema.BuiltinOperator)}
        listed = {name.upper() for name in kernels._BUILTIN}
        self.assertEmpty(listed - registered)
        self.assertEmpty(listed - known)
        missed = (registered & known) - listed
        self.assertEmpty(missed, "the runtime has kernels that are not listed")
