"""Preprocessing layers, whose outputs are frozen."""

from tfprune.graph import rulebook

LAYERS = (
    "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup "
    "MelSpectrogram STFTSpectrogram StringLookup TextVectorization "
    "AugMix AutoContrast CutMix Equalization MixUp RandAugment "
    "RandomColorDegeneration RandomColorJitter RandomElasticTransform "
    "RandomErasing RandomGaussianBlur RandomHue RandomInvert "
    "RandomPerspective RandomPosterization RandomSaturation RandomSharpness "
    "Solarization"
).split()


@rulebook.rule(*LAYERS)
def prepared(call):
    return call.freeze_all("preprocessed inputs")
