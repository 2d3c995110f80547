"""Outputs in pages: written where they are shown, compared without numbers."""

from absl.testing import absltest
from absl.testing import parameterized

from tools import page_outputs

PAGE = """Text.

```python
x = 6
print(x)
```

```python tensorflow
print(7 * x)
print()
```

```text
old
```

```text
not an output
```
"""


class PageOutputsTest(parameterized.TestCase):
    def test_only_the_block_right_after_the_code_is_written(self):
        filled = page_outputs.filled(PAGE)
        self.assertEqual(filled, PAGE.replace("old", "42"))
        self.assertEqual(page_outputs.filled(filled), filled)

    def test_an_empty_block_is_filled(self):
        page = PAGE.replace("old\n", "")
        self.assertEqual(page_outputs.filled(page), PAGE.replace("old", "42"))

    def test_code_that_fails_is_no_output(self):
        with self.assertRaises(ZeroDivisionError):
            page_outputs.filled("```python\n1 / 0\n```\n")

    def test_outputs_of_two_machines_have_one_shape(self):
        one = "size   before    left\n──────────────\nMACs   1,024   50.0 %\n"
        other = "size before  left\n────────\nMACs   9    -1 %\n"
        self.assertEqual(page_outputs.shape(one), page_outputs.shape(other))
        self.assertNotEqual(
            page_outputs.shape(one),
            page_outputs.shape(one.replace("MACs", "bytes")),
        )


if __name__ == "__main__":
    absltest.main()
