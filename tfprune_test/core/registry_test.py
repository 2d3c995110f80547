from absl.testing import absltest

from tfprune.core import registry


class RegistryTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.fruit = registry.Registry("fruit")
        self.fruit.register("pear", "birne")("a pear")
        self.fruit.register("apple")("an apple")

    def test_an_object_is_found_by_name_and_by_alias(self):
        self.assertEqual(self.fruit.get("pear"), "a pear")
        self.assertEqual(self.fruit.get("birne"), "a pear")
        self.assertIn("birne", self.fruit)
        self.assertNotIn("plum", self.fruit)

    def test_names_are_sorted_and_without_aliases(self):
        self.assertEqual(self.fruit.names(), ["apple", "pear"])

    def test_the_decorator_gives_the_object_back(self):
        @self.fruit.register("plum")
        def plum():
            return 3

        self.assertEqual(plum(), 3)
        self.assertIs(self.fruit.get("plum"), plum)

    def test_a_name_is_not_given_away_twice(self):
        for taken in ("pear", "birne"):
            with self.assertRaisesRegex(
                ValueError, f"A fruit with this name .*name={taken!r}. Choose"
            ):
                self.fruit.register(taken)("another")
            self.assertEqual(self.fruit.get(taken), "a pear")

    def test_a_refused_object_is_under_none_of_its_names(self):
        with self.assertRaises(ValueError):
            self.fruit.register("quince", "pear")("a quince")
        self.assertNotIn("quince", self.fruit)
        self.assertEqual(self.fruit.names(), ["apple", "pear"])

    def test_the_same_object_may_come_again(self):
        thing = object()
        self.fruit.register("fig")(thing)
        self.fruit.register("fig", "feige")(thing)
        self.assertIs(self.fruit.get("feige"), thing)

    def test_what_is_defined_anew_takes_its_own_place(self):
        def cell(module, size):
            names = {"fruit": self.fruit, "__name__": module}
            code = f"@fruit.register('fig')\ndef fig(): return {size}"
            exec(code, names)

        cell("notebook", 1)
        cell("notebook", 2)
        self.assertEqual(self.fruit.get("fig")(), 2)
        with self.assertRaisesRegex(ValueError, "name='fig'. Choose"):
            cell("another", 3)

        def local():
            @self.fruit.register("plum")
            def plum():
                pass

        local()
        with self.assertRaisesRegex(ValueError, "name='plum'. Choose"):
            local()

    def test_an_object_may_be_nothing(self):
        self.fruit.register("none")(None)
        self.assertIsNone(self.fruit.get("none"))

    def test_an_unknown_name_brings_the_nearest_one(self):
        with self.assertRaisesRegex(
            ValueError,
            "^Unknown fruit. Known: apple, pear. Received: 'aple'. Did you "
            "mean 'apple'.$",
        ):
            self.fruit.get("aple")

    def test_where_none_is_near_none_is_named(self):
        for name in ("xyz", 3, None):
            with self.assertRaisesRegex(ValueError, f"Received: {name!r}.$"):
                self.fruit.get(name)


if __name__ == "__main__":
    absltest.main()
