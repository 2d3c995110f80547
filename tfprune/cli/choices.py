"""What the values of flags can be; by tools/write_choices.py."""

# criterion, paper, data, cost, year.
CRITERIA = (
    (
        "apoz",
        "Hu et al., Network Trimming",
        "inputs",
        "forward pass",
        "2016",
    ),
    (
        "fisher",
        "LeCun et al., Optimal Brain Damage",
        "inputs and labels",
        "forward and backward pass",
        "1989",
    ),
    (
        "geometric_median",
        "He et al., Filter Pruning via Geometric Median",
        "nothing",
        "weights",
        "2019",
    ),
    (
        "group_norm",
        "Fang et al., DepGraph: Towards Any Structural Pruning",
        "nothing",
        "weights",
        "2023",
    ),
    (
        "hrank",
        "Lin et al., HRank: Filter Pruning using High-Rank Feature Map",
        "inputs",
        "forward pass, SVD of every map",
        "2020",
    ),
    (
        "l1",
        "Li et al., Pruning Filters for Efficient ConvNets",
        "nothing",
        "weights",
        "2016",
    ),
    (
        "l1_greedy",
        "Li et al., Pruning Filters for Efficient ConvNets",
        "nothing",
        "weights",
        "2016",
    ),
    (
        "l2",
        "Li et al., Pruning Filters for Efficient ConvNets",
        "nothing",
        "weights",
        "2016",
    ),
    (
        "lamp",
        "Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning",
        "nothing",
        "weights",
        "2021",
    ),
    (
        "pcas",
        "Yamamoto and Maeno, Pruning Channels with Attention Statistics",
        "inputs and labels",
        "forward and backward pass",
        "2018",
    ),
    (
        "random",
        "Mittal et al., Recovering from Random Pruning",
        "nothing",
        "nothing",
        "2018",
    ),
    (
        "slimming",
        "Liu et al., Learning Efficient Convolutional Networks through Network"
        " Slimming",
        "nothing",
        "weights",
        "2017",
    ),
    (
        "synflow",
        "Tanaka et al., Pruning Neural Networks without any Data",
        "nothing",
        "one backward pass",
        "2020",
    ),
    (
        "taylor",
        "Molchanov et al., Importance Estimation for Neural Network Pruning",
        "inputs and labels",
        "forward and backward pass",
        "2019",
    ),
    (
        "thinet",
        "Luo et al., ThiNet: A Filter Level Pruning Method",
        "inputs",
        "forward pass",
        "2017",
    ),
    (
        "thinet_tpami",
        "Luo et al., ThiNet: A Filter Level Pruning Method",
        "inputs",
        "forward pass",
        "2017",
    ),
    (
        "wanda",
        "Sun et al., A Simple and Effective Pruning Approach for LLMs",
        "inputs",
        "forward pass",
        "2024",
    ),
)
STRATEGIES = (
    "amc",
    "bayesian",
    "deep",
    "evolution",
    "greedy",
    "one_plus_one",
    "random",
    "shallow",
    "uniform",
)
REWARDS = (
    "error",
    "flops",
    "params",
)
# Of each mode of quantization.
INTERFACES = {
    "float32": ("float32",),
    "float16": ("float32",),
    "dynamic": ("float32",),
    "int8": (
        "int8",
        "uint8",
        "float32",
    ),
    "int16x8": (
        "int16",
        "float32",
    ),
    "int4": ("int8",),
}
# Modes that measure ranges.
CALIBRATED = (
    "int8",
    "int16x8",
    "int4",
)
ACCELERATORS = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
)
TARGETS = (
    "cortex-m",
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m23",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "cortex-m52",
    "cortex-m55",
    "cortex-m85",
    "esp32-s3",
    "ethos-u55",
    "ethos-u65",
    "ethos-u85",
    "xnnpack",
)
# Of build tools, and the scales of dense layers that they read.
PROJECTS = {
    "cmake": "channel",
    "arduino": "tensor",
    "platformio": "tensor",
    "zephyr": "channel",
    "esp-idf": "channel",
    "stm32cube": "channel",
}
