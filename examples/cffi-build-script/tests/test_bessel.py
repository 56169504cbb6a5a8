import doctest
import math
import unittest

import bessel


def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite(bessel))
    return tests


class Functions(unittest.TestCase):
    def test_values(self):
        # Abramowitz and Stegun, tables 9.1 and 9.2.
        for order, x, value in ((0, 1.0, 0.7651976865579666), (1, 1.0, 0.4400505857449335), (2, 5.0, 0.0465651163)):
            self.assertAlmostEqual(bessel.j(order, x), value, places=9)
        self.assertAlmostEqual(bessel.y(0, 1.0), 0.08825696421567698, places=12)

    def test_wronskian(self):
        for order in range(5):
            for x in (0.5, 3.0, 20.0):
                left = bessel.j(order + 1, x) * bessel.y(order, x) - bessel.j(order, x) * bessel.y(order + 1, x)
                self.assertAlmostEqual(left, 2 / (math.pi * x), places=10)

    def test_each(self):
        numbers = [number / 7 for number in range(100)]
        self.assertEqual(list(bessel.j_each(3, numbers)), [bessel.j(3, number) for number in numbers])
        self.assertEqual(list(bessel.j_each(3, [])), [])

    def test_types(self):
        with self.assertRaises(OverflowError):
            bessel.j(2**40, 1.0)
        with self.assertRaises(TypeError):
            bessel.j(0, "1")


if __name__ == "__main__":
    unittest.main()
