"""Runs pytest on the files named; the `main` of the py_test targets."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
