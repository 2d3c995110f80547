"""Measurements on the target: latency, accuracy of files, fit to a board.

In: files and models. Out: measurements on a runtime.
May import: every room but `cli`.
"""

from tfprune.deploy.core_cycles import Cycles
from tfprune.deploy.core_cycles import cycles
from tfprune.deploy.file_evaluation import evaluate_tflite
from tfprune.deploy.latency import LatencyTable
from tfprune.deploy.latency import latency_table
from tfprune.deploy.layer_errors import quantization_error
from tfprune.deploy.targeting import fit_target

__all__ = [
    "Cycles",
    "LatencyTable",
    "cycles",
    "evaluate_tflite",
    "fit_target",
    "latency_table",
    "quantization_error",
]
