import doctest
import math
import sysconfig
import unittest
from pathlib import Path

import polyline


def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite(polyline))
    return tests


class Simplify(unittest.TestCase):
    def test_a_straight_line_has_two_points(self):
        points = [(float(x), 2.0 * x) for x in range(1000)]
        self.assertEqual(
            polyline.simplify(points, tolerance=1e-9), [points[0], points[-1]]
        )

    def test_nothing_to_leave_out(self):
        for points in ([], [(1.0, 2.0)], [(1.0, 2.0), (3.0, 4.0)]):
            with self.subTest(points=points):
                self.assertEqual(polyline.simplify(points, tolerance=9.0), points)

    def test_corners_stay(self):
        square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]
        self.assertEqual(polyline.simplify(square, tolerance=0.1), square)

    def test_there_and_back_again(self):
        points = [(0.0, 0.0), (9.0, 0.0), (1.0, 0.0)]
        self.assertEqual(polyline.simplify(points, tolerance=1.0), points)

    def test_a_circle_keeps_its_length(self):
        turns = [2 * math.pi * i / 5000 for i in range(5001)]
        circle = [(math.cos(t), math.sin(t)) for t in turns]
        fewer = polyline.simplify(circle, tolerance=0.001)
        self.assertLess(len(fewer), 200)
        self.assertAlmostEqual(polyline.length(fewer), 2 * math.pi, places=1)

    def test_refused(self):
        line = [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]
        for tolerance in (-1.0, math.nan):
            with self.subTest(tolerance=tolerance), self.assertRaises(ValueError):
                polyline.simplify(line, tolerance)
        with self.assertRaises(ValueError):
            polyline.simplify([*line, (math.inf, 0.0)], 1.0)
        with self.assertRaises(TypeError):
            polyline.simplify([(1.0, 2.0, 3.0)], 1.0)


class Wheel(unittest.TestCase):
    def test_is_built_for_this_python(self):
        core = Path(polyline._core.__file__)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        self.assertTrue(core.name.endswith(suffix), core)

    def test_is_typed(self):
        package = Path(polyline.__file__).parent
        self.assertTrue((package / "py.typed").is_file())
        self.assertTrue((package / "_core.pyi").is_file())


if __name__ == "__main__":
    unittest.main()
