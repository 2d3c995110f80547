import json
import struct

from absl.testing import parameterized

from tfprune.core.files import damage


class ReadingTest(parameterized.TestCase):
    @parameterized.parameters(
        (KeyError("layers"), "KeyError: 'layers'"),
        (IndexError("out of\n range"), "IndexError: out of range"),
        (StopIteration(), "StopIteration"),
        (struct.error("unpack"), "error: unpack"),
        (TypeError("'int' object is not iterable"), "TypeError: 'int' object"),
        (
            ValueError("A total of 1 objects could not be loaded.\n\nThe"),
            "ValueError: A total of 1 objects could not be loaded. The",
        ),
        (TypeError("no '\udcff'"), r"TypeError: no '\udcff'"),
        (OSError("Unable to synchronously open file"), "OSError: Unable"),
        (json.JSONDecodeError("Expecting value", "", 0), "JSONDecodeError: "),
    )
    def test_odd_errors_become_one_line(self, error, said):
        with self.assertRaises(ValueError) as caught:
            with damage.reading("a.keras"):
                raise error
        text = str(caught.exception)
        self.assertStartsWith(text, f"The file is damaged: 'a.keras' ({said}")
        self.assertNotIn("\n", text)

    def test_a_class_that_is_not_known_may_be_damage_or_not(self):
        with self.assertRaisesRegex(
            ValueError,
            r"classes in a file must be known. Received: 'a.keras' \(TypeErr.*"
            r"'O\\udcffd'.* Pass them as `custom_objects`; if .* damaged",
        ):
            with damage.reading("a.keras"):
                raise TypeError("Could not locate class 'O\udcffd'.")

    def test_a_config_behind_what_went_wrong_is_left_out(self):
        text = "Could not locate class 'Odd'. Full object config: {'module': "
        with self.assertRaisesRegex(
            ValueError, r"\(TypeError: Could not locate class 'Odd'\)\. Pass"
        ):
            with damage.reading("a.keras"):
                raise TypeError(text + "'m'}")

    @parameterized.parameters(
        ValueError("The layer 'a' has no counterpart."),
        FileNotFoundError("a.keras"),
        KeyboardInterrupt(),
    )
    def test_what_speaks_for_itself_stays(self, error):
        with self.assertRaises(type(error)) as caught:
            with damage.reading("a.keras"):
                raise error
        self.assertIs(caught.exception, error)
