"""Training on one device, which the other engines must agree with."""

import sys

from tfprune_test.engines import common

net = common.model(sys.argv[1])
common.fit(net)
common.report(net)
