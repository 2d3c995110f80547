"""Published budgets of pruned networks.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets",
ICLR 2017, https://arxiv.org/abs/1608.08710, table 1.
"""


def _stages(depth, ratios, skipped):
    """Ratios for the first convolution of each block of a CIFAR ResNet.

    The paper numbers layers: block `i`, from 0, begins with layer `2 (i + 1)`.
    """
    count = (depth - 2) // 6
    return {
        f"stage{i // count + 1}_block{i % count}_conv1": ratios[i // count]
        for i in range(3 * count)
        if 2 * (i + 1) not in skipped and ratios[i // count]
    }


# Maps a network of table 1 to the ratios for `tfprune.prune`: from layer names
# of `tfprune.zoo` to the fraction removed.
LI_ET_AL = {
    "vgg16_a": {f"conv{i}": 0.5 for i in (1, *range(8, 14))},
    "resnet56_a": _stages(56, (0.1, 0.1, 0.1), (16, 20, 38, 54)),
    "resnet56_b": _stages(56, (0.6, 0.3, 0.1), (16, 18, 20, 34, 38, 54)),
    "resnet110_a": _stages(110, (0.5, 0.0, 0.0), (36,)),
    "resnet110_b": _stages(110, (0.5, 0.4, 0.3), (36, 38, 74)),
}
