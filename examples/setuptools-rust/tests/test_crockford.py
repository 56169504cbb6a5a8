import doctest
import sysconfig
import unittest
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import crockford


def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite(crockford))
    return tests


class Numbers(unittest.TestCase):
    def test_there_and_back(self):
        for number in (0, 1, 1234, 2**64, 2**128 - 1):
            for check in (False, True):
                with self.subTest(number=number, check=check):
                    text = crockford.encode(number, check=check, group=4)
                    self.assertEqual(crockford.decode(text, check=check), number)

    def test_groups_and_padding(self):
        self.assertEqual(crockford.encode(1234, width=8, group=4), "0000-016J")

    def test_out_of_range(self):
        with self.assertRaises(OverflowError):
            crockford.encode(2**128)
        # From CPython 3.13 on, PyO3 raises ValueError for a negative number.
        with self.assertRaises((OverflowError, ValueError)):
            crockford.encode(-1)
        with self.assertRaisesRegex(ValueError, "128 bits"):
            crockford.decode("Z" * 26)

    def test_mistakes_are_found(self):
        with self.assertRaisesRegex(ValueError, "check symbol"):
            crockford.decode("16JE", check=True)
        with self.assertRaisesRegex(ValueError, "not a symbol"):
            crockford.decode("16U")


class Uuids(unittest.TestCase):
    def test_there_and_back(self):
        uuid = UUID("00000000-1234-5678-9abc-def012345678")
        text = crockford.encode_uuid(uuid)
        self.assertEqual(len(text), 26)
        self.assertEqual(crockford.decode_uuid(text), uuid)
        checked = crockford.encode_uuid(uuid, check=True)
        self.assertEqual(crockford.decode_uuid(checked.lower(), check=True), uuid)


class Wheel(unittest.TestCase):
    def test_is_built_for_this_python(self):
        native = Path(crockford._native.__file__)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        self.assertTrue(native.name.endswith(suffix), native)

    def test_is_typed(self):
        package = Path(crockford.__file__).parent
        self.assertTrue((package / "py.typed").is_file())
        self.assertTrue((package / "_native.pyi").is_file())

    def test_version(self):
        self.assertEqual(version("crockford-example"), crockford.__version__)


if __name__ == "__main__":
    unittest.main()
