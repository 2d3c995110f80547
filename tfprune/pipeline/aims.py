"""What a search aims at, so that the file that is measured meets the limits."""

from tfprune.pipeline import channel_choice
from tfprune.pipeline.result import measured


class Aims:
    """Limits for predictions, from limits for files.

    A search predicts the costs of a network. Its file may be larger: by as
    much as the last file that was measured, or, where that leaves less than
    any network has, by the same factor, but not less than the smallest has, as
    its file may be smaller than predicted. What firmware leaves out of a file,
    such as its names, does not count.

    Args:
        numbers: `dict`, the costs of the dense network, predicted and, with a
            file, measured.
    """

    def __init__(self, numbers):
        self._seen = {}
        self.learn(numbers)

    def __bool__(self):
        """Whether files are measured at all."""
        return bool(self._seen)

    def learn(self, numbers):
        """Notes the costs of a network, predicted and measured."""
        for limit, key in measured.OF_LIMITS.items():
            if key in numbers:
                guess, real = numbers[measured.PREDICTED[limit]], numbers[key]
                left_out = 0
                if limit != "ram_bytes" and measured.FILE in numbers:
                    left_out = numbers[measured.FILE] - numbers[measured.FLASH]
                self._seen[limit] = guess, real, left_out

    def of(self, ceilings, least):
        """The limits for a search.

        Args:
            ceilings: `dict` from limits to numbers, for what is measured.
            least: `dict` from limits to the smallest cost that pruning can
                reach, as predicted.

        Returns:
            `dict` from limits to numbers.
        """
        found = {}
        for limit, ceiling in ceilings.items():
            aim = ceiling
            if limit in self._seen:
                guess, real, left_out = self._seen[limit]
                most = ceiling + left_out
                aim = most - max(0, real + left_out - guess)
                if aim < least[limit]:
                    aim = max(least[limit], ceiling * guess / real)
                aim = max(least[limit], min(aim, most))
            found[limit] = channel_choice.whole(limit, aim)
        return found

    def lower(self, aims, ceilings, least, over):
        """Lower limits than some that were not low enough.

        Args:
            aims: `dict`, the limits so far.
            ceilings, least: as for `of`.
            over: `dict` from the limits that the file exceeds to the excess.

        Returns:
            `dict` from limits to numbers.

        Raises:
            ValueError: If the smallest network exceeds a limit.
        """
        fresh = self.of(ceilings, least)
        for limit in over:
            if aims[limit] <= least[limit]:
                raise measured.out_of_reach(
                    limit, ceilings[limit], ceilings[limit] + over[limit]
                )
            fresh[limit] = min(fresh[limit], aims[limit] - 1)
        return {
            limit: channel_choice.whole(limit, min(aim, aims[limit]))
            for limit, aim in fresh.items()
        }
