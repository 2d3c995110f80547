"""What libraries of kernels do not run, or compute wrongly."""

import dataclasses

from absl import logging

from tfprune.core import cores
from tfprune.export.edit.replaced import esp_kernels
from tfprune.export.file import weight_ops
from tfprune.export.micro.arena import arena_need

_CONFIG = """\
#if defined(__has_include)
#if __has_include("sdkconfig.h")
#include "sdkconfig.h"
#endif
#endif
"""
_S3 = "defined(CONFIG_IDF_TARGET_ESP32S3)"


def for_esp(data, kernels, core, has_project):
    """The file as ESP-NN computes it rightly, where it may run.

    Args:
        data: `bytes` of the file.
        kernels, core: as for `export_micro`.
        has_project: `bool`, whether the folder has a project of ESP-IDF.

    Returns:
        `(bytes, text)`: the file, and C text that warns where it is compiled
        for a chip on which it would be computed wrongly.
    """
    core = None if core is None else cores.get(core)
    extension = cores.esp_extension(kernels, core)
    if has_project:
        extension = "vector"
    if extension:
        return esp_kernels.substituted(data, extension)[0], ""
    _, names = esp_kernels.substituted(data)
    if not names or kernels != "auto" or core is not None:
        return data, ""
    _, everywhere = esp_kernels.substituted(data, "plain")
    chips = "an ESP32" if everywhere else "an ESP32-S3"
    logging.warning(
        "On %s, ESP-NN would compute %d of the ops wrongly: %s. For this chip, "
        'pass the core, such as core="esp32-s3": they are rewritten then.',
        chips,
        len(names),
        ", ".join(names),
    )
    return data, (
        f"{_CONFIG}#if {arena_need.ESP if everywhere else _S3}\n"
        '#warning "ESP-NN computes this model wrongly: export it for the core."'
        "\n#endif\n\n"
    )


def runnable(need, data):
    """The need without kernels that cannot run the file.

    CMSIS-NN's dense kernel for int16 supports one scale for all channels.

    Args:
        need: `arena_need.Need`.
        data: `bytes` of the file.

    Raises:
        ValueError: If none is left.
    """
    wide = [
        name
        for name, dtype in weight_ops.channelwise_dense(data).items()
        if dtype == "int16"
    ]
    if not wide or "cmsis-nn" not in {key[0] for key in need.plans}:
        return need
    text = (
        "One scale for all channels is required by CMSIS-NN's dense kernel for "
        f"int16 activations. Received: one per channel in {', '.join(wide)}. "
        'Export with dense_scales="tensor".'
    )
    kept = {k: v for k, v in need.plans.items() if k[0] != "cmsis-nn"}
    if not kept:
        raise ValueError(text)
    logging.warning("The firmware runs only on the reference kernels. %s", text)
    return dataclasses.replace(need, plans=kept)
