"""Parsers of flags: limits, shapes and ratios.

Each is its own serializer, by which a command line is written again.
"""

import math

from absl import flags


class Limit(flags.ArgumentParser):
    """Parses `0.5` or `50%`, the fraction to keep, or `20000`, a count.

    Args:
        least: `int`, the smallest count.
    """

    def __init__(self, least=1):
        self.least = least

    def parse(self, argument):
        try:
            if argument.endswith("%"):
                value = float(argument[:-1]) / 100
            elif argument.lstrip("+-").isdigit():
                value = int(argument)
            else:
                value = float(argument)
        except ValueError:
            value = math.nan
        whole = isinstance(value, int)
        if not (value >= self.least if whole else 0 < value <= 1):
            raise ValueError(
                "A fraction to keep of at most 1 (0.5 or 50%), or a count "
                "(20000), is required."
            )
        return value

    def serialize(self, value):
        return str(value)

    def flag_type(self):
        return "limit"


class Shapes(flags.ArgumentParser):
    """Parses `32,32,3`, or `32,32,3;10` for two inputs."""

    def parse(self, argument):
        parts = argument.split(";")
        try:
            shapes = [tuple(int(n) for n in part.split(",")) for part in parts]
        except ValueError as error:
            raise ValueError("Sizes like 32,32,3 are required.") from error
        if min(min(shape) for shape in shapes) < 1:
            raise ValueError("Positive sizes like 32,32,3 are required.")
        return shapes

    def serialize(self, value):
        return ";".join(",".join(map(str, shape)) for shape in value)

    def flag_type(self):
        return "shapes"


class Ratios(flags.ArgumentParser):
    """Parses `0.25,0.5`, fractions to remove, or a single one.

    Args:
        several: `bool`, whether there may be more than one.
    """

    def __init__(self, several):
        self._several = several

    def parse(self, argument):
        try:
            ratios = [float(text) for text in str(argument).split(",")]
        except ValueError:
            ratios = [math.nan]
        fit = all(0 <= ratio < 1 for ratio in ratios)
        if not fit or (len(ratios) > 1 and not self._several):
            wanted = "floats in [0, 1), like 0.25,0.5, are required"
            raise ValueError(
                f"Fractions to remove, {wanted}."
                if self._several
                else "A fraction to remove, a float in [0, 1), is required. "
                "To limit what remains, use --macs, --params or --channels."
            )
        return ratios if self._several else ratios[0]

    def serialize(self, value):
        return ",".join(map(str, value if self._several else [value]))

    def flag_type(self):
        return "ratio"
