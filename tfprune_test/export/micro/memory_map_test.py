import functools
import pathlib
import tempfile
from unittest import mock

import keras
from absl.testing import absltest

from tfprune import deploy
from tfprune.export.micro import firmware_folder
from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import measured_arena
from tfprune.export.micro.arena import offline_plan
from tfprune.export.micro.arena import shared_arena
from tfprune_test.export import small_models

LAYERS = keras.layers


@functools.cache
def bottleneck():
    """Two small maps between large ones: placed by size they leave a gap."""
    inputs = keras.Input((16, 16, 16))
    x = LAYERS.Conv2D(8, 1)(inputs)
    x = LAYERS.Conv2D(8, 3, padding="same")(x)
    model = keras.Model(inputs, LAYERS.Conv2D(16, 1)(x))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net.tflite")
        small_models.export(model, path, "int8", small_models.samples(model))
        return path.read_bytes()


class MemoryTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = self.folder / "net.tflite"
        self.path.write_bytes(bottleneck())

    def test_a_plan_in_the_file_closes_the_gap(self):
        """4,096 bytes in and out, 2,048 twice between: 6,144 are enough."""
        before = arena_need.of(bottleneck(), "reference").plan
        self.assertEqual(before.shared_bytes, 8_192)
        planned = offline_plan.planned(bottleneck(), "reference")
        after = arena_need.of(planned, "reference").plan
        self.assertEqual(after.shared_bytes, 6_144)
        path = self.folder / "planned.tflite"
        path.write_bytes(planned)
        measured = measured_arena.arenas([self.path, path])
        self.assertEqual(
            [arena.shared_bytes for arena in measured], [8_192, 6_144]
        )
        # One that has a plan keeps it.
        self.assertIs(offline_plan.planned(planned), planned)

    def test_a_file_that_gains_nothing_stays_as_it_is(self):
        model = small_models.dense()
        path = self.folder / "dense.tflite"
        small_models.export(model, path, "int8", small_models.samples(model))
        data = path.read_bytes()
        self.assertIs(offline_plan.planned(data), data)

    def test_the_page_and_the_budget_of_the_image(self):
        sources = firmware_folder.export_micro(
            self.path, self.folder / "out", project="cmake", plan_memory=True
        )
        text = (self.folder / "out/memory.md").read_text()
        self.assertIn(f"Flash: {sources.image_bytes:,}", text)
        self.assertIn(f"an arena of {sources.arena_need.bytes:,}", text)
        self.assertIn("code: CONV_2D", text)
        # A channel of 16 x 16 places at the peak.
        self.assertIn("saves 256 bytes at the peak", text)
        self.assertEqual(
            sources.image_bytes, sources.flash_bytes + sources.code.bytes
        )
        with self.assertRaisesRegex(
            ValueError, r"image_bytes=50000, the image takes .* of code"
        ):
            firmware_folder.export_micro(
                self.path, self.folder / "new", image_bytes=50_000
            )
        self.assertFalse((self.folder / "new").exists())

    def test_a_shared_arena_is_kept_records_and_the_largest_room(self):
        plans = [
            mock.Mock(bytes=5_000, persistent_bytes=1_000),
            mock.Mock(bytes=9_008, persistent_bytes=3_008),
        ]
        needs = [mock.Mock(plans={"cmsis-nn": plan}) for plan in plans]
        self.assertEqual(shared_arena.needed(needs), 4_008 + 6_000 + 8)
        sources = [
            mock.Mock(
                arena_need=need,
                esp_need=None,
                arena=mock.Mock(required_bytes=9_000, persistent_bytes=3_000),
                folder=f"/f/{name}",
            )
            for need, name in zip(needs, ("first", "second"), strict=True)
        ]
        sources[0].name, sources[1].name = "first", "second"
        reserved = shared_arena.share_arena(sources, self.folder / "all", 0.0)
        self.assertEqual(reserved, 10_016)
        text = (self.folder / "all/shared_arena.cc").read_text()
        self.assertIn("SHARED_ARENA_BYTES 10016", text)
        sources[1].name = "First"
        with self.assertRaisesRegex(ValueError, "first, First"):
            shared_arena.share_arena(sources, self.folder / "all")

    def test_cycles_of_a_file(self):
        found = deploy.cycles(self.path, "Cortex-M55")
        self.assertEqual([op.op for op in found.ops], ["CONV_2D"] * 3)
        self.assertTrue(all(op.measured for op in found.ops))
        self.assertAlmostEqual(sum(op.share for op in found.ops), 1)
        slow = deploy.cycles(self.path, "cortex-m4")
        self.assertGreater(slow.instructions, 2 * found.instructions)
        path = self.folder / "float.tflite"
        small_models.export(small_models.dense(), path)
        with self.assertRaisesRegex(ValueError, "quantized to int8"):
            deploy.cycles(path, "cortex-m4")


if __name__ == "__main__":
    absltest.main()
