import dataclasses
import json
import pathlib

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import records
from tfprune.core import registry
from tfprune.core.files import damage

SHAPES = registry.Registry("shape")


@SHAPES.register("square", "quadrat")
@dataclasses.dataclass(frozen=True)
class Square(records.Record):
    side: float = 1.0


@SHAPES.register("nested")
@dataclasses.dataclass(frozen=True)
class Nested(records.Record):
    inner: records.Record

    def get_config(self):
        return {"inner": records.serialize(self.inner, SHAPES)}

    @classmethod
    def from_config(cls, config):
        return cls(records.deserialize(config["inner"], SHAPES))


@dataclasses.dataclass(frozen=True)
class Circle(Square):
    """Is not registered, though its base is."""


class RecordsTest(parameterized.TestCase):
    @parameterized.parameters(
        (Square(3.0), {"name": "square", "config": {"side": 3.0}}),
        (
            Nested(Square(2.0)),
            {
                "name": "nested",
                "config": {
                    "inner": {"name": "square", "config": {"side": 2.0}}
                },
            },
        ),
    )
    def test_there_and_back(self, record, spec):
        self.assertEqual(records.serialize(record, SHAPES), spec)
        plain = json.loads(json.dumps(spec))
        self.assertEqual(records.deserialize(plain, SHAPES), record)
        self.assertEqual(plain, spec)  # is not changed

    @parameterized.parameters("square", "quadrat")
    def test_a_bare_name_has_the_defaults(self, name):
        self.assertEqual(records.deserialize(name, SHAPES), Square(1.0))

    def test_an_alias_in_a_config(self):
        spec = {"name": "quadrat", "config": {"side": 2.0}}
        self.assertEqual(records.deserialize(spec, SHAPES), Square(2.0))

    def test_numbers_of_an_interval(self):
        for interval, good, bad in (
            ("[0, inf)", (0, 1e9), (-1e-9, np.inf, np.nan, "1", None)),
            ("(0, 1]", (1e-9, np.float32(1)), (0, 1.1)),
            ("(-inf, inf)", (-5,), (-np.inf, [1], np.ones(2), 1j)),
        ):
            for side in good:
                records.check_number(Square(side), "side", interval)
            for side in bad:
                with self.assertRaisesRegex(
                    ValueError, rf"`side` must be a number in \{interval[0]}"
                ):
                    records.check_number(Square(side), "side", interval)

    def test_a_record_is_returned_as_it_is(self):
        record = Circle(2.0)
        self.assertIs(records.deserialize(record, SHAPES), record)

    def test_a_class_that_is_not_registered_is_not_saved_as_its_base(self):
        with self.assertRaisesRegex(
            ValueError, "A shape must be registered .* Received: Circle. Dec"
        ):
            records.serialize(Circle(2.0), SHAPES)

    @parameterized.parameters(None, 3, (("square",),))
    def test_what_is_no_record(self, spec):
        with self.assertRaisesRegex(
            ValueError, "an object, a name or a config.*Names: nested, square"
        ):
            records.deserialize(spec, SHAPES)

    def test_a_name_that_nobody_knows(self):
        with self.assertRaisesRegex(ValueError, "Unknown shape.*'circle'"):
            records.deserialize({"name": "circle", "config": {}}, SHAPES)


@dataclasses.dataclass
class Point:
    name: str
    count: int
    value: float
    kept: tuple[int, ...] = ()
    limit: int | None = None


class CheckedTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"value": 1}, None),
        ({"limit": "any"}, None),
        ({"name": 3}, "name must be of type str, and is '3'"),
        ({"count": 1.5}, "count"),
        ({"count": True}, "count"),
        ({"value": None}, "value"),
        ({"kept": [1]}, "kept"),
    )
    def test_types(self, changed, reason):
        point = Point(**{"name": "a", "count": 1, "value": 0.5, **changed})
        if reason is None:
            self.assertIs(records.checked(point), point)
            return
        with self.assertRaisesRegex(TypeError, reason):
            records.checked(point)

    @parameterized.parameters(
        (b'{"name": "a", "count": 1, "value": 0.5}', None),
        (b'{"name": "a", "count": 1}', "missing"),
        (b'{"name": "a", "count": [], "value": 0.5}', "count must be"),
        (b"[" * 100_000, "too deep"),
        (b"{", "JSONDecodeError"),
        (b"\xff", "UnicodeDecodeError"),
        (b"null", "TypeError"),
    )
    def test_in_a_file(self, data, reason):
        path = pathlib.Path(self.create_tempdir().full_path) / "point.json"
        path.write_bytes(data)

        def make(found):
            return records.checked(Point(**found))

        if reason is None:
            found = damage.read_json(path, make)
            self.assertEqual(found, Point(**json.loads(data)))
            return
        with self.assertRaisesRegex(
            ValueError, f"^The file is damaged: .*{reason}"
        ) as caught:
            damage.read_json(path, make)
        self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    absltest.main()
