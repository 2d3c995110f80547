"""`python -m tfprune`: the command `tfprune`."""

import sys

from tfprune.cli import program

if __name__ == "__main__":
    sys.exit(program.main())
