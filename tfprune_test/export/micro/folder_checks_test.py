import pathlib

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.micro import folder_checks

HALF = folder_checks.HALF_WRITTEN


def file(shape, dtype="int8"):
    y = model_file.Tensor("y", shape, dtype, 0.5, 0)
    return model_file.ModelFile("a.tflite", 100, {}, (), (y,))


class ArgumentsTest(parameterized.TestCase):
    def test_labels_are_a_tuple_of_one_name_a_class(self):
        found = folder_checks.labels(["cat", "dog"], file((1, 2)))
        self.assertEqual(found, ("cat", "dog"))
        self.assertEqual(folder_checks.labels((), file((1, 2))), ())

    @parameterized.parameters(
        (["cat"], "sequence of 3 .*labels=\\['cat'\\]"),
        ([1, 2, 3], "labels=\\[1, 2, 3\\]"),
        # Three letters for three classes.
        ("cat", "labels='cat'"),
        # In any order.
        ({"cat", "dog", "fish"}, "order of the output.*labels={"),
        ({"cat": 0, "dog": 1, "fish": 2}, "labels={'cat'"),
        (5, "labels=5"),
        (None, "labels=None.*leave it out"),
    )
    def test_labels_that_do_not_fit(self, labels, message):
        with self.assertRaisesRegex(ValueError, message):
            folder_checks.labels(labels, file((1, 3)))

    def test_labels_of_a_map(self):
        names = ("sky", "road")
        found = folder_checks.labels(names, file((1, 4, 4, 2)))
        self.assertEqual(found, names)
        # One position after the other, of one channel each.
        with self.assertRaisesRegex(ValueError, "sequence of 16"):
            folder_checks.labels(["sky"], file((1, 4, 4, 1)))

    def test_labels_of_truths(self):
        with self.assertRaisesRegex(ValueError, "of numbers.*Omit labels"):
            folder_checks.labels(["no", "yes"], file((1, 2), "bool"))

    def test_projects(self):
        folder_checks.project(None)
        folder_checks.project("zephyr")
        with self.assertRaisesRegex(ValueError, "cmake, .*project='make'"):
            folder_checks.project("make")

    # R_OK, W_OK and the like of unistd.h, MAP_FAILED, sem_init, atomic_init.
    @parameterized.parameters(
        *("gpio", "TIME", "Esp", "r", "W", "f", "x", "map", "sem", "atomic")
    )
    def test_names_of_software_kits_and_c_libraries(self, name):
        with self.assertRaisesRegex(ValueError, f"{name}_net for example"):
            folder_checks.c_name(name, "model.tflite")
        found = folder_checks.c_name(None, f"models/{name}.tflite")
        self.assertEqual(found, f"{name}_net")

    def test_a_name_is_text(self):
        with self.assertRaisesRegex(ValueError, "Received: name=3"):
            folder_checks.c_name(3, "model.tflite")

    def test_other_names(self):
        for name in ("gpio_net", "model_r", "a", "maps"):
            self.assertEqual(folder_checks.c_name(name, "r.tflite"), name)
            found = folder_checks.c_name(None, f"r/{name}.tflite")
            self.assertEqual(found, name)


class TargetTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(self.create_tempdir().full_path)

    def check(self, name="net", **more):
        files = {"model.h": "", "model.cc": "", **more}
        folder_checks.target(self.out, name, files)

    def test_a_new_folder_or_files_of_others(self):
        self.check()
        (self.out / "notes.txt").write_text("mine")
        self.check()

    def test_the_same_model_or_one_half_written(self):
        header = self.out / "model.h"
        header.write_text("extern const unsigned char net_data[];\n")
        self.check()
        header.write_bytes(HALF)
        self.check("other")

    def test_a_project_of_ones_own_beside_the_model(self):
        header = self.out / "model.h"
        header.write_text("extern const unsigned char net_data[];\n")
        module = self.out / "module.yml"
        files = {module.name: "# Written by tfprune.\nname: net\n"}
        self.check(**files)
        for old in ("# Written by tfprune.\n", HALF.decode(), "name: net\n"):
            module.write_text(old)
            self.check(**files)
        module.write_text("name: mine\n")
        with self.assertRaisesRegex(ValueError, "whose module.yml was written"):
            self.check(**files)

    def test_another_model(self):
        (self.out / "model.h").write_text("unsigned char old_data[];")
        with self.assertRaisesRegex(ValueError, "holds 'old', .*name='old'"):
            self.check()

    def test_what_is_no_model(self):
        (self.out / "model.cc").write_text("int main() {}")
        with self.assertRaisesRegex(ValueError, "model.cc but no model.h"):
            self.check()
        (self.out / "model.h").write_text("struct Model;")
        with self.assertRaisesRegex(ValueError, "another kind of model.h"):
            self.check()


if __name__ == "__main__":
    absltest.main()
