"""OpenCV put to use: codecs, features, geometry, videos, networks; against known results, Pillow and C++."""

import io
import os
import pathlib
import subprocess
import tempfile
import unittest

os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"  # read when cv2 is loaded

import cv2
import numpy
import PIL.features
import PIL.Image

HERE = pathlib.Path(__file__).parent


def scene(width: int = 320, height: int = 240) -> numpy.ndarray:
    """A picture with corners everywhere and no symmetry: overlapping boxes at places that a formula gives."""
    picture = numpy.zeros((height, width, 3), numpy.uint8)
    number = 12345
    for _ in range(60):
        values = []
        for _ in range(7):
            number = (1103515245 * number + 12345) % 2**31
            values.append(number >> 16)
        x, y = values[0] % width, values[1] % height
        corner = (x + 8 + values[2] % 40, y + 8 + values[3] % 40)
        colour = tuple(value % 256 for value in values[4:])
        cv2.rectangle(picture, (x, y), corner, colour, thickness=-1)
    return picture


class Codecs(unittest.TestCase):
    def setUp(self) -> None:
        self.picture = scene()

    def test_lossless(self) -> None:
        for suffix, options in (
            (".png", []),
            (".tiff", []),
            (".bmp", []),
            (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
            (".jp2", [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]),
        ):
            with self.subTest(suffix):
                written, data = cv2.imencode(suffix, self.picture, options)
                self.assertTrue(written)
                self.assertTrue(numpy.array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR), self.picture))

    def test_lossy(self) -> None:
        for suffix, options in ((".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]), (".webp", [])):
            with self.subTest(suffix):
                data = cv2.imencode(suffix, self.picture, options)[1]
                self.assertLess(data.size, self.picture.size / 4)
                self.assertGreater(cv2.PSNR(cv2.imdecode(data, cv2.IMREAD_COLOR), self.picture), 28)

    def test_openexr(self) -> None:
        picture = self.picture.astype(numpy.float32) / 7
        data = cv2.imencode(".exr", picture, [cv2.IMWRITE_EXR_TYPE, cv2.IMWRITE_EXR_TYPE_FLOAT])[1]
        self.assertTrue(numpy.array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), picture))

    def test_pillow_sees_the_same(self) -> None:
        for codec in ("jpg", "zlib", "libtiff", "webp", "freetype2"):
            self.assertTrue(PIL.features.check(codec), codec)
        data = io.BytesIO(cv2.imencode(".png", self.picture)[1])
        self.assertTrue(numpy.array_equal(numpy.asarray(PIL.Image.open(data))[..., ::-1], self.picture))
        for form, options in (
            ("TIFF", {"compression": "tiff_lzw"}),
            ("WEBP", {"lossless": True}),
            ("PNG", {}),
        ):
            with self.subTest(form):
                data = io.BytesIO()
                PIL.Image.fromarray(self.picture[..., ::-1]).save(data, form, **options)
                back = cv2.imdecode(numpy.frombuffer(data.getvalue(), numpy.uint8), cv2.IMREAD_COLOR)
                self.assertTrue(numpy.array_equal(back, self.picture))

    def test_cpp_computes_the_same(self) -> None:
        data = cv2.imencode(".png", self.picture)[1]
        done = subprocess.run([HERE / "edges"], input=data.tobytes(), capture_output=True, check=True)
        grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        edges = cv2.countNonZero(cv2.Canny(grey, 50, 150))
        blurred = cv2.sumElems(cv2.GaussianBlur(grey, (5, 5), 1.0))[0]
        self.assertGreater(edges, 1000)
        self.assertEqual(done.stdout.decode(), f"320 240 {edges} {blurred:.0f}\n")


class Features(unittest.TestCase):
    def test_a_turned_picture_is_found(self) -> None:
        """A turn by 20 degrees and a scale of 0.8 about the middle, known to a tenth of a pixel."""
        picture = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)
        turn = cv2.getRotationMatrix2D((160, 120), 20, 0.8)
        turned = cv2.warpAffine(picture, turn, (320, 240))
        for make, norm in ((cv2.SIFT_create, cv2.NORM_L2), (cv2.ORB_create, cv2.NORM_HAMMING)):
            with self.subTest(make.__name__):
                finder = make(1000)
                (here, a), (there, b) = (finder.detectAndCompute(p, None) for p in (picture, turned))
                matches = cv2.BFMatcher(norm, crossCheck=True).match(a, b)
                source = numpy.float32([here[m.queryIdx].pt for m in matches])
                target = numpy.float32([there[m.trainIdx].pt for m in matches])
                cv2.setRNGSeed(1)
                found, inliers = cv2.estimateAffine2D(source, target, ransacReprojThreshold=2)
                self.assertGreater(inliers.sum(), 50)
                corners = numpy.float32([[[0, 0], [320, 0], [0, 240], [320, 240]]])
                off = cv2.transform(corners, found) - cv2.transform(corners, turn)
                self.assertLess(abs(off).max(), 2.0)

    def test_flann_finds_what_a_search_finds(self) -> None:
        points = numpy.random.default_rng(1).random((500, 16), dtype=numpy.float32)
        index = cv2.flann.Index(points, {"algorithm": 1, "trees": 4})
        nearest, _ = index.knnSearch(points[:50], 1, params={"checks": 500})
        self.assertEqual(nearest.ravel().tolist(), list(range(50)))


class Geometry(unittest.TestCase):
    def test_pose_of_a_camera(self) -> None:
        camera = numpy.array([[500, 0, 320], [0, 500, 240], [0, 0, 1]], dtype=float)
        corners = numpy.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
        turn, shift = numpy.array([0.1, -0.2, 0.3]), numpy.array([0.5, -0.25, 6.0])
        seen, _ = cv2.projectPoints(corners, turn, shift, camera, None)
        _, found_turn, found_shift = cv2.solvePnP(corners, seen, camera, None)
        self.assertLess(abs(found_turn.ravel() - turn).max(), 1e-6)
        self.assertLess(abs(found_shift.ravel() - shift).max(), 1e-6)

    def test_least_squares_by_lapack(self) -> None:
        self.assertRegex(cv2.getBuildInformation(), r"Lapack: +YES")
        maps = pathlib.Path("/proc/self/maps").read_text()
        self.assertIn("/usr/local/lib/libblas.so.3", maps)
        self.assertIn("/usr/local/lib/liblapack.so.3", maps)
        n = 200  # large enough to be handed to LAPACK
        a = 2 * numpy.eye(n) - numpy.eye(n, k=1) - numpy.eye(n, k=-1)
        solved, x = cv2.solve(a, a @ numpy.ones((n, 1)), flags=cv2.DECOMP_SVD)
        self.assertTrue(solved)
        self.assertLess(abs(x - 1).max(), 1e-8)


class Videos(unittest.TestCase):
    def test_frames_come_back(self) -> None:
        frames = [numpy.roll(scene(), 5 * i, axis=1) for i in range(12)]
        with tempfile.TemporaryDirectory() as folder:
            for name, code, least in (
                ("lossless.mkv", "FFV1", None),
                ("motion.avi", "MJPG", 25),
                ("motion.mp4", "mp4v", 25),
            ):
                with self.subTest(name):
                    path = f"{folder}/{name}"
                    four = cv2.VideoWriter_fourcc(*code)
                    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, four, 25.0, (320, 240))
                    self.assertTrue(writer.isOpened())
                    for frame in frames:
                        writer.write(frame)
                    writer.release()
                    reader = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
                    self.assertEqual(reader.get(cv2.CAP_PROP_FPS), 25.0)
                    for number, frame in enumerate(frames):
                        there, back = reader.read()
                        self.assertTrue(there, number)
                        self.assertGreater(cv2.PSNR(back, frame), least or 40, number)
                    self.assertFalse(reader.read()[0])


class Recognition(unittest.TestCase):
    def test_a_code_is_read(self) -> None:
        drawn = cv2.QRCodeEncoder.create().encode("an element of atom")
        drawn = cv2.copyMakeBorder(drawn, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=255)
        drawn = cv2.resize(drawn, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
        self.assertEqual(cv2.QRCodeDetector().detectAndDecode(drawn)[0], "an element of atom")

    def test_a_network(self) -> None:
        text = b"""
          input: "data" input_dim: 1 input_dim: 1 input_dim: 4 input_dim: 4
          layer { name: "max" type: "Pooling" bottom: "data" top: "max"
                  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
          layer { name: "relu" type: "ReLU" bottom: "max" top: "relu" }
        """
        network = cv2.dnn.readNetFromCaffe(numpy.frombuffer(text, numpy.uint8))
        network.setInput(numpy.arange(-8, 8, dtype=numpy.float32).reshape(1, 1, 4, 4))
        self.assertEqual(network.forward().ravel().tolist(), [0, 0, 5, 7])

    def test_a_support_vector_machine(self) -> None:
        machine = cv2.ml.SVM_create()
        machine.setKernel(cv2.ml.SVM_LINEAR)
        points = numpy.float32([[x, y] for x in range(-3, 4) for y in range(-3, 4) if x])
        machine.train(points, cv2.ml.ROW_SAMPLE, numpy.sign(points[:, 0]).astype(numpy.int32))
        answers = machine.predict(numpy.float32([[-5, 2], [5, -2]]))[1]
        self.assertEqual(answers.ravel().tolist(), [-1, 1])


@unittest.skipUnless(pathlib.Path("/usr/bin/dpkg").exists(), "a production image has no tools")
class Packages(unittest.TestCase):
    def test_pip_knows_them(self) -> None:
        listed = subprocess.run(
            ["/opt/venv/bin/pip", "list"], capture_output=True, text=True, check=True
        ).stdout
        self.assertRegex(listed, r"opencv.python.headless +4\.")
        self.assertRegex(listed, r"[Pp]illow ")


if __name__ == "__main__":
    unittest.main()
