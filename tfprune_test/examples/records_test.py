"""The queue of records, small: killed and gone on with, then verified."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from absl.testing import absltest

import tfprune
from tfprune import surgery
from tfprune.surgery import pruning
from tfprune_test.examples import scripts_test
from tools import source_tree

sys.path.append(str(source_tree.ROOT / "examples"))

import record_padding

pytest.importorskip("sklearn", reason="the digits come with it")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="it trains on TensorFlow"
)


def wait_for(path, process):
    """Waits until a file is there, while the process runs."""
    for _ in range(3000):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.05)
    raise TimeoutError(f"no {path}")


class PaddedTest(absltest.TestCase):
    def trained(self, model, x, y):
        keras.utils.set_random_seed(0)
        slope = keras.optimizers.SGD(0.05, 0.9, weight_decay=1e-3)
        model.compile(slope, "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        return model

    def test_channels_of_zeros_change_nothing(self):
        keras.utils.set_random_seed(0)
        dense = tfprune.zoo.build("resnet8", input_shape=(8, 8, 1))
        cut = pruning.plan(dense, macs=0.4)
        small, wide = surgery.apply(cut), record_padding.padded(cut)
        filters = [
            layer.filters
            for layer in wide.layers
            if isinstance(layer, keras.layers.Conv2D)
        ]
        self.assertEqual({n % 16 for n in filters}, {0})
        self.assertGreater(tfprune.cost(wide).macs, tfprune.cost(small).macs)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(32, 8, 8, 1)), rng.integers(0, 10, 32)
        given = [m.predict(x, verbose=0) for m in (small, wide)]
        np.testing.assert_allclose(*given, atol=1e-5)
        small, wide = (self.trained(m, x, y) for m in (small, wide))
        wide = tfprune.strip(wide)
        self.assertEqual(wide.count_params(), small.count_params())
        given = [m.predict(x, verbose=0) for m in (small, wide)]
        np.testing.assert_allclose(*given, atol=1e-3)


class RecordsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def flags(self, name):
        return (
            "--smoke",
            "--entry=smoke",
            f"--state={self.folder / name / 'state'}",
            f"--records={self.folder / name / 'records'}",
        )

    def record(self, name):
        place = self.folder / name / "records" / "smoke-seed0"
        metrics = json.loads((place / "metrics.json").read_text())
        return keras.saving.load_model(place / "model.keras"), metrics

    def test_a_quick_run_leaves_the_published_records_alone(self):
        state = self.folder / "quick"
        place = state / "records" / "smoke-seed0"
        place.mkdir(parents=True)
        facts = json.dumps({"epochs": 6, "test_accuracy": 0.125})
        (place / "metrics.json").write_text(facts)
        done = subprocess.run(
            [
                sys.executable,
                str(source_tree.ROOT / "examples" / "records.py"),
                *("--smoke", "--list", f"--state={state}"),
            ],
            env=os.environ | {"PYTHONPATH": str(source_tree.ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertRegex(done.stdout, r"smoke-seed0 +done .*test 12.50%")

    @pytest.mark.slow
    def test_a_run_that_is_killed_ends_as_one_that_is_not(self):
        scripts_test.run("records", *self.flags("whole"))
        process = scripts_test.start("records", *self.flags("broken"))
        # Written after the state of the first epoch.
        wait_for(self.folder / "broken/records/progress.json", process)
        process.kill()
        process.communicate()
        with self.subTest("killed before its end"):
            self.assertFalse(
                (self.folder / "broken/records/smoke-seed0").exists()
            )
        said = scripts_test.run("records", *self.flags("broken"), "--list")
        self.assertIn("running", said)
        verify = f"--records={self.folder / 'broken' / 'records'}"
        with self.subTest("shown as unfinished"):
            said = scripts_test.run("verify_records", verify)
            self.assertRegex(said, r"smoke-seed0 .* \d of 6 +unfinished")
        scripts_test.run("records", *self.flags("broken"))
        expected, whole = self.record("whole")
        found, broken = self.record("broken")
        for ours, theirs in zip(
            found.get_weights(), expected.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        self.assertEqual(broken["test_accuracy"], whole["test_accuracy"])
        self.assertLen(broken["curve"], 6)
        with self.subTest("other settings are refused"):
            shutil.rmtree(self.folder / "broken" / "records")
            said = scripts_test.run(
                *("records", *self.flags("broken"), "--decay=0.1"), code=1
            )
            self.assertIn("goes on with the settings", said)
        with self.subTest("verified"):
            verify = f"--records={self.folder / 'whole' / 'records'}"
            page = self.folder / "records.md"
            plot = self.folder / "records.png"
            also = f"--page={page}", f"--plot={plot}"
            said = scripts_test.run("verify_records", verify, *also)
            self.assertIn("](records.png)", page.read_text())
            self.assertEqual(plot.read_bytes()[:4], b"\x89PNG")
            self.assertRegex(said, r"smoke-seed0 .* yes")
            self.assertIn("within params 0.5, by l1;", page.read_text())
            self.assertIn("6 epochs on all digits", page.read_text())
            self.assertIn("## As firmware", page.read_text())
            self.assertIn("(at most 99,999)", page.read_text())
            self.falsify("int8", whole["int8"] | {"flash_bytes": 7})
            said = scripts_test.run("verify_records", verify, code=1)
            self.assertRegex(said, r"in int8 flash_bytes is \d+, not 7")
            self.falsify("params", 7)
            said = scripts_test.run("verify_records", verify, code=1)
            self.assertIn(f"params are {whole['params']}, not 7", said)

    @pytest.mark.slow
    def test_a_record_that_goes_on(self):
        flags = self.flags("longer")
        scripts_test.run("records", *flags, "--epochs=2")
        _, short = self.record("longer")
        longer = *flags, "--go_on", "--epochs=4"
        scripts_test.run("records", *longer, "--stop_after=1")
        scripts_test.run("records", *longer)
        _, metrics = self.record("longer")
        self.assertEqual(metrics["epochs"], 4)
        self.assertEqual([e["epochs"] for e in metrics["earlier"]], [2])
        curve = metrics["curve"]
        self.assertEqual([line["epoch"] for line in curve], [1, 2, 3, 4])
        self.assertEqual(curve[:2], short["curve"])
        # It does not begin with a network that knows nothing.
        self.assertLess(curve[2]["loss"], curve[0]["loss"])
        for name in ("params", "macs", "test_accuracy_before"):
            self.assertEqual(metrics[name], short[name])
        page = self.folder / "records.md"
        folder = self.folder / "longer" / "records"
        scripts_test.run(
            "verify_records", f"--records={folder}", f"--page={page}"
        )
        self.assertIn("a record after 2 epochs", page.read_text())
        said = scripts_test.run("records", *longer, "--padded", code=1)
        self.assertIn("Leave one out", said)

    @pytest.mark.slow
    def test_padded(self):
        flags = self.flags("padded")
        scripts_test.run("records", *flags, "--padded", "--epochs=1")
        model, metrics = self.record("padded")
        self.assertTrue(metrics["training"]["padded"])
        self.assertEqual(tfprune.cost(model).macs, metrics["macs"])

    @pytest.mark.slow  # A process of its own.
    def test_so_many_images_may_differ_and_no_more(self):
        lines = (
            "import verify_records as v",
            "said = dict(params=1, macs=1, test_accuracy=0.9341,"
            " int8=dict(accuracy=0.9341))",
            "for images in (2, 3, 10, 11):",
            "    found = 0.9341 - images / 10_000",
            "    m = v.Measured(1, 1, found, True, dict(accuracy=found))",
            "    print(images, len(m.differences(said)))",
        )
        result = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            cwd=source_tree.ROOT / "examples",
            env=dict(os.environ, PYTHONPATH=str(source_tree.ROOT)),
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.stdout, "2 0\n3 1\n10 1\n11 2\n")

    @pytest.mark.slow
    def test_a_dense_network_and_a_search_in_it(self):
        scripts_test.run(
            "records",
            *self.flags("new"),
            "--entry=smoke_new,smoke_search",
            "--label_weight=1",
        )
        folder = self.folder / "new" / "records"
        page = self.folder / "records.md"
        verify = f"--records={folder}", f"--page={page}"
        said = scripts_test.run("verify_records", *verify)
        self.assertRegex(said, r"smoke_new-seed0 .* \(100.0%\) .* yes")
        self.assertRegex(said, r"smoke_search-seed0 .* yes")
        self.assertIn("on digits. Not pruned; ", page.read_text())
        self.assertIn("by the search greedy; ", page.read_text())
        self.assertIn("record:smoke_new-seed0 within", page.read_text())

    def falsify(self, name, value):
        path = self.folder / "whole/records/smoke-seed0/metrics.json"
        metrics = json.loads(path.read_text())
        path.write_text(json.dumps(metrics | {name: value}))


if __name__ == "__main__":
    absltest.main()
