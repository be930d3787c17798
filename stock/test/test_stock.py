"""Every part of the image put to use, and the parts together; with the Python of the image and no more."""

import pathlib
import sys
import tempfile
import unittest
from fractions import Fraction

from harness import RedisTest, out

#: Whether the image has a package manager; without one it is a production image.
PACKAGES = pathlib.Path("/usr/bin/dpkg").exists()


class Python(unittest.TestCase):
    def test_is_the_virtual_environment(self) -> None:
        self.assertEqual(sys.prefix, "/opt/venv")
        self.assertEqual(sys.version_info[:2], (3, 13))

    @unittest.skipUnless(PACKAGES, "a production image has no tools")
    def test_tools(self) -> None:
        for tool in ("pip", "cython"):
            self.assertTrue(out(f"/opt/venv/bin/{tool}", "--version"))

    @unittest.skipUnless(PACKAGES, "a production image has no tools")
    def test_packages_fit_together(self) -> None:
        self.assertIn(b"No broken requirements", out("/opt/venv/bin/pip", "check"))


class LinearAlgebra(unittest.TestCase):
    """Results known from exact arithmetic; every BLAS comes within 1e-9 of them, relative to the largest."""

    TOLERANCE = 1e-9

    def test_c(self) -> None:
        error, residual = map(float, out("linear").split())
        self.assertLess(error, self.TOLERANCE)
        self.assertLess(residual, self.TOLERANCE)

    def test_product(self) -> None:
        import numpy

        for kind, tolerance in ((numpy.float32, 1e-4), (numpy.float64, self.TOLERANCE)):
            # large enough for every kernel and for several threads
            a = ((numpy.arange(257 * 301) % 17) - 8).reshape(257, 301).astype(kind)
            b = ((numpy.arange(301 * 129) % 13) - 6).reshape(301, 129).astype(kind)
            exact = a.astype(int) @ b.astype(int)  # integers do not go through BLAS
            self.assertLess(abs(a @ b - exact).max(), tolerance * abs(exact).max())

    def test_solution_of_a_hilbert_matrix(self) -> None:
        import numpy

        n = 6
        hilbert = [[Fraction(1, i + j + 1) for j in range(n)] for i in range(n)]
        right = [sum(row) for row in hilbert]  # the solution is all ones
        x = numpy.linalg.solve(numpy.array(hilbert, dtype=float), numpy.array(right, dtype=float))
        self.assertLess(abs(x - 1).max(), 1e-8)  # its condition is 1.5e7

    def test_decompositions(self) -> None:
        import numpy

        # second differences: the eigenvalues are 2 - 2 cos(k pi / (n + 1))
        n = 80
        a = 2 * numpy.eye(n) - numpy.eye(n, k=1) - numpy.eye(n, k=-1)
        known = 2 - 2 * numpy.cos(numpy.arange(1, n + 1) * numpy.pi / (n + 1))
        self.assertLess(abs(numpy.linalg.eigvalsh(a) - known).max(), self.TOLERANCE)
        self.assertLess(abs(numpy.sort(numpy.linalg.eigvals(a).real) - known).max(), self.TOLERANCE)
        u, s, v = numpy.linalg.svd(a)
        self.assertLess(abs(s - known[::-1]).max(), self.TOLERANCE)
        self.assertLess(abs((u * s) @ v - a).max(), self.TOLERANCE)
        self.assertLess(abs(numpy.linalg.det(a[:10, :10]) - 11), self.TOLERANCE)  # n + 1
        factor = numpy.linalg.cholesky(a)
        self.assertLess(abs(factor @ factor.T - a).max(), self.TOLERANCE)

    def test_numpy_uses_the_image_s_blas(self) -> None:
        import numpy

        numpy.linalg.solve(numpy.eye(3), numpy.ones(3))
        mapped = pathlib.Path("/proc/self/maps").read_text()
        for library in ("libblas.so.3", "liblapack.so.3"):
            self.assertIn(f"/usr/local/lib/{library}", mapped)
        config = numpy.show_config(mode="dicts")["Build Dependencies"]
        self.assertEqual((config["blas"]["name"], config["lapack"]["name"]), ("blas", "lapack"))


class Arrow(unittest.TestCase):
    TOTAL = sum(i for i in range(1000) if i % 10)

    def test_from_c_to_python(self) -> None:
        import pyarrow
        import pyarrow.parquet

        with tempfile.TemporaryDirectory() as folder:
            out("table", "write", f"{folder}/stream")
            with pyarrow.ipc.open_stream(f"{folder}/stream") as reader:
                table = reader.read_all()
            out("table", "parquet", f"{folder}/parquet")
            self.assertEqual(pyarrow.parquet.read_table(f"{folder}/parquet"), table)
        self.assertEqual(pyarrow.compute.sum(table["n"]).as_py(), self.TOTAL)
        self.assertEqual(table["n"].null_count, 100)

    def test_from_python_to_c(self) -> None:
        import pyarrow

        table = pyarrow.table({"n": [1, None, 41], "s": ["grüß", "b", "c"]})
        with tempfile.TemporaryDirectory() as folder:
            with (
                pyarrow.OSFile(f"{folder}/stream", "wb") as sink,
                pyarrow.ipc.new_stream(sink, table.schema) as writer,
            ):
                writer.write_table(table)
            self.assertEqual(out("table", "sum", f"{folder}/stream").decode(), "42 grüß\n")

    def test_shares_memory_with_numpy(self) -> None:
        import numpy
        import pyarrow

        array = pyarrow.array(numpy.arange(10.0))
        self.assertEqual(array.to_numpy(zero_copy_only=True).sum(), 45)

    def test_there_is_one(self) -> None:
        import pyarrow  # noqa: F401

        mapped = pathlib.Path("/proc/self/maps").read_text()
        loaded = {line.split()[-1] for line in mapped.splitlines() if "/libarrow.so" in line}
        self.assertEqual(len(loaded), 1)
        self.assertTrue(loaded.pop().startswith("/usr/local/lib/"))


class Redis(RedisTest):
    def test_stream_from_python_through_c(self) -> None:
        import redis

        client = redis.Redis(unix_socket_path=self.socket)
        self.assertTrue(client.ping())
        for n in range(1, 101):
            client.xadd("in", {"n": n})
        self.assertEqual(out("stream", self.socket, "in", "out"), b"100\n")
        self.assertEqual(sum(int(fields[b"n"]) for _, fields in client.xrange("out")), 2 * 5050)

    def test_parser_is_the_fast_one(self) -> None:
        import redis

        connection = redis.Connection()
        self.assertIn("Hiredis", type(connection._parser).__name__)

    def test_client(self) -> None:
        self.assertEqual(out("/usr/local/bin/redis-cli", "-s", self.socket, "ping"), b"PONG\n")


class MessagePack(unittest.TestCase):
    def test_from_c_to_python(self) -> None:
        import msgpack

        expected = {"text": "grüß", "list": [-1, 2**64 - 1, 0.1], "bytes": b"\0\1\2"}
        self.assertEqual(msgpack.unpackb(out("pack")), expected)

    def test_from_python_to_c(self) -> None:
        import msgpack

        self.assertEqual(out("pack", "-", stdin=msgpack.packb([1, -2, 2**40])), b"%d\n" % (2**40 - 1))


if __name__ == "__main__":
    unittest.main()
