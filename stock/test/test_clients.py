"""Elements and clients in the shape of Atom's own: in Python, C and C++, with a Redis server between them."""

import pathlib
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import HERE, RedisTest, out

CXX = "/usr/bin/c++"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
#: What client_test.cpp expects and writes.
READING = {"sensor": "grüß", "values": {"x": 0.1, "y": -2.0}, "number": 7}


def element(socket: str) -> None:
    """Answer one command: the stream "command" names an operation, and a stream for the result."""
    import msgpack
    import numpy
    import pyarrow
    import redis

    server = redis.StrictRedis(unix_socket_path=socket)
    [(_, [(_, fields)])] = server.xread({"command": "0"}, block=60_000, count=1)
    command = msgpack.unpackb(fields[b"data"], raw=False)
    picture = pyarrow.ipc.read_tensor(pyarrow.py_buffer(fields[b"picture"])).to_numpy()
    result = getattr(numpy, command["operation"])(picture, axis=tuple(command["axes"]))
    server.xadd(command["answer"], {"data": msgpack.packb(result.tolist(), use_bin_type=True)}, maxlen=10)


class PythonElement(RedisTest):
    def test_answers_a_command(self) -> None:
        import msgpack
        import numpy
        import pyarrow
        import redis

        picture = numpy.arange(480 * 640 * 3, dtype=numpy.uint32).reshape(480, 640, 3)
        sink = pyarrow.BufferOutputStream()
        pyarrow.ipc.write_tensor(pyarrow.Tensor.from_numpy(picture), sink)
        command = {"operation": "amax", "axes": [0, 1], "answer": "answer"}
        with ThreadPoolExecutor() as threads:
            answered = threads.submit(element, self.socket)
            client = redis.StrictRedis(unix_socket_path=self.socket)
            packed = msgpack.packb(command, use_bin_type=True)
            client.xadd("command", {"data": packed, "picture": sink.getvalue().to_pybytes()})
            answered.result(timeout=60)
        [(_, fields)] = client.xrevrange("answer", count=1)
        self.assertEqual(msgpack.unpackb(fields[b"data"]), [480 * 640 * 3 - n for n in (3, 2, 1)])

    def test_writes_tables(self) -> None:
        import pyarrow
        import redis

        table = pyarrow.table({"x": [0.1, None, -2.0], "label": ["a", "grüß", None]})
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        client = redis.StrictRedis(unix_socket_path=self.socket)
        with client.pipeline() as pipeline:
            for _ in range(3):
                pipeline.xadd("tables", {"data": sink.getvalue().to_pybytes()}, maxlen=2, approximate=False)
            pipeline.execute()
        entries = client.xrange("tables")
        self.assertEqual(len(entries), 2)
        for _, fields in entries:
            self.assertEqual(pyarrow.ipc.open_stream(fields[b"data"]).read_all(), table)

    def test_types_of_newer_pythons(self) -> None:
        from typing_extensions import TypedDict

        class Entry(TypedDict, closed=True):
            data: bytes

        self.assertTrue(Entry.__closed__)


class Library(RedisTest):
    def test_in_c(self) -> None:
        self.assertEqual(out("element_test", self.socket), b"element OK\n")


def compiled(program: str, source: str, *words: str, compiler: str = CXX) -> str:
    """Compile a file of ``clients`` in the image. A warning is an error. Return the program's path."""
    clients = HERE / "clients"
    out(compiler, *WARNINGS, f"-I{clients}", "-o", program, str(clients / source), *words)
    return program


@unittest.skipUnless(pathlib.Path(CXX).exists(), "this image has no compiler")
class ClientInCxx(RedisTest):
    def test_on_a_library_in_c(self) -> None:
        import msgpack
        import redis

        at = self.folder.name
        flags = ("-shared", "-fPIC", "-lhiredis", "-lpthread")
        compiled(f"{at}/libelement.so", "element.c", *flags, compiler="/usr/bin/cc")
        libraries = ("-lelement", "-lhiredis", "-lpthread", "-lgtest", "-lgtest_main")
        client = compiled(
            f"{at}/client", "client_test.cpp", "-std=c++17", f"-L{at}", f"-Wl,-rpath,{at}", *libraries
        )
        server = redis.StrictRedis(unix_socket_path=self.socket)
        server.xadd("from-python", {"data": msgpack.packb(READING)})
        self.assertIn(b"[  PASSED  ] 3 tests.", out(client, SOCKET=self.socket))
        [(_, fields)] = server.xrange("from-cxx")
        self.assertEqual(msgpack.unpackb(fields[b"data"]), READING)


@unittest.skipUnless(pathlib.Path(CXX).exists(), "this image has no compiler")
class MessagePackForCxx(unittest.TestCase):
    """Its header needs no flag and no Boost. pkg-config and CMake give the same."""

    def setUp(self) -> None:
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def assert_packs(self, program: str) -> None:
        import msgpack

        self.assertEqual(msgpack.unpackb(out(program)), {"a": [1, -1, 300], "b": []})

    def test_include(self) -> None:
        of_pkg_config = out("/usr/bin/pkg-config", "--cflags", "--libs", "msgpack-cxx").decode().split()
        for flags in ([], of_pkg_config, ["-DMSGPACK_NO_BOOST"]):
            with self.subTest(flags=flags):
                self.assert_packs(compiled(f"{self.folder}/include", "include.cpp", "-std=c++17", *flags))

    def test_cmake(self) -> None:
        out("/usr/bin/cmake", "-S", str(HERE / "clients"), "-B", self.folder)
        out("/usr/bin/cmake", "--build", self.folder)
        self.assert_packs(f"{self.folder}/include")

    def test_boost_is_for_those_who_ask(self) -> None:
        for flags in (["-DMSGPACK_USE_BOOST"], ["-DMSGPACK_NO_BOOST", "-DMSGPACK_USE_BOOST"]):
            with self.assertRaisesRegex(AssertionError, "boost/.*No such file"):
                compiled(f"{self.folder}/text", "include.cpp", "-E", *flags)


if __name__ == "__main__":
    unittest.main()
