"""Networks in the wild, built small and without weights.

Those of `keras.applications`, and backbones of KerasHub where that is
installed (it is not needed: `make test-hub` sets it up).
"""

import importlib
import importlib.util

import keras

APPLICATIONS = tuple(
    name
    for name in sorted(dir(keras.applications))
    if callable(getattr(keras.applications, name))
)
# The smallest images that they take, where it is not 32 x 32.
SIZES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
HAS_HUB = importlib.util.find_spec("keras_hub") is not None


def application(name):
    """A network of `keras.applications` for 7 classes."""
    size = SIZES.get(name, 32)
    constructor = getattr(keras.applications, name)
    return constructor(
        weights=None,
        input_shape=(size, size, 3),
        classes=7,
        classifier_activation=None,  # It would hide differences.
    )


def backbone(name):
    """A backbone of KerasHub, of few blocks and channels.

    Args:
        name: `str`, one of `BACKBONES`.
    """
    return BACKBONES[name](importlib.import_module("keras_hub").models)


WORDS = {
    "vocabulary_size": 50,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "max_sequence_length": 64,
}


def gpt2(models):
    """For texts of one length: its causal mask is made of numbers."""
    model = models.GPT2Backbone(**WORDS)
    inputs = {
        name: keras.Input((12,), dtype="int32", name=name)
        for name in model.input
    }
    return keras.Model(inputs, model(inputs))


def vit(models):
    return models.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=(8, 8),
        num_layers=2,
        num_heads=4,
        hidden_dim=16,
        mlp_dim=32,
    )


def mit(models):
    return models.MiTBackbone(
        image_shape=(64, 64, 3),
        layerwise_depths=[1, 1, 1, 1],
        num_layers=4,
        hidden_dims=[8, 12, 16, 24],
        layerwise_num_heads=[1, 1, 2, 2],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.0,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
    )


def segformer(models):
    return models.SegFormerBackbone(
        image_encoder=mit(models), projection_filters=16
    )


def csp_darknet(models):
    return models.CSPNetBackbone(
        stem_filters=32,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_num_filters=[32, 64],
        stage_type="csp",
        block_type="dark_block",
        bottle_ratio=[0.5, 1.0],
        block_ratio=[1.0, 0.5],
        expand_ratio=[2.0, 1.0],
        image_shape=(64, 64, 3),
    )


def resnet(models, size=64):
    return models.ResNetBackbone(
        input_conv_filters=[8],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 16, 16, 16],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=(size, size, 3),
    )


def efficientnet(models):
    return models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 3,
        stackwise_depth_coefficients=[1.0] * 3,
        stackwise_kernel_sizes=[3, 3, 5],
        stackwise_num_repeats=[1, 2, 1],
        stackwise_input_filters=[32, 16, 24],
        stackwise_output_filters=[16, 24, 40],
        stackwise_expansion_ratios=[1, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0.25] * 3,
        stackwise_strides=[1, 2, 2],
        stackwise_block_types=["v1"] * 3,
        stackwise_force_input_filters=[0] * 3,
        stackwise_nores_option=[False] * 3,
        image_shape=(64, 64, 3),
    )


def densenet(models):
    return models.DenseNetBackbone(
        stackwise_num_repeats=[2, 3],
        compression_ratio=0.5,
        growth_rate=8,
        image_shape=(32, 32, 3),
    )


def mobilenet(models):
    return models.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[16, 16], [24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu"] * 2, ["hard_swish"] * 2],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=144,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=64,
        squeeze_and_excite=0.5,
        image_shape=(64, 64, 3),
    )


def retinanet(models):
    return models.RetinaNetBackbone(
        image_encoder=resnet(models, 128),
        min_level=3,
        max_level=5,
        use_p5=False,
        image_shape=(128, 128, 3),
    )


BACKBONES = {
    "BERT": lambda models: models.BertBackbone(**WORDS),
    "DistilBERT": lambda models: models.DistilBertBackbone(**WORDS),
    "GPT-2": gpt2,
    "ViT": vit,
    "MiT": mit,
    "SegFormer": segformer,
    "CSPDarkNet": csp_darknet,
    "ResNet": resnet,
    "EfficientNet": efficientnet,
    "DenseNet": densenet,
    "MobileNet": mobilenet,
    "RetinaNet": retinanet,
}
TRANSFORMERS = ("BERT", "DistilBERT", "GPT-2", "ViT", "MiT", "SegFormer")
