"""Triangles drawn off screen, by GLES 2 with shaders and by desktop OpenGL without, pixel by pixel."""

import ctypes
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIZE = 64
RED, BLACK = (255, 0, 0, 255), (0, 0, 0, 255)
# the lower left half: corners in the coordinates of the screen, which go from -1 to 1
TRIANGLE = (-1.0, -1.0, 1.0, -1.0, -1.0, 1.0)

PLATFORM_SURFACELESS = 0x31DD
OPENGL_ES_API, OPENGL_API = 0x30A0, 0x30A2
OPENGL_ES2_BIT, OPENGL_BIT = 0x0004, 0x0008
NONE, SURFACE_TYPE, PBUFFER_BIT, RENDERABLE_TYPE = 0x3038, 0x3033, 0x0001, 0x3040
RED_SIZE, GREEN_SIZE, BLUE_SIZE, ALPHA_SIZE = 0x3024, 0x3023, 0x3022, 0x3021
WIDTH, HEIGHT, CONTEXT_CLIENT_VERSION = 0x3057, 0x3056, 0x3098
VERTEX_SHADER, FRAGMENT_SHADER, COMPILE_STATUS, LINK_STATUS = 0x8B31, 0x8B30, 0x8B81, 0x8B82
COLOR_BUFFER_BIT, TRIANGLES, FLOAT, RGBA, UNSIGNED_BYTE, RENDERER = (
    0x4000,
    0x0004,
    0x1406,
    0x1908,
    0x1401,
    0x1F01,
)

VERTEX = b"attribute vec2 at; void main() { gl_Position = vec4(at, 0.0, 1.0); }"
FRAGMENT = b"precision mediump float; void main() { gl_FragColor = vec4(1.0, 0.0, 0.0, 1.0); }"


def attributes(*values: int) -> ctypes.Array[ctypes.c_int]:
    return (ctypes.c_int * (len(values) + 1))(*values, NONE)


def egl() -> ctypes.CDLL:
    """libEGL with the types of what is used of it."""
    lib = ctypes.CDLL("libEGL.so.1")
    pointer = ctypes.c_void_p
    for name, result, *arguments in (
        ("eglGetPlatformDisplay", pointer, ctypes.c_uint, pointer, pointer),
        ("eglInitialize", ctypes.c_uint, pointer, pointer, pointer),
        ("eglTerminate", ctypes.c_uint, pointer),
        ("eglBindAPI", ctypes.c_uint, ctypes.c_uint),
        ("eglChooseConfig", ctypes.c_uint, pointer, pointer, pointer, ctypes.c_int, pointer),
        ("eglCreatePbufferSurface", pointer, pointer, pointer, pointer),
        ("eglCreateContext", pointer, pointer, pointer, pointer, pointer),
        ("eglMakeCurrent", ctypes.c_uint, pointer, pointer, pointer, pointer),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


@contextmanager
def context(api: int, renderable: int, *options: int) -> Iterator[None]:
    """A drawing surface of SIZE by SIZE that no screen shows, current in this thread."""
    lib = egl()
    display = lib.eglGetPlatformDisplay(PLATFORM_SURFACELESS, None, None)
    assert display and lib.eglInitialize(display, None, None), "EGL does not start"
    try:
        assert lib.eglBindAPI(api), "EGL has no such API"
        config, count = ctypes.c_void_p(), ctypes.c_int()
        wanted = attributes(
            SURFACE_TYPE, PBUFFER_BIT, RENDERABLE_TYPE, renderable,
            RED_SIZE, 8, GREEN_SIZE, 8, BLUE_SIZE, 8, ALPHA_SIZE, 8,
        )  # fmt: skip
        assert lib.eglChooseConfig(display, wanted, ctypes.byref(config), 1, ctypes.byref(count))
        assert count.value == 1, "EGL draws nothing off screen"
        surface = lib.eglCreatePbufferSurface(display, config, attributes(WIDTH, SIZE, HEIGHT, SIZE))
        made = lib.eglCreateContext(display, config, None, attributes(*options))
        assert surface and made and lib.eglMakeCurrent(display, surface, surface, made)
        yield
    finally:
        lib.eglMakeCurrent(display, None, None, None)
        lib.eglTerminate(display)


def pixels(gl: ctypes.CDLL) -> Callable[[int, int], tuple[int, ...]]:
    """What was drawn: the colour at a place, counted from the lower left."""
    data = (ctypes.c_ubyte * (SIZE * SIZE * 4))()
    gl.glReadPixels(0, 0, SIZE, SIZE, RGBA, UNSIGNED_BYTE, data)
    assert gl.glGetError() == 0
    return lambda x, y: tuple(data[4 * (y * SIZE + x) : 4 * (y * SIZE + x) + 4])


class Triangle(unittest.TestCase):
    def check(self, gl: ctypes.CDLL) -> None:
        at = pixels(gl)
        for y in range(SIZE):
            for x in range(SIZE):
                if abs(x + y - (SIZE - 1)) > 1:  # on the edge itself renderers may differ
                    self.assertEqual(at(x, y), RED if x + y < SIZE - 1 else BLACK, (x, y))

    def clear(self, gl: ctypes.CDLL) -> None:
        gl.glClearColor.argtypes = [ctypes.c_float] * 4
        gl.glViewport(0, 0, SIZE, SIZE)
        gl.glClearColor(0, 0, 0, 1)
        gl.glClear(COLOR_BUFFER_BIT)
        gl.glGetString.restype = ctypes.c_char_p
        print("drawn by", gl.glGetString(RENDERER).decode())

    def test_gles(self) -> None:
        gl = ctypes.CDLL("libGLESv2.so.2")
        with context(OPENGL_ES_API, OPENGL_ES2_BIT, CONTEXT_CLIENT_VERSION, 2):
            self.clear(gl)
            program = gl.glCreateProgram()
            for kind, text in ((VERTEX_SHADER, VERTEX), (FRAGMENT_SHADER, FRAGMENT)):
                shader, status = gl.glCreateShader(kind), ctypes.c_int()
                gl.glShaderSource(shader, 1, ctypes.byref(ctypes.c_char_p(text)), None)
                gl.glCompileShader(shader)
                gl.glGetShaderiv(shader, COMPILE_STATUS, ctypes.byref(status))
                self.assertTrue(status.value, text)
                gl.glAttachShader(program, shader)
            gl.glBindAttribLocation(program, 0, b"at")
            gl.glLinkProgram(program)
            linked = ctypes.c_int()
            gl.glGetProgramiv(program, LINK_STATUS, ctypes.byref(linked))
            self.assertTrue(linked.value)
            gl.glUseProgram(program)
            corners = (ctypes.c_float * 6)(*TRIANGLE)  # read when it is drawn
            gl.glVertexAttribPointer(0, 2, FLOAT, 0, 0, corners)
            gl.glEnableVertexAttribArray(0)
            gl.glDrawArrays(TRIANGLES, 0, 3)
            self.check(gl)

    def test_desktop(self) -> None:
        for name in ("libOpenGL.so.0", "libGL.so.1"):
            gl = ctypes.CDLL(name)
            gl.glVertex2f.argtypes = [ctypes.c_float] * 2
            gl.glColor3f.argtypes = [ctypes.c_float] * 3
            with self.subTest(name), context(OPENGL_API, OPENGL_BIT):
                self.clear(gl)
                gl.glBegin(TRIANGLES)
                gl.glColor3f(1, 0, 0)
                for x, y in zip(TRIANGLE[::2], TRIANGLE[1::2], strict=True):
                    gl.glVertex2f(x, y)
                gl.glEnd()
                self.check(gl)


class Libraries(unittest.TestCase):
    def test_glx_is_there(self) -> None:
        """It needs an X server to draw; image opengl-vnc has one."""
        self.assertTrue(ctypes.CDLL("libGLX.so.0").glXQueryVersion)


if __name__ == "__main__":
    unittest.main()
