"""The lines that `benchmarks/mutations.py` breaks are still there."""

import ast
import pathlib
import sys

from absl import flags
from absl.testing import absltest

from tools import source_tree

sys.path.append(str(source_tree.ROOT / "benchmarks"))

import mutations

# Other scripts have flags of the same names.
for _flag in list(flags.FLAGS.flags_by_module_dict()[mutations.__name__]):
    delattr(flags.FLAGS, _flag.name)


class MutationsTest(absltest.TestCase):
    def test_each_fits_one_place_and_breaks_it(self):
        for mutation in mutations.MUTATIONS:
            path = pathlib.Path(source_tree.ROOT, "tfprune", mutation.file)
            with self.subTest(mutation.what):
                text = path.read_text()
                self.assertEqual(text.count(mutation.line), 1)
                broken = text.replace(mutation.line, mutation.by)
                self.assertNotEqual(
                    ast.dump(ast.parse(broken)), ast.dump(ast.parse(text))
                )


if __name__ == "__main__":
    absltest.main()
