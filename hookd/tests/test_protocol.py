"""The wire: every message and every question, as README.md has them."""

import os
import platform
import subprocess
import sys
import unittest

from support import BACKENDS, HOOKD, LINUX, ROOT, TestCase, escape, unescape

sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True
from hookd import wire
from hookd.hook import HOOKS


class Values(unittest.TestCase):
    SAMPLES = ("", "plain", "\\", "\n", "\r", "\\n", "\\\\n\n\r\\", "C:\\new\\route", "é\u2028\x85\t", "a\\")

    def test_survive_a_round_trip(self):
        for sample in self.SAMPLES:
            with self.subTest(sample):
                self.assertEqual(wire.unescape(wire.escape(sample)), sample)
                self.assertEqual(wire.escape(sample), escape(sample))
                self.assertEqual(wire.unescape(escape(sample)), unescape(escape(sample)))
                self.assertNotIn("\n", wire.escape(sample))
                self.assertNotIn("\r", wire.escape(sample))

    def test_unknown_escapes_are_refused(self):
        for sample in ("\\t", "a\\", "\\\\\\", "\\ n"):
            with self.subTest(sample), self.assertRaises(ValueError):
                wire.unescape(sample)

    def test_object_references(self):
        self.assertEqual(wire.parse_reference("a.b:c.d"), ("a.b", ["c", "d"]))
        self.assertEqual(wire.parse_reference("a"), ("a", []))
        for sample in ("", ":", "a:", ":a", "a..b", "a b", "a:b:c", "a-b", "a.", ".a", "a:b.", "1a", "a/b"):
            with self.subTest(sample), self.assertRaises(wire.Refused) as caught:
                wire.parse_reference(sample)
            self.assertEqual(caught.exception.kind, "MalformedBackendName")


class Base(TestCase):
    def test_says_who_it_is_and_what_it_wants(self):
        daemon = self.hookd()
        answer = daemon.until("EXPECT")
        name = platform.python_implementation()
        version = sys.version.split()[0]
        self.assertEqual(
            answer.messages,
            [
                ("DEBUG", "hookd protocol 1, %s %s, pid %d" % (name, version, daemon.process.pid)),
                ("READY", ""),
                ("EXPECT", "action"),
            ],
        )

    def test_shuts_down_when_asked_to(self):
        daemon = self.hookd()
        daemon.until("EXPECT", "action")
        answer, status = daemon.shut_down()
        self.assertEqual((answer.messages, status), ([("SHUTDOWN", "")], 0))
        self.assertEqual(os.listdir(daemon.temporary), [])

    def test_shuts_down_at_end_of_file(self):
        daemon = self.hookd()
        daemon.until("EXPECT", "action")
        daemon.process.stdin.close()
        answer, status = daemon.wait()
        self.assertEqual((answer.messages, status), ([("SHUTDOWN", "")], 0))

    def test_end_of_file_instead_of_a_value_is_fatal(self):
        daemon = self.hookd()
        daemon.start("run", build_backend="backend")
        daemon.until("EXPECT", "hook_name")
        daemon.process.stdin.close()
        answer, status = daemon.wait()
        self.assertEqual(answer.one("FATAL"), "UnexpectedEndOfInput instead of a value for `hook_name`")
        self.assertEqual((answer.all("SHUTDOWN"), status), ([], 1))

    def test_asks_each_hook_for_its_own_values_in_order(self):
        # `start` of the client fails at any other question. The backend is never reached: there is none.
        daemon = self.hookd()
        for hook in HOOKS:
            with self.subTest(hook):
                answer = daemon.hook(hook, directory="d", backend="no_such_backend")
                self.assertEqual(answer.error, ("MissingBackendModule", "there is no module `no_such_backend`"))
                words = [word for word, _ in answer.messages]
                self.assertEqual(words, ["STDOUT", "STDERR", "ERROR", "READY", "EXPECT"])

    def test_example_in_drives_a_build(self):
        for arguments in ((), ("--no-fork",)):
            directory = self.directory()
            environ = {"PYTHONPATH": os.path.join(BACKENDS, "normal"), "PYTHONDONTWRITEBYTECODE": "1"}
            with open(os.path.join(ROOT, "example.in"), "rb") as answers:
                process = subprocess.run(
                    [sys.executable, HOOKD, *arguments],
                    stdin=answers,
                    stdout=subprocess.PIPE,
                    cwd=directory,
                    env=dict(os.environ, TMPDIR=directory, **environ),
                    check=True,
                )
            lines = [line for line in process.stdout.decode().splitlines() if not line.startswith(("DEBUG", "STD"))]
            requires = ["run", "build_backend", "hook_name", "config_settings"]
            build = ["run", "build_backend", "hook_name", "wheel_directory", "config_settings", "metadata_directory"]
            self.assertEqual(
                lines,
                ["READY", "EXPECT action"]
                + ["EXPECT " + name for name in requires[1:]]
                + ['OK ["tomli>=1", "wheel; python_version < \'3\'"]', "READY", "EXPECT action"]
                + ["EXPECT " + name for name in build[1:]]
                + ['OK "normal-1-py3-none-any.whl"', "READY", "EXPECT action", "SHUTDOWN"],
            )
            self.assertIn("normal-1-py3-none-any.whl", os.listdir(directory))

    def test_a_script_may_come_through_a_pipe(self):
        # All of it is there, and then end of file, before the first hook has even started.
        directory = self.directory()
        with open(os.path.join(ROOT, "example.in"), "rb") as answers:
            script = answers.read()
        environ = {"PYTHONPATH": os.path.join(BACKENDS, "normal"), "PYTHONDONTWRITEBYTECODE": "1"}
        for text in (script, script.replace(b"\n", b"\r\n")):
            process = subprocess.run(
                [sys.executable, HOOKD, directory],
                input=text,
                stdout=subprocess.PIPE,
                env=dict(os.environ, TMPDIR=directory, **environ),
                check=True,
            )
            self.assertEqual(process.stdout.count(b"\nOK "), 2, process.stdout)
            self.assertTrue(process.stdout.endswith(b"\nSHUTDOWN\n"), process.stdout)

    def test_output_goes_to_two_files(self):
        for way, daemon in self.every_way("normal"):
            with self.subTest(way):
                answer = daemon.hook("build_wheel", directory=self.directory())
                self.assertEqual(answer.value, "normal-1-py3-none-any.whl")
                built = b"metadata_directory: None\nbuilt normal-1-py3-none-any.whl\n"
                self.assertEqual(daemon.outputs, {"STDOUT": built, "STDERR": b"a warning\n"})

    def test_files_are_there_and_empty_when_they_are_named(self):
        daemon = self.in_tree("hangs", cancellable=True, messages=["CHILD"])
        daemon.start_hook("build_wheel", directory=self.directory())
        answer = daemon.until("CHILD")
        for word in ("STDOUT", "STDERR"):
            self.assertEqual(os.stat(answer.one(word)).st_mode & 0o777, 0o600)
        daemon.write("cancel\n")
        daemon.finish()

    def test_every_hook_of_a_whole_backend(self):
        for way, daemon in self.every_way("normal"):
            for hook in HOOKS:
                with self.subTest(way=way, hook=hook):
                    value = daemon.hook(hook, directory=self.directory(), settings={"a": ["b", "c\n"]}).value
                    if hook.startswith("get_requires"):
                        self.assertEqual(value, ["tomli>=1", "wheel; python_version < '3'"])
                        self.assertEqual(daemon.outputs["STDOUT"], b"config_settings: {'a': ['b', 'c\\n']}\n")
                    else:
                        self.assertRegex(value, r"^normal-1(\.|-)")

    def test_metadata_directory_and_odd_paths_arrive(self):
        daemon = self.in_tree("normal")
        directory = os.path.join(self.directory(), "new\nline \\n é")
        os.mkdir(directory)
        answer = daemon.hook("build_wheel", directory=directory, metadata=directory)
        self.assertEqual(answer.value, "normal-1-py3-none-any.whl")
        self.assertEqual(os.listdir(directory), ["normal-1-py3-none-any.whl"])
        self.assertIn(repr(directory)[1:-1].split("\\")[0], daemon.outputs["STDOUT"].decode())

    @unittest.skipUnless(LINUX, "elsewhere file names are Unicode")
    def test_paths_need_not_be_unicode(self):
        daemon = self.in_tree("minimal")
        directory = os.path.join(self.directory(), os.fsdecode(b"caf\xe9"))
        os.mkdir(directory)
        self.assertEqual(daemon.hook("build_wheel", directory=directory).value, "minimal-1-py3-none-any.whl")

    def test_optional_hooks_may_be_missing(self):
        for way, daemon in self.every_way("minimal"):
            for hook in sorted(set(HOOKS) - {"build_wheel", "build_sdist"}):
                with self.subTest(way=way, hook=hook):
                    answer = daemon.hook(hook, directory=self.directory())
                    self.assertEqual(answer.error, ("UnsupportedHook", "`backend` has no `%s`" % hook))

    def test_a_mandatory_hook_that_is_missing_is_named_so(self):
        daemon = self.in_tree("raises")
        kind, text = self.in_tree("system_exit").hook("build_sdist", directory=self.directory()).error
        self.assertEqual((kind, text.endswith("mandatory")), ("UnsupportedHook", True))
        self.assertEqual(daemon.hook("build_editable", directory="x").error[0], "UnsupportedHook")


class BadAnswers(TestCase):
    def setUp(self):
        self.daemon = self.in_tree("normal")

    def tearDown(self):
        # Whatever it was, it goes on.
        self.assertEqual(len(self.daemon.hook("get_requires_for_build_wheel").value), 2)

    def test_actions(self):
        for action in ("", "RUN", "run ", " run", "no\\such", "exit"):
            with self.subTest(action):
                answer = self.daemon.do(action)
                self.assertEqual(answer.error, ("InvalidAction", "`%s` is not an action" % action))

    def test_hook_names(self):
        for hook in ("", "build", "build_wheel ", "_get_requires", "__class__", "build_wheel\n"):
            with self.subTest(hook):
                answer = self.daemon.do("run", build_backend="backend", hook_name=hook)
                self.assertEqual(answer.error[0], "InvalidHookName")
                self.assertEqual(answer.all("STDOUT"), [])

    def test_backend_names(self):
        for backend in ("", "a b", "a:", "../x", "backend:"):
            with self.subTest(backend):
                answer = self.daemon.hook("get_requires_for_build_wheel", backend=backend)
                self.assertEqual(answer.error[0], "MalformedBackendName")

    def test_values_that_are_not_escaped(self):
        self.daemon.write("run\n")
        self.daemon.until("EXPECT", "build_backend")
        self.daemon.write("back\\tend\nget_requires_for_build_wheel\n\n")
        self.assertEqual(self.daemon.finish().error[0], "MalformedBackendName")
        self.daemon.write("run\nbackend\nbuild_wheel\n\\x\n\n\n")
        self.assertEqual(self.daemon.finish().error[0], "MalformedHookArgument")

    def test_config_settings(self):
        values = {"build_backend": "backend", "hook_name": "get_requires_for_build_wheel"}
        for text in ("[]", "null", "{", "1", '"a"', "nonsense", "[" * 100000):
            with self.subTest(text[:10]):
                answer = self.daemon.do("run", **values, config_settings=text)
                self.assertEqual(answer.error[0], "MalformedHookArgument")
        for depth in (100, 1000, *range(1980, 2010), 5000):
            text = '{"a":' + "[" * depth + "]" * depth + "}"
            answer = self.daemon.do("run", **values, config_settings=text)
            # How deep is too deep is Python's; but it is said so.
            if not answer.all("OK"):
                self.assertIn(answer.error[0], ("MalformedHookArgument", "HookRuntimeError"))
                self.assertGreaterEqual(depth, 900)

    def test_directories(self):
        for hook in ("build_wheel", "build_sdist", "build_editable", "prepare_metadata_for_build_wheel"):
            for directory in ("", "a\0b"):
                with self.subTest(hook=hook, directory=directory):
                    answer = self.daemon.hook(hook, directory=directory)
                    self.assertEqual(answer.error[0], "MalformedHookArgument")

    def test_all_values_are_read_before_the_first_bad_one_is_reported(self):
        values = {"wheel_directory": "", "config_settings": "[", "metadata_directory": ""}
        answer = self.daemon.do("run", build_backend="a b", hook_name="build_wheel", **values)
        self.assertEqual(answer.error[0], "MalformedBackendName")

    def test_bytes_that_are_not_utf8(self):
        self.daemon.write(os.fsdecode(b"caf\xe9\n") if LINUX else "caf\n")
        self.assertEqual(self.daemon.finish().error[0], "InvalidAction")


if __name__ == "__main__":
    unittest.main()
