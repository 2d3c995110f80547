import math
import pathlib

import keras
from absl.testing import absltest

from tfprune.core.files import json_text
from tfprune.pipeline.result import compressed

BEFORE = {
    "accuracy, float32": 0.9,
    "MACs": 4000,
    "int8 flash, measured": 3000,
}


def result(folder, **changes):
    facts = {
        "model": None,
        "dense": None,
        "folder": str(folder),
        "before": BEFORE,
        "after": BEFORE | {"MACs": 1000, "int8 flash, measured": 1100},
        "fits": False,
        "limits": {"flash_bytes": 1000, "latency": 3},
        "over": {"flash_bytes": 100},
        "monitor": "accuracy",
        "larger": True,
        "points": (),
        "curve": [],
        "kept": {"first": [2, 4]},
        "settings": {},
        "command": "tfprune compress",
        "interrupted": False,
    }
    return compressed.Compressed(**facts | changes)


def point(folder, macs, accuracy, **numbers):
    numbers = {"MACs": macs, **numbers}
    return compressed.Point(
        numbers, {"accuracy": accuracy}, {}, {}, [], str(folder)
    )


class CompressedTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def test_the_table_says_by_how_much_it_is_too_large(self):
        table = result(self.folder).table()
        self.assertEqual(table.title, "Too large by flash_bytes 100.")
        self.assertEqual(
            table.rows,
            (
                ("accuracy, float32", "0.9000", "0.9000", ""),
                ("MACs", "4,000", "1,000", ""),
                ("int8 flash, measured", "3,000", "1,100", "1,000"),
            ),
        )

    def test_what_fits_and_what_has_no_limit(self):
        found = result(self.folder, fits=True, over={})
        self.assertEqual(found.table().title, "It fits.")
        found = result(self.folder, fits=True, over={}, limits={})
        self.assertEqual(found.table().title, "")

    def test_a_run_that_ctrl_c_stopped_says_so(self):
        stop = "Stopped early by Ctrl-C."
        found = result(self.folder, fits=True, over={}, interrupted=True)
        self.assertEqual(found.table().title, f"It fits. {stop}")
        found = result(self.folder, limits={}, interrupted=True)
        self.assertEqual(found.table().title, stop)

    def test_a_frontier_has_a_row_for_each_point(self):
        points = (
            point(self.folder / "1", 2000, 0.9),
            point(self.folder / "2", 1000, 0.8),
        )
        found = result(self.folder, points=points)
        self.assertEqual(
            [(row[0], row[2]) for row in found.frontier().rows],
            [("0.9000", "2,000"), ("0.8000", "1,000")],
        )
        self.assertLen(found.tables(), 2)

    def test_a_frontier_of_files_has_what_limits_are_for(self):
        predicted = {"int8 flash bytes, predicted": 80}
        real = {"int8 flash, measured": 70, "arena, measured": 9}
        for numbers, columns in (
            (predicted, ["MACs", *predicted]),
            (predicted | real, ["MACs", "int8 flash, measured"]),
        ):
            points = [point(self.folder, 2000, 0.9, **numbers)]
            found = result(self.folder, points=points)
            self.assertEqual(found.frontier().header[2:], (*columns,))
            self.assertEqual(found.points[0].numbers, {"MACs": 2000, **numbers})

    def test_one_network_is_no_frontier(self):
        self.assertLen(result(self.folder).tables(), 1)

    def test_no_file_no_path(self):
        found = result(self.folder)
        self.assertIsNone(found.path)
        (self.folder / "model.tflite").write_bytes(b"TFL3")
        self.assertEqual(found.path, str(self.folder / "model.tflite"))

    def test_a_folder_that_was_moved_is_read(self):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        place = self.folder / "points" / "1"
        found = result(
            self.folder,
            points=(point(place, 1000, math.nan),),
            curve=[{"epoch": 1, "loss": math.nan}],
            report=str(self.folder / "report.html"),
        )
        moved = self.folder / "moved"
        moved.mkdir()
        text = json_text.written(found.to_dict() | {"key": {"seed": 0}})
        (moved / "result.json").write_text(text)
        model.save(moved / "model.keras")
        read = compressed.load(moved)
        self.assertEqual(read.report, str(moved / "report.html"))
        self.assertEqual(read.points[0].folder, str(moved / "points" / "1"))
        self.assertEqual(read.after, found.after)
        self.assertTrue(math.isnan(read.curve[0]["loss"]))
        self.assertTrue(math.isnan(read.points[0].values["accuracy"]))
        self.assertEqual(read.model.count_params(), 3)


if __name__ == "__main__":
    absltest.main()
