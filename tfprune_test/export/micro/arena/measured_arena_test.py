"""What is asked of TFLite Micro; `arena_need_test` measures."""

from unittest import mock

import numpy as np
import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.export.micro.arena import measured_arena
from tfprune.export.run import interpreter
from tfprune_test.export import hand_made

FACTS = {
    "required_bytes": 1024,
    "used_bytes": 1000,
    "shared_bytes": 600,
    "persistent_bytes": 400,
}


class MeasuredArenaTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        data = hand_made.dense(np.ones((1, 3), np.float32))
        self.path = self.create_tempfile(content=data, mode="wb").full_path

    def asked(self, answer):
        return mock.patch.object(interpreter, "ask_micro", return_value=answer)

    def test_the_inputs_of_the_first_file_are_those_of_all(self):
        with self.asked([FACTS, FACTS]) as asked:
            found = measured_arena.arenas([self.path, "other.tflite"])
        self.assertEqual(found, [measured_arena.Arena(**FACTS)] * 2)
        request = asked.call_args.kwargs
        self.assertEqual(request["action"], "measure")
        self.assertEqual(request["paths"], [self.path, "other.tflite"])
        self.assertEqual(request["inputs"], [((1, 3), "float32")])

    def test_one_file(self):
        with self.asked([FACTS]):
            found = measured_arena.arena(self.path)
        self.assertEqual(found.required_bytes, 1024)

    def test_times(self):
        with self.asked([0.5]) as asked:
            self.assertEqual(measured_arena.seconds([self.path], 3), [0.5])
        self.assertEqual(asked.call_args.kwargs["action"], "time")
        self.assertEqual(asked.call_args.kwargs["runs"], 3)


if __name__ == "__main__":
    absltest.main()
