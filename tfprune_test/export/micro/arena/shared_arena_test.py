import math
import pathlib
from types import SimpleNamespace

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import arena_plan
from tfprune.export.micro.arena import shared_arena

REFERENCE, CMSIS = ("reference", "plain"), ("cmsis-nn", "dsp")
ESP = ("esp-nn", "vector")


def need(**plans):
    """A `Need` from `(bytes, persistent bytes)` by kernels."""
    keys = {"reference": REFERENCE, "cmsis": CMSIS, "esp": ESP}
    return arena_need.Need(
        "auto",
        None,
        {
            keys[name]: arena_plan.Plan(total, 0, kept, (), "activations")
            for name, (total, kept) in plans.items()
        },
    )


def source(name, arena, esp=None, host=(4000, 1000)):
    required, persistent = host
    return SimpleNamespace(
        name=name,
        folder=f"out/{name}",
        arena_need=arena,
        esp_need=esp,
        arena=SimpleNamespace(
            required_bytes=required, persistent_bytes=persistent
        ),
    )


class MarginTest(parameterized.TestCase):
    @parameterized.parameters(0, 0.1, 3.0)
    def test_margins(self, share):
        arena_need.check_margin(share)

    @parameterized.parameters(-0.1, math.nan, math.inf, "some", None)
    def test_margins_that_are_none(self, share):
        with self.assertRaisesRegex(ValueError, f"arena_margin={share!r}"):
            arena_need.check_margin(share)


class NeededTest(absltest.TestCase):
    def test_records_add_up_and_activations_share(self):
        # 300 + 200 for good, and 700 or 600 in turns.
        one, two = need(reference=(1000, 300)), need(reference=(800, 200))
        self.assertEqual(shared_arena.needed([one, two]), 1200)

    def test_the_kernels_that_need_most_count(self):
        one = need(reference=(1000, 300), cmsis=(1600, 300))
        two = need(reference=(800, 200), cmsis=(800, 200))
        self.assertEqual(shared_arena.needed([one, two]), 1808)

    def test_models_for_different_kernels_add_up_too(self):
        one = need(reference=(1000, 300))
        two = need(cmsis=(800, 200))
        self.assertEqual(shared_arena.needed([one, two]), 1200)

    def test_a_multiple_of_16(self):
        one, two = need(reference=(101, 1)), need(reference=(101, 2))
        self.assertEqual(shared_arena.needed([one, two]), 112)


class ShareTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(self.create_tempdir().full_path)
        self.sources = [
            source("words", need(reference=(1000, 300))),
            source("people", need(reference=(800, 200))),
        ]

    def test_the_files(self):
        found = shared_arena.share_arena(self.sources, self.out, 0.5)
        self.assertEqual(found, 1808)
        header = (self.out / "shared_arena.h").read_text()
        self.assertIn("-DWORDS_SHARED_ARENA -DPEOPLE_SHARED_ARENA", header)
        self.assertIn("words, in words", header)
        code = (self.out / "shared_arena.cc").read_text()
        self.assertIn("#define SHARED_ARENA_BYTES 1808", code)

    def test_each_compiler_has_the_arena_of_its_kernels(self):
        sources = [
            source(
                "words",
                need(reference=(1000, 300)),
                need(esp=(9000, 300)),
                host=(2000, 600),
            ),
            # For one core alone: its own counts everywhere.
            source("people", need(reference=(800, 200)), host=(3000, 500)),
        ]
        found = shared_arena.share_arena(sources, self.out, 0.0)
        self.assertEqual(found, 1200)
        code = (self.out / "shared_arena.cc").read_text()
        self.assertIn(
            "#if !defined(ESP_PLATFORM) && UINTPTR_MAX <= 0xFFFFFFFF\n"
            "#define SHARED_ARENA_BYTES 1200\n"
            "#elif defined(ESP_PLATFORM)\n"
            # 300 + 200 for good, and 8700.
            "#define SHARED_ARENA_BYTES 9200\n"
            "#else\n"
            # 600 + 500 for good, and 2500.
            "#define SHARED_ARENA_BYTES 3600\n"
            "#endif\n",
            code,
        )

    def test_models_for_one_core_have_two(self):
        shared_arena.share_arena(self.sources, self.out, 0.0)
        code = (self.out / "shared_arena.cc").read_text()
        self.assertIn(
            "#if UINTPTR_MAX <= 0xFFFFFFFF\n"
            "#define SHARED_ARENA_BYTES 1200\n"
            "#else\n#define SHARED_ARENA_BYTES 5008\n#endif\n",
            code,
        )

    @parameterized.parameters(
        (slice(1), 0.1, "At least two models .*Received: 1"),
        # The arena would be smaller than the models need.
        (slice(2), -0.5, "arena_margin=-0.5"),
    )
    def test_arguments(self, some, margin, message):
        with self.assertRaisesRegex(ValueError, message):
            shared_arena.share_arena(self.sources[some], self.out, margin)
        self.assertEmpty(list(self.out.iterdir()))

    @parameterized.parameters("net.tflite", pathlib.Path("firmware"))
    def test_files_and_folders_are_no_sources(self, other):
        with self.assertRaisesRegex(TypeError, "export_micro returned is req"):
            shared_arena.share_arena([other, self.sources[0]], self.out)

    def test_names_that_are_one_in_capitals(self):
        sources = [source("Net", need()), source("net", need())]
        with self.assertRaisesRegex(ValueError, "Net, net"):
            shared_arena.share_arena(sources, self.out)


if __name__ == "__main__":
    absltest.main()
