"""How large the cell states of fused LSTM layers are, over all steps.

The calibrator sees them only after the last step.
"""

import pathlib

from tfprune.export.convert import converter
from tfprune.export.convert.ranges import observed
from tfprune.export.convert.traced import fused_lstm


def measured(folder, manifest, samples):
    """What the ops of layers take from them, for `lstm_layers.fitted`.

    Args:
        folder: of the graph and its weights.
        manifest: `dict`, as of `graph_file.write`, with `lstms`, as of
            `fused_lstm.largest`.
        samples: list of arrays, the calibration data of each input.

    Returns:
        List of `(path, largest, cell)`.
    """
    if not manifest["lstms"]:
        return []
    import tensorflow as tf

    path = pathlib.Path(folder, converter.GRAPH)
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    functions = {
        function.signature.name: function.attr[fused_lstm.IMPLEMENTS].s
        for function in graph.library.function
        if fused_lstm.IMPLEMENTS in function.attr
    }
    calls = {
        f"{node.name}:{fused_lstm.CELLS}": functions[node.attr["f"].func.name]
        for node in graph.node
        if node.attr["f"].func.name in functions
    }
    found = observed.seen(folder, manifest, samples, list(calls))
    cells = dict.fromkeys(functions.values(), 0.0)
    for name, own in calls.items():
        cells[own] = max(cells[own], found[name].largest)
    return [
        (path, weights, cells[own.encode()])
        for path, own, weights in manifest["lstms"]
    ]
