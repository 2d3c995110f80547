import importlib.metadata
import os
import sys
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import packages


class PackagesTest(parameterized.TestCase):
    def test_what_is_there_is_imported(self):
        self.assertIs(packages.load("xml.dom"), sys.modules["xml.dom"])
        packages.require("xml")

    @parameterized.parameters(packages.load, packages.require)
    def test_what_is_missing_says_how_to_get_it(self, function):
        with self.assertRaisesRegex(
            ImportError,
            "^Searching requires the package 'no_such_thing', which is not "
            r'installed. Run: pip install "tfprune\[search\]"$',
        ) as caught:
            function("no_such_thing", "search", "Searching")
        self.assertEqual(caught.exception.name, "no_such_thing")

    def test_what_an_extra_brings_on_one_platform_alone(self):
        with mock.patch.object(
            packages.importlib.util, "find_spec", return_value=None
        ):
            with self.assertRaisesRegex(ImportError, "on Linux x86-64: it has"):
                packages.require("tflite_micro")

    def test_the_package_of_a_module_is_what_is_missing(self):
        with self.assertRaisesRegex(ImportError, "package 'no_such_thing'"):
            packages.load("no_such_thing.part")

    def test_requiring_imports_nothing(self):
        with mock.patch.object(packages.importlib, "import_module") as load:
            packages.require("json")
        load.assert_not_called()

    def test_a_fault_inside_of_a_package_is_not_called_a_missing_one(self):
        with self.assertRaises(ModuleNotFoundError) as caught:
            packages.load("json.no_such_part")
        self.assertEqual(caught.exception.name, "json.no_such_part")
        self.assertNotIn("pip install", str(caught.exception))


class BackendTest(parameterized.TestCase):
    def require(self, error, is_installed=False):
        """Asks for Keras where its import gives an error."""
        found = object() if is_installed else None
        with (
            mock.patch.object(
                packages.importlib, "import_module", side_effect=error
            ),
            mock.patch.object(
                packages.importlib.util, "find_spec", return_value=found
            ),
        ):
            packages.require_backend()

    @parameterized.parameters(
        ("tensorflow", 'pip install "tfprune.cpu."'),
        ("jax", 'pip install "tfprune.jax."'),
        ("torch", "pip install torch"),
        ("jax.numpy", 'pip install "tfprune.jax."'),
    )
    def test_a_missing_backend_says_how_to_get_it(self, name, run):
        error = ImportError("no", name=name)
        with self.assertRaisesRegex(
            ImportError,
            f"{name.partition('.')[0]!r}, which is not installed. Run: {run}",
        ) as caught:
            self.require(error)
        self.assertIs(caught.exception.__cause__, error)

    def test_another_import_that_fails_stays_what_it_is(self):
        for error, is_installed in (
            (ImportError("a fault", name="tensorflow"), True),
            (ImportError("a fault", name="h5py"), False),
            (ImportError("a fault without a name"), False),
        ):
            with self.assertRaises(ImportError) as caught:
                self.require(error, is_installed)
            self.assertIs(caught.exception, error)

    def test_with_a_backend_nothing_is_raised(self):
        self.require(error=None)


class OneTensorFlowTest(parameterized.TestCase):
    def installed(self, **versions):
        def version(name):
            if name not in versions:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions[name]

        self.enter_context(
            mock.patch.object(importlib.metadata, "version", version)
        )

    def test_two_builds_of_tensorflow_are_an_error_that_says_why(self):
        self.installed(**{"tensorflow": "2.21.0", "tensorflow-cpu": "2.20.0"})
        backend = {"KERAS_BACKEND": "tensorflow"}
        with (
            mock.patch.dict(os.environ, backend),
            self.assertRaisesRegex(
                ImportError, "overwrote.*tensorflow 2.21.0, tensorflow-cpu 2.20"
            ),
        ):
            packages.require_backend()

    def test_another_backend_does_not_mind(self):
        self.installed(**{"tensorflow": "2.21.0", "tensorflow-cpu": "2.20.0"})
        with mock.patch.dict(os.environ, {"KERAS_BACKEND": "jax"}):
            packages.require_backend()

    def test_one_build_will_do(self):
        self.installed(tensorflow="2.21.0")
        packages.require_backend()


if __name__ == "__main__":
    absltest.main()
