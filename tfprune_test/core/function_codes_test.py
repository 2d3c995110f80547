"""Functions are told by what they do."""

import functools
import subprocess
import sys
import types
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest

from tfprune.core import function_codes


def _half(x):
    return x / 2


def _loop(x):
    return _loop(x) if x in {"left", "right", 3} else x


def _scaled(factor):
    def scale(x, least=0):
        return max(least, factor * x)

    return scale


def _again():
    def again():
        return again()

    return again


class _Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x


def _more(self, x):
    return super(type(self), self).__call__(x)


class _Counting(_Scale):
    def __call__(self, x):
        self._count()
        self.last = x
        return super().__call__(x)

    def _count(self):
        self.calls = getattr(self, "calls", 0) + 1


class _Loss(keras.losses.Loss):
    def call(self, y, outputs):
        return y - outputs


def _module(count, calls):
    """A module of functions `f0`, `f1` and so on that call others."""
    module = types.ModuleType("many")
    for i in range(count):
        names = " + ".join(f"f{j}(x)" for j in calls(i)) or "x"
        exec(f"def f{i}(x):\n    return 'a', {names}", module.__dict__)
    return module


_LIMIT = 0.5
_SHARES = [0.5, 0.5]
_CALLS: list = []


def _weighed(x):
    return _SHARES[0] * x


def _noted(x):
    _CALLS.append(x)
    return x


def _above(x):
    return _share(x > _LIMIT)


def _share(x):
    return x.mean()


def _other_share(x):
    return x.max()


class FunctionCodesTest(absltest.TestCase):
    def test_functions_differ_by_the_globals_of_their_module(self):
        told = function_codes.told(_above)
        self.assertEqual(told, function_codes.told(_above))
        for name, value in (("_LIMIT", 0.7), ("_share", _other_share)):
            with mock.patch.dict(globals(), {name: value}):
                self.assertNotEqual(told, function_codes.told(_above))

    def test_objects_differ_by_the_numbers_that_they_hold(self):
        one, same, other = _Scale(2), _Scale(2), _Scale(3)
        for told in (
            [function_codes.told(each) for each in (one, same, other)],
            [function_codes.told(s.__call__) for s in (one, same, other)],
        ):
            self.assertEqual(told[0], told[1])
            self.assertNotEqual(told[0], told[2])

    def test_modules_of_many_functions(self):
        for calls in (
            lambda i: range(i + 1, min(i + 2, 15)),
            lambda i: range(i + 1, min(i + 3, 15)),
            lambda i: range(6),
        ):
            module = _module(15, calls)
            told = function_codes.told(module.f0)
            self.assertLess(len(told), 10_000)
            module.f5.__code__ = _other_share.__code__
            self.assertNotEqual(told, function_codes.told(module.f0))

    def test_what_a_call_writes_into_its_object_does_not_count(self):
        scale = _Counting(2)
        told = function_codes.told(scale), function_codes.told(scale.__call__)
        scale(3)
        self.assertEqual(scale.calls, 1)
        self.assertEqual(
            told,
            (function_codes.told(scale), function_codes.told(scale.__call__)),
        )
        self.assertNotEqual(told[0], function_codes.told(_Counting(3)))

    def test_numbers_that_keras_appends_to_names_do_not_count(self):
        self.assertEqual(*(function_codes.told(_Loss()) for _ in range(2)))
        other = _Loss(reduction="none")
        self.assertNotEqual(*map(function_codes.told, (_Loss(), other)))

    def test_functions_of_one_name_differ_by_their_code(self):
        one, other = (lambda x: x + 1), (lambda x: x + 2)
        self.assertNotEqual(*map(function_codes.told, (one, other)))
        self.assertEqual(
            *(function_codes.told(lambda x: x * 3) for _ in range(2))
        )
        self.assertEqual(function_codes.told(None), "")

    def test_functions_differ_by_the_numbers_that_they_hold(self):
        told = [function_codes.told(_scaled(n)) for n in (1, 1, 2)]
        self.assertEqual(told[0], told[1])
        self.assertNotEqual(told[0], told[2])
        told = [
            function_codes.told(functools.partial(_half, by))
            for by in (1, 2, _half, _loop)
        ]
        self.assertLen(set(told), 4)

    def test_functions_differ_by_the_arrays_that_they_hold(self):
        for make in (np.array, np.float32, keras.ops.convert_to_tensor):
            told = [function_codes.told(_scaled(make(n))) for n in (1, 1, 2)]
            self.assertEqual(told[0], told[1])
            self.assertNotEqual(told[0], told[2])
        tensors = map(keras.ops.convert_to_tensor, (1, 2))
        for pair in ((np.zeros(2), np.ones(2)), tensors, ([1, 2], [1, 3])):
            told = [function_codes.told(_Scale(each)) for each in pair]
            self.assertNotEqual(*told)
        # What is no number may have an address.
        strange = np.array([object()]), keras.Input((2,))
        for each in strange:
            self.assertNotIn("0x", function_codes.told(_scaled(each)))

    def test_functions_differ_by_the_lists_and_arrays_of_their_module(self):
        told = function_codes.told(_weighed)
        self.assertEqual(told, function_codes.told(_weighed))
        tensor = keras.ops.convert_to_tensor([0.7, 0.3])
        for value in ([0.7, 0.3], np.array([0.7, 0.3]), {0: 0.7}, tensor):
            with mock.patch.dict(globals(), {"_SHARES": value}):
                self.assertNotEqual(told, function_codes.told(_weighed))

    def test_a_record_that_an_object_fills_does_not_count(self):
        scale = _Scale([1, 2])
        scale.calls = []
        told = function_codes.told(scale)
        scale.calls = [1]
        self.assertNotEqual(told, function_codes.told(scale))

        class Noting(_Scale):
            def __call__(self, x):
                self.calls.append(x)
                return super().__call__(x)

        noting = Noting([1, 2])
        noting.calls = []
        told = function_codes.told(noting)
        noting.calls = [1]
        self.assertEqual(told, function_codes.told(noting))
        noting.factor = [1, 3]
        self.assertNotEqual(told, function_codes.told(noting))

    def test_settings_beside_a_record_count(self):
        def first(self, x):
            self.calls[self.key] = x * self.factor
            return x

        def second(self, x):
            self.calls[self.key] += self.factor
            return x

        def third(self, x):
            found = {}
            found[self.key] = self.factor
            return found

        def fourth(self, x):
            factor, found = self.factor, []
            found.append(x * factor)
            return found

        for call in (first, second, third, fourth):
            noting = type("Noting", (_Scale,), {"__call__": call})(1)
            noting.calls, noting.key = {}, "key"
            told = function_codes.told(noting)
            for name in ("factor", "key"):
                was = getattr(noting, name)
                for other in (5, [3, 4], np.array([3, 4])):
                    setattr(noting, name, other)
                    self.assertNotEqual(function_codes.told(noting), told)
                setattr(noting, name, was)
            self.assertEqual(function_codes.told(noting), told)
            if call in (first, second):
                noting.calls = {1: 2}
                self.assertEqual(function_codes.told(noting), told)

    def test_records_that_are_filled_in_other_ways_do_not_count(self):
        def first(self, x):
            self.calls["x"].append(x)

        def second(self, x):
            calls = self.calls
            calls.append(x)

        def third(self, x):
            row = self.calls[x]
            row[x] = self.factor

        def fourth(self, x):
            self.calls[x][x] += 1

        def fifth(self, x):
            self.calls.setdefault(x, []).append(x)

        for call in (first, second, third, fourth, fifth):
            noting = type("Noting", (_Scale,), {"__call__": call})
            for cls in (noting, type("More", (noting,), {"__call__": _more})):
                each = cls(1)
                each.calls = []
                told = function_codes.told(each)
                each.calls = [1]
                self.assertEqual(told, function_codes.told(each))

    def test_what_a_function_fills_does_not_count(self):
        told = function_codes.told(_noted)
        with mock.patch.dict(globals(), {"_CALLS": [1, 2]}):
            self.assertEqual(told, function_codes.told(_noted))

    def test_a_function_that_calls_itself(self):
        self.assertEqual(*(function_codes.told(_again()) for _ in range(2)))

    def test_objects_are_told_by_their_code_without_addresses(self):
        told = function_codes.told(_Scale(2))
        self.assertIn("_Scale", told)
        self.assertIn("factor", told)
        self.assertNotIn("0x", told)
        held = function_codes.told(functools.partial(_half, object()))
        self.assertNotIn("0x", held)

    def test_the_next_process_says_the_same(self):
        script = (
            "from tfprune.core import function_codes\n"
            "from tfprune_test.core import function_codes_test as t\n"
            "print(function_codes.told(t._loop), end='')"
        )
        found = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, check=True
        )
        self.assertEqual(found.stdout.decode(), function_codes.told(_loop))


if __name__ == "__main__":
    absltest.main()
