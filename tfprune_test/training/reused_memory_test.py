import subprocess
import sys
from unittest import mock

import keras
import pytest
from absl.testing import absltest

from tfprune.training import reused_memory

# Frees and takes a large block, as each training step does, and counts pages.
_CHILD = """
import ctypes, resource, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        block = libc.malloc(8 << 20)
        ctypes.memset(block, 1, 8 << 20)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

import tensorflow as tf
from tfprune.training import reused_memory
reused_memory._begin_generators()
before = faults()
found = reused_memory.reuse_memory()
faults()
print(found, before, faults())
"""


class ReusedMemoryTest(absltest.TestCase):
    @pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
    @pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="of TensorFlow"
    )
    def test_steps_no_longer_ask_the_system(self):
        done = subprocess.run(
            [sys.executable, "-c", _CHILD],
            capture_output=True,
            text=True,
            check=True,
        )
        found, before, after = done.stdout.split()
        self.assertEqual(found, "True")
        self.assertLess(int(after), max(100, int(before) // 5))

    def test_elsewhere_nothing_is_set(self):
        reused_memory.reuse_memory.cache_clear()
        self.addCleanup(reused_memory.reuse_memory.cache_clear)
        with mock.patch.object(sys, "platform", "darwin"):
            self.assertFalse(reused_memory.reuse_memory())


if __name__ == "__main__":
    absltest.main()
