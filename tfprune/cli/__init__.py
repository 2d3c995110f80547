"""The command line: `tfprune inspect|prune|strip|export|compare|...`."""

from tfprune.cli.program import main
