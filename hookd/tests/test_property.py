"""
Whatever a client writes, hookd has one answer for each action, of a kind that is known, and goes on.

Scripts are the recorded conversations and some more, changed at random: bytes, lines, pieces of each other, and
words that matter. `PYENV_BUILD_PROPERTY_CASES` says how many actions, `PYENV_BUILD_PROPERTY_SEED` where to start; the
seed is printed.
"""

import os
import random
import sys
import time
import unittest

from support import BACKENDS, ROOT, TestCase

sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True
from hookd import daemon, wire

TRANSCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")
KINDS = {
    "InvalidAction",
    "InvalidHookName",
    "InvalidConfiguration",
    "MalformedBackendName",
    "MalformedHookArgument",
    "UnsupportedHook",
}
WORDS = [b"\\", b"\\n", b"\\x", b"\r", b"\n", b"\0", b"\xff", b"null", b"{}", b"[", b'"', b"1e999", b"-1", b"\\\\ud800"]
WORDS += [
    b"cancel\n",
    b"run\n",
    b"configure\n",
    b"build_wheel",
    b"a.b:c.d",
    b":",
    b"environ",
    b"=",
    b"\xf0\x9f\xa6\x80",
]
MORE = [
    b'configure\n{"environ": {"A": "b", "C": null}, "messages": ["CHILD"], "temporary": null, "later": [1]}\n',
    b'configure\n{"source_tree": "/", "preload": ["a.b"], "isolation": "spawn", "grace_seconds": 0.5, "later": "/"}\n',
    b'run\npkg.mod:obj.attr\nbuild_editable\nout\n{"a": ["b", "c\\\\nd"]}\nmetadata\n',
    b"run\nbackend\nprepare_metadata_for_build_wheel\nout\n\nrun\nbackend\nbuild_sdist\nout\n{}\n",
    b"import\nbackend\nfetch\n/x\\\\y\ntemporary_directory\ncancel\nimport\na.b:c\n",
]


class Script(wire.Client):
    """A client that has written all it had to say and reads nothing."""

    def __init__(self, script):
        self.buffer = bytearray(script)
        self.pending = bytearray()
        self.said = bytearray()
        self.eof = True
        self.deaf = self.gone = False
        self.told = 0

    def flush(self):
        self.said += self.pending
        self.pending.clear()

    def read_line(self):
        return self.take_line()


class Server(daemon.Daemon):
    """hookd without hooks: all that it makes of words."""

    def close(self):
        pass

    def prepare_output(self, job, *, announce):
        pass

    def run_hook(self, job):
        return ("ok", ["requirement"]), None

    def import_ahead(self, module):
        pass

    def temporary_directory(self):
        return "/lent"

    def fetch(self, path):
        pass

    def close_output(self):
        pass


def change(randomness, samples):
    script = bytearray(randomness.choice(samples))
    for _ in range(randomness.randint(0, 3)):
        at = randomness.randint(0, len(script))
        end = min(at + randomness.randint(0, 24), len(script))
        kind = randomness.randrange(5)
        if kind == 0 and script:
            script[min(at, len(script) - 1)] = randomness.randrange(256)
        elif kind == 1:
            del script[at:end]
        elif kind == 2:
            script[at:at] = script[at:end]
        elif kind == 3:
            other = randomness.choice(samples)
            start = randomness.randint(0, len(other))
            script[at:end] = other[start : start + randomness.randint(0, 64)]
        else:
            script[at:end] = randomness.choice(WORDS)
    return bytes(script)


class Properties(TestCase):
    def samples(self):
        samples = list(MORE)
        for name in sorted(os.listdir(TRANSCRIPTS)):
            with open(os.path.join(TRANSCRIPTS, name), "rb") as transcript:
                lines = [
                    line[7:] for line in transcript.read().splitlines(keepends=True) if line.startswith(b"hookd< ")
                ]
            samples.append(b"".join(lines).replace(b"[TREE]", os.fsencode(BACKENDS)).replace(b"[LENT]", b"/lent"))
        return samples

    def serve(self, script):
        """Returns how many actions were answered."""
        client = Script(script)
        status = Server(client, BACKENDS).serve()
        lines = client.said.decode("utf-8").split("\n")
        self.assertEqual(lines.pop(), "", script)
        words = [line.partition(" ")[0] for line in lines]
        actions = words.count("READY")
        answers = [line for line in lines if line.startswith(("OK ", "ERROR "))]
        ended = "SHUTDOWN" if status == 0 else "FATAL"
        self.assertEqual((words[-1], len(answers)), (ended, actions - 1), (script, lines))
        if status:
            self.assertTrue(lines[-1].startswith("FATAL UnexpectedEndOfInput "), (script, lines))
        for line in answers:
            if line.startswith("ERROR "):
                self.assertIn(line.split(" ")[1], KINDS, (script, lines))
        return actions

    def test_any_script_is_answered(self):
        cases = int(os.environ.get("PYENV_BUILD_PROPERTY_CASES", 20000))
        seed = int(os.environ.get("PYENV_BUILD_PROPERTY_SEED", time.time()))
        print("PYENV_BUILD_PROPERTY_SEED=%d, %d actions" % (seed, cases))
        randomness = random.Random(seed)
        samples = self.samples()
        for sample in samples:
            self.assertGreater(self.serve(sample), 1)
        while cases > 0:
            cases -= self.serve(change(randomness, samples))

    def test_any_value_survives_the_wire(self):
        randomness = random.Random(1)
        for _ in range(2000):
            value = "".join(
                randomness.choice("ab\\nr\n\r \té\U0001f980\udcff") for _ in range(randomness.randint(0, 12))
            )
            line = wire.escape(value)
            self.assertNotRegex(line, "[\n\r]")
            self.assertEqual(wire.unescape(line), value)


if __name__ == "__main__":
    unittest.main()
