"""What a client may ask of hookd beyond the base protocol, as README.md has it."""

import base64
import io
import json
import os
import tarfile
import unittest

from support import BACKENDS, TestCase


class Transfers(TestCase):
    """For clients that share no files with hookd."""

    def fetched(self, answer):
        return tarfile.open(fileobj=io.BytesIO(b"".join(map(base64.b64decode, answer.all("DATA")))))

    def test_lends_a_directory_until_the_end(self):
        daemon = self.hookd()
        first = daemon.do("temporary_directory").value
        second = daemon.do("temporary_directory").value
        self.assertNotEqual(first, second)
        self.assertTrue(os.path.isdir(first) and os.path.isdir(second))
        with open(os.path.join(first, "x"), "w") as file:
            file.write("x")
        daemon.shut_down()
        self.assertFalse(os.path.exists(first) or os.path.exists(second))

    def test_sends_files_and_directories(self):
        daemon = self.hookd()
        directory = self.directory()
        content = os.urandom(300000)
        os.mkdir(os.path.join(directory, "d"))
        with open(os.path.join(directory, "d", "f \u00e9"), "wb") as file:
            file.write(content)
        answer = daemon.do("fetch", path=os.path.join(directory, "d", "f \u00e9"))
        self.assertIsNone(answer.value)
        with self.fetched(answer) as archive:
            self.assertEqual(archive.getnames(), ["f \u00e9"])
            self.assertEqual(archive.extractfile("f \u00e9").read(), content)
        with self.fetched(daemon.do("fetch", path=os.path.join(directory, "d"))) as archive:
            self.assertEqual(sorted(archive.getnames()), ["d", "d/f \u00e9"])

    def test_says_what_is_not_there(self):
        daemon = self.hookd()
        kind, text = daemon.do("fetch", path="/no/such/file").error
        self.assertEqual(kind, "MalformedHookArgument")
        self.assertIn("/no/such/file", text)
        self.assertEqual(daemon.do("configure", configuration="{}").value, None)


class Extensions(TestCase):
    def test_unknown_keys_are_ignored(self):
        daemon = self.hookd()
        answer = daemon.configure(from_the_future=1)
        self.assertEqual(answer.all("DEBUG"), ["unknown in a configuration, ignored: `from_the_future`"])

    def test_invalid_configurations_change_nothing(self):
        daemon = self.in_tree("normal")
        other = self.directory()
        for key, values in {
            "source_tree": [None, 1],
            "backend_path": ["x", {}],
            "environ": [None, []],
            "messages": [None, "CHILD"],
            "temporary": [1, []],
            "grace_seconds": ["1", None, True],
            "cancellable": [1, None, "true"],
            "isolation": [1, None],
            "preload": ["json", None],
        }.items():
            for value in values:
                with self.subTest(key=key, value=value):
                    settings = {"source_tree": other, "backend_path": None, key: value}
                    answer = daemon.do("configure", configuration=json.dumps(settings))
                    self.assertEqual(answer.error[0], "InvalidConfiguration")
                    self.assertIn(key, answer.error[1])
        for text in ("", "{", "[]", "null"):
            self.assertEqual(daemon.do("configure", configuration=text).error[0], "InvalidConfiguration")
        self.assertEqual(len(daemon.hook("get_requires_for_build_wheel").value), 2)

    def test_settings_that_make_no_sense_show_when_a_hook_is_called(self):
        for settings in (
            {"environ": {"A": 1}},
            {"environ": {"A=B": "x"}},
            {"environ": {"A": "\0"}},
            {"backend_path": [1]},
            {"source_tree": "/no/such/directory"},
            {"temporary": "/no/such/directory"},
        ):
            for way, daemon in self.every_way("normal"):
                with self.subTest(way=way, settings=settings):
                    daemon.configure(**settings)
                    self.assertEqual(daemon.hook("get_requires_for_build_wheel").error[0], "HookRuntimeError")

    def test_source_tree_is_where_hooks_run(self):
        for way, daemon in self.every_way("looks_around"):
            with self.subTest(way):
                seen = json.loads(daemon.hook("get_requires_for_build_wheel").value[0])
                if way == "installed":
                    tree = self.directory()
                    daemon.configure(source_tree=tree)
                    seen = json.loads(daemon.hook("get_requires_for_build_wheel").value[0])
                    self.assertEqual(seen["cwd"], tree)
                else:
                    self.assertEqual(seen["cwd"], os.path.join(BACKENDS, "looks_around"))

    def test_source_tree_that_has_gone(self):
        daemon = self.installed("normal")
        tree = os.path.join(self.directory(), "tree")
        os.mkdir(tree)
        daemon.configure(source_tree=tree)
        os.rmdir(tree)
        kind, text = daemon.hook("get_requires_for_build_wheel").error
        self.assertEqual((kind, text[:27]), ("HookRuntimeError", "cannot enter the source tre"))
        os.mkdir(tree)
        self.assertEqual(len(daemon.hook("get_requires_for_build_wheel").value), 2)

    def test_environ_is_an_overlay_for_later_hooks(self):
        for way, daemon in self.every_way("looks_around"):
            with self.subTest(way):
                daemon.configure(environ={"ADDED": "é\n", "HOME": None, "HOOKD_TEST": daemon.token})
                environ = json.loads(daemon.hook("get_requires_for_build_wheel").value[0])["environ"]
                self.assertEqual((environ.get("ADDED"), environ.get("HOME")), ("é\n", None))
                daemon.configure(environ={"OTHER": "1"})
                environ = json.loads(daemon.hook("get_requires_for_build_wheel").value[0])["environ"]
                self.assertEqual((environ.get("ADDED"), environ.get("OTHER")), (None, "1"))
                self.assertEqual(environ.get("HOME"), os.environ.get("HOME"))

    def test_dont_write_bytecode_needs_no_new_interpreter(self):
        daemon = self.hookd(os.path.join(BACKENDS, "looks_around"), environ={"PYTHONDONTWRITEBYTECODE": None})
        daemon.configure(backend_path=["."], environ={"PYTHONDONTWRITEBYTECODE": "1"})
        answer = daemon.hook("get_requires_for_build_wheel")
        self.assertTrue(json.loads(answer.value[0])["dont_write_bytecode"])
        self.assertEqual(answer.all("DEBUG"), [])

    def test_variables_that_the_interpreter_reads_at_start_need_a_new_one(self):
        for name, value in (("PYTHONWARNINGS", "error::UserWarning"), ("LC_ALL", "C"), ("PYTHONUTF8", "1")):
            with self.subTest(name):
                daemon = self.in_tree("looks_around")
                daemon.configure(environ={name: value})
                answer = daemon.hook("get_requires_for_build_wheel")
                seen = json.loads(answer.value[0])
                self.assertEqual(seen["environ"][name], value)
                self.assertIn(name, answer.one("DEBUG"))
                if name == "PYTHONWARNINGS":
                    self.assertIn(["error", "None", "<class 'UserWarning'>", "None", "0"], seen["warnings"])

    def test_child_is_the_hooks_group(self):
        for way, daemon in self.every_way("looks_around", messages=["CHILD"]):
            with self.subTest(way):
                answer = daemon.hook("get_requires_for_build_sdist")
                imported, running, group, _session = map(int, answer.value)
                self.assertEqual(int(answer.all("CHILD")[-1]), group)
                self.assertEqual(running, group)
                # Two of them when there was an import in a process of its own: the last one counts.
                self.assertEqual([int(pid) for pid in answer.all("CHILD")[:-1]], [imported] * (way == "installed"))
                words = [word for word, _ in answer.messages]
                self.assertLess(words.index("STDERR"), words.index("CHILD"))

    def test_usage_comes_before_the_end(self):
        for way, daemon in self.every_way("normal", messages=["USAGE"]):
            with self.subTest(way):
                answer = daemon.hook("get_requires_for_build_wheel")
                self.assertEqual([word for word, _ in answer.messages][-4:], ["USAGE", "OK", "READY", "EXPECT"])
                usage = json.loads(answer.one("USAGE"))
                self.assertEqual(sorted(usage), ["max_rss_bytes", "system_seconds", "user_seconds", "wall_seconds"])
                self.assertGreater(usage["wall_seconds"], 0)
                if way != "no fork":
                    self.assertGreater(usage["max_rss_bytes"], 1024 * 1024)
                    self.assertGreaterEqual(usage["user_seconds"] + usage["system_seconds"], 0)
        self.assertEqual(daemon.hook("build_wheel", directory="/missing/directory").all("USAGE")[1:], [])

    def test_nothing_extra_unless_asked_for(self):
        for way, daemon in self.every_way("normal"):
            answer = daemon.hook("get_requires_for_build_wheel")
            words = {word for word, _ in answer.messages} - {"DEBUG"}
            self.assertEqual(words, {"STDOUT", "STDERR", "OK", "READY", "EXPECT"}, way)

    def test_output_as_messages(self):
        for way, daemon in self.every_way("not_utf8", messages=["OUTPUT"]):
            with self.subTest(way):
                answer = daemon.hook("get_requires_for_build_wheel")
                self.assertEqual(answer.value, [])
                self.assertEqual(answer.output(1), "caf\ufffd \ufffd\\\r\ncafé\nno end of line")
                self.assertEqual(answer.output(2), "")
                self.assertEqual(answer.all("STDOUT") + answer.all("STDERR"), [])

    def test_output_as_messages_of_both_streams(self):
        for way, daemon in self.every_way("normal", messages=["OUTPUT"]):
            with self.subTest(way):
                answer = daemon.hook("build_sdist", directory=self.directory())
                self.assertEqual(answer.output(1), "built normal-1.tar.gz\n")
                self.assertEqual(answer.output(2), "a warning\n")
                self.assertEqual(os.listdir(daemon.temporary)[1:], [])

    def test_output_messages_are_short(self):
        for way, daemon in self.every_way("floods", messages=["OUTPUT"]):
            for lines in (False, True):
                with self.subTest(way=way, lines=lines):
                    size = 1024 * 1024 + 7
                    settings = {"bytes": size, "lines": lines}
                    answer = daemon.hook("get_requires_for_build_wheel", settings=settings)
                    self.assertEqual(answer.value, [])
                    self.assertEqual(len(answer.output(1)), size)
                    self.assertLessEqual(max(map(len, answer.all("OUTPUT"))), 8 * 1024 + 2)

    def test_import_ahead(self):
        daemon = self.installed("looks_around")
        answer = daemon.do("import", build_backend="backend")
        self.assertIsNone(answer.value)
        self.assertEqual([word for word, _ in answer.messages], ["DEBUG", "OK", "READY", "EXPECT"])
        first = daemon.hook("get_requires_for_build_sdist")
        self.assertEqual(first.all("DEBUG"), [])
        self.assertNotEqual(first.value[0], first.value[1])
        self.assertEqual(daemon.hook("get_requires_for_build_sdist").value[0], first.value[0])

    def test_preload(self):
        tree = self.tree_with(
            "late",
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    import os, more\n"
            "    return [str(os.getpid() == more.pid)]\n",
        )
        with open(os.path.join(tree, "more.py"), "w") as file:
            file.write("import os\npid = os.getpid()\n")
        with open(os.path.join(tree, "exits.py"), "w") as file:
            file.write("import sys\nsys.exit('no')\n")
        hook = "get_requires_for_build_wheel"
        # What cannot be imported is passed over.
        absent = ["no_such.part", "more.no_such"]
        cases = (([], "True", 1), ([*absent, "more"], "False", 3), (["exits", "more"], "False", 2))
        for preload, expected, debug in cases:
            with self.subTest(preload):
                daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
                daemon.configure(preload=preload)
                answer = daemon.hook(hook, backend="late")
                self.assertEqual((answer.value, len(answer.all("DEBUG"))), ([expected], debug))
        self.assertIn("`exits` raised SystemExit('no')", answer.all("DEBUG")[1])

    def test_import_ahead_of_what_cannot_be(self):
        self.assertEqual(self.hookd().do("import", build_backend="a b").error[0], "MalformedBackendName")
        self.assertEqual(self.hookd().do("import", build_backend="no_such").error[0], "MissingBackendModule")
        answer = self.installed("import_error").do("import", build_backend="backend")
        self.assertEqual(answer.error[0], "BackendImportError")
        self.assertIn("no_such_dependency", answer.traceback)

    def test_import_ahead_is_not_for_the_source_tree(self):
        for daemon in (
            self.in_tree("import_error"),
            self.installed("import_error", isolation="spawn"),
            self.installed("import_error", arguments=["--no-fork"]),
        ):
            answer = daemon.do("import", build_backend="backend")
            self.assertIsNone(answer.value)
            self.assertEqual(len(answer.all("DEBUG")), 1)

    def test_a_cancel_that_comes_too_late_is_ignored(self):
        daemon = self.in_tree("minimal", cancellable=True)
        daemon.write("cancel\ncancel\n")
        # No second EXPECT: the client may have sent its next action already, and answers what it is asked.
        daemon.write("run\n")
        answer = daemon.until("EXPECT")
        self.assertEqual(answer.messages[-1], ("EXPECT", "build_backend"))
        self.assertEqual(len(answer.all("DEBUG")), 2)


if __name__ == "__main__":
    unittest.main()
