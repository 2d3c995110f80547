"""`python -m tfprune.cli`, where the script is not on the path."""

import sys

from tfprune.cli import program

if __name__ == "__main__":
    sys.exit(program.main())
