import sys
import unittest

import nearword


class Distance(unittest.TestCase):
    def test_known_distances(self):
        self.assertEqual(nearword.distance("kitten", "sitting"), 3)
        self.assertEqual(nearword.distance("buidl", "build"), 1)

    def test_counts_characters_not_bytes(self):
        self.assertEqual(nearword.distance("naïve", "naive"), 1)
        self.assertEqual(nearword.distance("🐍", "🦀"), 1)


class Nearest(unittest.TestCase):
    commands = ("build", "provision", "run", "lock", "doctor")

    def test_finds_the_command_that_was_meant(self):
        self.assertEqual(nearword.nearest("buidl", self.commands), ["build"])
        self.assertEqual(nearword.nearest("docotr", self.commands), ["doctor"])
        self.assertEqual(nearword.nearest("frobnicate", self.commands), [])

    def test_best_first_and_limited(self):
        words = ["bald", "built", "build"]
        self.assertEqual(
            nearword.nearest("build", words, max_distance=2),
            ["build", "built", "bald"],
        )
        self.assertEqual(nearword.nearest("build", words, limit=1), ["build"])

    def test_a_lone_string_is_no_list_of_candidates(self):
        with self.assertRaises(TypeError):
            nearword.nearest("build", "build")

    def test_negative_limit(self):
        with self.assertRaises(OverflowError):
            nearword.nearest("build", self.commands, limit=-1)


class Wheel(unittest.TestCase):
    @unittest.skipUnless(sys.platform == "linux", "the suffix differs elsewhere")
    def test_is_abi3(self):
        native = sys.modules["nearword.nearword"].__file__
        self.assertTrue(native.endswith(".abi3.so"), native)

    def test_documentation(self):
        self.assertIn("mistyped", nearword.__doc__)
        self.assertIn("swaps", nearword.distance.__doc__)


if __name__ == "__main__":
    unittest.main()
