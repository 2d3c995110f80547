"""Networks in PyTorch, and their pruning by Torch-Pruning, timed.

Run by `compare_torch.py` with a Python that has torch and torch-pruning. Does
not import tfprune.

  python benchmarks/torch_networks.py ResNet-50 5
"""

import copy
import importlib.metadata
import json
import sys
import time

import torch
import torch_pruning
from torch import nn


def norm_relu(channels):
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            norm_relu(width),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            norm_relu(width),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.short = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x):
        return torch.relu(self.branch(x) + self.short(x))


def resnet50():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm_relu(64)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for i in range(blocks):
            stride = 2 if stage and not i else 1
            layers.append(Bottleneck(inputs, width, stride))
            inputs = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return nn.Sequential(*layers)


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.branch = nn.Sequential(
            norm_relu(inputs),
            nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            norm_relu(4 * growth),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x):
        return torch.cat([x, self.branch(x)], 1)


def densenet121(growth=32):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm_relu(64)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for stage, blocks in enumerate((6, 12, 24, 16)):
        for _ in range(blocks):
            layers.append(DenseLayer(inputs, growth))
            inputs += growth
        if stage < 3:
            half = nn.Conv2d(inputs, inputs // 2, 1, bias=False)
            layers += [norm_relu(inputs), half, nn.AvgPool2d(2)]
            inputs //= 2
    layers += [norm_relu(inputs), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(inputs, 1000))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, steps, width = x.shape
        qkv = self.qkv(x).reshape(
            batch, steps, 3, self.heads, width // self.heads
        )
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(x.transpose(1, 2).reshape(batch, steps, width))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class ViT(nn.Module):
    def __init__(self, width=192, heads=3, blocks=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.place = nn.Parameter(torch.zeros(1, 196, width))
        self.blocks = nn.Sequential(
            *[TransformerBlock(width, heads) for _ in range(blocks)]
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1000)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.blocks(x)).mean(1))


class ShuffleUnit(nn.Module):
    """The unit of ShuffleNetV2: half of the channels pass, then all shuffle."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1, bias=False),
            norm_relu(half),
            nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False),
            norm_relu(half),
        )

    def forward(self, x):
        a, b = x.chunk(2, 1)
        x = torch.cat([a, self.branch(b)], 1)
        batch, channels, rows, columns = x.shape
        x = x.reshape(batch, 2, channels // 2, rows, columns)
        return x.transpose(1, 2).reshape(batch, channels, rows, columns)


def shufflenet():
    layers = [nn.Conv2d(3, 24, 3, 2, 1, bias=False), norm_relu(24)]
    inputs = 24
    for channels, units in ((116, 3), (232, 7), (464, 3)):
        layers += [nn.Conv2d(inputs, channels, 3, 2, 1), norm_relu(channels)]
        layers += [ShuffleUnit(channels) for _ in range(units)]
        inputs = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return nn.Sequential(*layers)


NETWORKS = {
    "ResNet-50": resnet50,
    "DenseNet-121": densenet121,
    "ViT-Ti/16": ViT,
    "ShuffleNetV2": shufflenet,
}


def prune(model, ratio=0.5):
    """CPU seconds of analysis, ranking and removal, which is in place."""
    example = torch.zeros(1, 3, 224, 224)
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    start = time.process_time()
    pruner = torch_pruning.pruner.MagnitudePruner(
        model,
        example,
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=ratio,
        ignored_layers=[last],
    )
    pruner.step()
    return time.process_time() - start


def prune_to(model, left=0.5, steps=400):
    """CPU seconds to reach a share of the multiply-adds, and the steps taken.

    As in its authors' scripts: one ranking over all layers, and small steps,
    after each of which the multiply-adds are counted.
    """
    example = torch.zeros(1, 3, 224, 224)
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    start = time.process_time()
    pruner = torch_pruning.pruner.MagnitudePruner(
        model,
        example,
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=steps,
        ignored_layers=[last],
    )
    count = torch_pruning.utils.count_ops_and_params
    dense, _ = count(model, example)
    taken = 0
    while count(model, example)[0] > left * dense:
        pruner.step()
        taken += 1
    return time.process_time() - start, taken


def measure(name, rounds):
    torch.set_num_threads(1)
    model = NETWORKS[name]().eval()
    params = sum(p.numel() for p in model.parameters())
    found = {"params": params, "torch": torch.__version__}
    found["torch_pruning"] = importlib.metadata.version("torch-pruning")
    try:
        times = []
        for _ in range(rounds + 1):
            small = copy.deepcopy(model)
            times.append(prune(small))
        found["left"] = sum(p.numel() for p in small.parameters())
        found["seconds"] = times[1:]
        with torch.no_grad():
            small(torch.zeros(1, 3, 224, 224))
        found["budget_seconds"], found["steps"] = prune_to(model)
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        found["error"] = f"{type(error).__name__}: {text[0][:120]}"
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
