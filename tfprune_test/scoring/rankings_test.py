import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.scoring import normalizers
from tfprune.scoring import rankings
from tfprune.selection import candidates as candidates_lib
from tfprune_test import graphs

# Inputs 0-1, layer a 2-5, layer b 6-11, output 12-13.
GRAPH = graphs.chain(2, 4, 6, 2)
SCORES = np.array([0, 0, 4, 1, 3, 2, 60, 10, 50, 20, 40, 30, 0, 0.0])


def order(ranking, graph=GRAPH, scores=SCORES):
    candidates = candidates_lib.Candidates(graph, scores)
    return rankings.order(candidates, ranking, normalizers.mean)


class OrderTest(parameterized.TestCase):
    def test_across_groups_by_the_normalized_score(self):
        counts_at, most = order("global")
        self.assertEqual(most, 10)
        # Over 2.5 and 35, a has .4, .8, 1.2, 1.6 and b .29, .57, .86, 1.14,
        # 1.43, 1.71.
        self.assertEqual(
            [counts_at(removed) for removed in range(11)],
            [
                *([4, 6], [4, 5], [3, 5], [3, 4], [2, 4], [2, 3]),
                *([2, 2], [1, 2], [1, 1], [0, 1], [0, 0]),
            ],
        )

    def test_raw_takes_the_scores_as_they_are(self):
        counts_at, most = order("raw")
        self.assertEqual(most, 10)
        self.assertEqual(counts_at(4), [0, 6])
        self.assertEqual(counts_at(5), [0, 5])

    def test_the_same_share_of_each_group(self):
        counts_at, most = order("group")
        found = [tuple(counts_at(step)) for step in range(most + 1)]
        self.assertEqual(found[0], (4, 6))
        self.assertEqual(found[most // 2], (2, 3))
        self.assertEqual(found[most], (0, 0))
        # Every pair that some share gives is met, and in order.
        shares = np.linspace(0, 1, 10_001)
        expected = {
            (int(4 * (1 - s) + 1e-9), int(6 * (1 - s) + 1e-9)) for s in shares
        }
        self.assertEqual(set(found), expected)
        self.assertEqual(found, sorted(found, reverse=True))

    @parameterized.parameters("global", "group", "raw")
    def test_without_candidates_nothing_goes(self, ranking):
        counts_at, most = order(ranking, graphs.chain(2, 3), np.ones(5))
        self.assertEqual(counts_at(most), [])

    def test_an_unknown_ranking(self):
        with self.assertRaisesRegex(
            ValueError, r"\['global', 'group', 'raw'\]. Received: ranking=None"
        ):
            order(None)


class FewestTest(absltest.TestCase):
    def test_each_threshold_is_found(self):
        for most in range(20):
            for least in range(most + 1):
                found = rankings.fewest(lambda n, k=least: n >= k, most)
                self.assertEqual(found, least)

    def test_it_asks_a_logarithmic_number_of_times(self):
        asked = []
        rankings.fewest(lambda n: asked.append(n) or n >= 777, 10**6)
        self.assertLessEqual(len(asked), 20)


if __name__ == "__main__":
    absltest.main()
