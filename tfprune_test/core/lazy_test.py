import sys
import types

from absl.testing import absltest

from tfprune.core import lazy


class LazyTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.package = types.ModuleType("a_lazy_package")
        self.part = types.ModuleType("a_lazy_package.part")
        self.part.value, self.part.part = 3, "not the module"
        sys.modules["a_lazy_package"] = self.package
        sys.modules["a_lazy_package.part"] = self.part
        self.addCleanup(sys.modules.pop, "a_lazy_package")
        self.addCleanup(sys.modules.pop, "a_lazy_package.part")

    def attach(self, homes):
        get, names = lazy.attach("a_lazy_package", homes)
        self.package.__getattr__ = get
        return names

    def test_a_name_is_loaded_from_its_module(self):
        self.attach({"value": "a_lazy_package.part"})
        self.assertEqual(self.package.value, 3)

    def test_a_name_may_be_the_module_itself(self):
        self.attach({"part": "a_lazy_package.part"})
        self.assertIs(self.package.part, self.part)

    def test_a_name_like_a_module_elsewhere_is_taken_from_it(self):
        self.attach({"path": "os"})
        import os

        self.assertIs(self.package.path, os.path)

    def test_python_finds_it_by_itself_the_next_time(self):
        self.attach({"value": "a_lazy_package.part"})
        self.assertNotIn("value", vars(self.package))
        self.assertEqual(self.package.value, 3)
        self.part.value = 4
        self.assertEqual(vars(self.package)["value"], 3)

    def test_nothing_is_imported_before_it_is_asked_for(self):
        names = self.attach({"z": "no.such.module", "a": "nor.this.one"})
        self.assertEqual(names, ["a", "z"])
        with self.assertRaises(ModuleNotFoundError):
            self.package.z  # noqa: B018

    def test_any_other_name_is_no_attribute(self):
        self.attach({"value": "a_lazy_package.part"})
        with self.assertRaisesRegex(
            AttributeError, "module 'a_lazy_package' has no attribute 'valve'"
        ):
            self.package.valve  # noqa: B018
        self.assertFalse(hasattr(self.package, "__path__"))

    def test_a_name_that_its_module_lacks_is_no_attribute(self):
        self.attach({"lost": "a_lazy_package.part"})
        with self.assertRaisesRegex(AttributeError, "lost"):
            self.package.lost  # noqa: B018


if __name__ == "__main__":
    absltest.main()
