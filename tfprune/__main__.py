"""`python -m tfprune`: the command `tfprune`."""

import sys

import tfprune_command

if __name__ == "__main__":
    sys.exit(tfprune_command.main())
