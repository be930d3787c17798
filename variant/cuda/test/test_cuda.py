"""CUDA's run-time library, as a program finds it."""

import ctypes
import os
import pathlib
import unittest


class RunTime(unittest.TestCase):
    def test_it_is_found_and_says_its_version(self) -> None:
        [real] = {path.resolve() for path in pathlib.Path("/usr/local/cuda/lib64").glob("libcudart.so.*")}
        name, _, version = real.name.partition(".so.")
        library = ctypes.CDLL(
            f"{name}.so.{version.split('.')[0]}"
        )  # as programs name it, found by the loader
        number = ctypes.c_int()
        self.assertEqual(library.cudaRuntimeGetVersion(ctypes.byref(number)), 0)
        self.assertGreaterEqual(number.value, 10000)  # 1000 a major version
        self.assertIn(str(real), pathlib.Path("/proc/self/maps").read_text())

    def test_the_container_runtime_is_asked_for_a_driver(self) -> None:
        self.assertEqual(os.environ["NVIDIA_VISIBLE_DEVICES"], "all")
        self.assertIn("compute", os.environ["NVIDIA_DRIVER_CAPABILITIES"])
        self.assertEqual(os.environ["PATH"].split(":")[0], "/usr/local/cuda/bin")


if __name__ == "__main__":
    unittest.main()
