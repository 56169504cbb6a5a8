"""Conversations that were recorded with `-vv`, replayed to hookd: it says what it said then.

What differs from run to run is a placeholder: `[TREE]` is the source tree, `[LENT]` the directory that hookd lends,
`[ANY]` the rest of a line.
"""

import os
import re
import shutil
import unittest

from support import BACKENDS, TestCase

TRANSCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")


def characters(outputs):
    """Pieces of output are cut anywhere, and two processes write in any order."""
    return sorted("".join(line[len("OUTPUT 1 ") :] for line in outputs))


class Replay:
    def __init__(self, daemon, tree):
        self.daemon = daemon
        self.places = {"[TREE]": tree}
        self.outputs = []

    def send(self, value):
        for place, path in self.places.items():
            value = value.replace(place, path)
        self.daemon.write(value + "\n")

    def read(self):
        """The next line, its value as it stands on the wire; pieces of output are put aside."""
        while True:
            word, _ = self.daemon.read()
            line = self.daemon.line
            if word == "OUTPUT":
                self.outputs.append(line)
            elif word != "DEBUG" or line.startswith("DEBUG hookd protocol"):
                return line

    def read_output(self):
        self.daemon.until("OUTPUT")
        self.outputs.append(self.daemon.line)

    def expect(self, expected):
        """Compares a line; several DATA are as good as one."""
        pattern = re.escape(expected)
        for place, path in self.places.items():
            pattern = pattern.replace(re.escape(place), re.escape(path))
        pattern = pattern.replace(re.escape("[LENT]"), '(?P<lent>[^"]*)').replace(re.escape("[ANY]"), ".*")
        line = self.read()
        while expected.startswith("OK") and line.startswith("DATA"):
            line = self.read()
        match = re.match(pattern + r"\Z", line)
        if not match:
            raise AssertionError("%r instead of %r" % (line, expected))
        if "lent" in match.groupdict():
            self.places["[LENT]"] = match.group("lent")


@unittest.skipUnless(os.name == "posix", "recorded on POSIX, where signals have names")
class Transcripts(TestCase):
    def replay(self, name):
        tree = os.path.join(self.directory(), "tree")
        shutil.copytree(os.path.join(BACKENDS, name), tree)
        daemon = self.hookd(tree)
        replay = Replay(daemon, tree)
        outputs = []
        with open(os.path.join(TRANSCRIPTS, name + ".txt"), encoding="utf-8", newline="\n") as transcript:
            lines = transcript.read().splitlines()
        for line in lines:
            if line.startswith("hookd< "):
                while line == "hookd< cancel" and characters(replay.outputs) != characters(outputs):
                    replay.read_output()
                replay.send(line[len("hookd< ") :])
            elif line.startswith("hookd> OUTPUT "):
                outputs.append(line[len("hookd> ") :])
            else:
                replay.expect(line[len("hookd> ") :])
        # The client closes the pipe and reads no more; then there is only this to be said.
        daemon.process.stdin.close()
        rest, status = daemon.wait()
        self.assertEqual([word for word, _ in rest.messages if word != "DEBUG"][-1:], ["SHUTDOWN"])
        self.assertEqual(status, 0)
        self.assertEqual(characters(replay.outputs), characters(outputs))

    def test_hookd_says_what_it_said(self):
        names = sorted(os.path.splitext(name)[0] for name in os.listdir(TRANSCRIPTS))
        self.assertGreater(len(names), 5)
        for name in names:
            with self.subTest(name):
                self.replay(name)
