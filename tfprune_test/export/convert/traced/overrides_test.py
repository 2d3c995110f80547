import threading

import keras
from absl.testing import absltest

from tfprune.export.convert.traced import overrides


class Stub:
    def __init__(self):
        self.name = "mine"

    def loop(self):
        return "of the class"


class OverridesTest(absltest.TestCase):
    def test_attributes_come_back_when_the_trace_fails(self):
        layer = keras.layers.Dense(2, name="mine")
        with self.assertRaises(KeyError):
            with overrides.of([(layer, "name", "a"), (layer, "name", "b")]):
                self.assertEqual(layer.name, "b")
                raise KeyError
        self.assertEqual(layer.name, "mine")

    def test_a_method_is_that_of_the_class_again(self):
        stub = Stub()
        with overrides.of([(stub, "loop", lambda: "another")]):
            self.assertEqual(stub.loop(), "another")
        self.assertEqual(vars(stub), {"name": "mine"})

    def test_changes_that_fail_leave_nothing_changed(self):
        stub = Stub()

        def changes():
            yield stub, "name", "other"
            raise KeyError

        with self.assertRaises(KeyError), overrides.of(changes()):
            self.fail("it must not be entered")
        self.assertEqual(stub.name, "mine")

    def test_another_thread_waits_and_sees_the_names_of_the_owner(self):
        stub, seen = Stub(), []

        def marked():
            names = ((s, "name", s.name + "!") for s in (stub,))
            with overrides.of(names):
                seen.append(stub.name)

        other = threading.Thread(target=marked)
        with overrides.of([(stub, "name", "first")]):
            other.start()
            other.join(0.05)
            self.assertEmpty(seen)
        other.join()
        self.assertEqual(seen, ["mine!"])
        self.assertEqual(stub.name, "mine")

    def test_changes_stand_within_changes(self):
        stub = Stub()
        with overrides.of([(stub, "name", "outer")]):
            with overrides.of([(stub, "name", "inner")]):
                self.assertEqual(stub.name, "inner")
            self.assertEqual(stub.name, "outer")
        self.assertEqual(stub.name, "mine")


if __name__ == "__main__":
    absltest.main()
