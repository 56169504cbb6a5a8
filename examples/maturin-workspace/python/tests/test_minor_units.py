import doctest
import sysconfig
import unittest
from pathlib import Path

import minor_units
from minor_units import Money


def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite(minor_units))
    return tests


class Functions(unittest.TestCase):
    def test_there_and_back(self):
        for text, currency, minor in [
            ("12.34", "EUR", 1234),
            ("-0.05", "USD", -5),
            ("1500", "JPY", 1500),
            ("1.234", "KWD", 1234),
        ]:
            with self.subTest(text=text, currency=currency):
                self.assertEqual(minor_units.parse(text, currency), minor)
                self.assertEqual(minor_units.format(minor, currency), text)

    def test_errors(self):
        with self.assertRaisesRegex(LookupError, "XYZ"):
            minor_units.digits("XYZ")
        with self.assertRaisesRegex(ValueError, "not a decimal number"):
            minor_units.parse("1e3", "EUR")
        with self.assertRaisesRegex(ValueError, "2 decimals of EUR"):
            minor_units.parse("1.005", "EUR")
        with self.assertRaises(OverflowError):
            minor_units.parse("9" * 30, "EUR")
        with self.assertRaises(ValueError):
            minor_units.split(100, [])
        with self.assertRaises(OverflowError):
            minor_units.split(100, [-1, 2])


class TestMoney(unittest.TestCase):
    def test_no_cent_is_lost(self):
        bill = Money.parse("100.00", "CHF")
        shares = bill.split([1, 1, 1])
        self.assertEqual([s.minor for s in shares], [3334, 3333, 3333])
        self.assertEqual(sum(shares[1:], shares[0]), bill)

    def test_currencies_do_not_mix(self):
        with self.assertRaises(ValueError):
            Money(1, "EUR") + Money(1, "USD")
        with self.assertRaises(TypeError):
            Money(1, "EUR") + 1
        with self.assertRaises(LookupError):
            Money(1, "XYZ")


class Wheel(unittest.TestCase):
    def test_is_built_for_this_python(self):
        native = Path(minor_units._native.__file__)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        self.assertTrue(native.name.endswith(suffix), native)

    def test_is_typed(self):
        package = Path(minor_units.__file__).parent
        self.assertTrue((package / "py.typed").is_file())
        self.assertTrue((package / "_native.pyi").is_file())


if __name__ == "__main__":
    unittest.main()
