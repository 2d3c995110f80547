"""Dense layers."""

import math

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import activation


@rulebook.rule("Dense")
def dense(call):
    inputs = call.channels(-1)
    outputs = call.fresh(call.config["units"])
    call.gain("kernel")
    reading = {"input_axis": -1, "patches": "pointwise"}
    call.bind("kernel", 0, inputs, call_lib.READS, **reading)
    call.bind("kernel", 1, outputs, call_lib.WRITES)
    call.bind("bias", 0, outputs)
    call.count("units", outputs)
    rows = math.prod(1 if n is None else n for n in call.x.shape[1:-1])
    call.multiply_adds(rows, inputs, outputs)
    labels = call.spread(outputs, -1)
    made = call.made(labels)
    call.file.op(file_op.DENSE, call.x, made=made, work=tuple(call.work[-1:]))
    return activation.activate(call, labels)
