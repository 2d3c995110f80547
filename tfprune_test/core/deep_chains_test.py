import sys

from absl.testing import absltest

from tfprune.core import deep_chains


class DeepChainsTest(absltest.TestCase):
    def test_the_limit_and_what_to_do_are_told(self):
        def deeper():
            return deeper()

        with self.assertRaisesRegex(
            RecursionError, f"model='tower'.*{sys.getrecursionlimit():,} nest"
        ):
            with deep_chains.explained("tower"):
                deeper()

    def test_other_errors_pass(self):
        with self.assertRaises(KeyError), deep_chains.explained("tower"):
            raise KeyError


if __name__ == "__main__":
    absltest.main()
