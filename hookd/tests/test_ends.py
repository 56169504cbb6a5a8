"""Every way in which a hook, or a backend's import, can end is one OK or one ERROR, and hookd goes on."""

import os
import re
import unittest

from support import BACKENDS, LINUX, PYPY, TestCase


class Ends(TestCase):
    def check(self, backend, hook, kind, text, settings=None, traceback=None):
        """In each of the four ways: this error, then hookd still works. ``text`` is a regular expression."""
        for way, daemon in self.every_way(backend):
            with self.subTest(way=way, hook=hook):
                answer = daemon.hook(hook, directory=self.directory(), settings=settings)
                self.assertEqual(answer.error[0], kind)
                self.assertRegex(answer.error[1], "^" + text + "$")
                if traceback is None:
                    self.assertEqual(answer.all("TRACEBACK"), [])
                else:
                    self.assertIn(traceback, answer.traceback)
                    self.assertNotIn("hook.py", answer.traceback)
                    self.assertLess(
                        [word for word, _ in answer.messages].index("ERROR"),
                        [word for word, _ in answer.messages].index("TRACEBACK"),
                    )
                again = daemon.hook(hook, directory=self.directory(), settings=settings)
                self.assertEqual(again.error[0], kind)

    def test_exceptions(self):
        text = re.escape("`build_wheel` raised ValueError: two\nlines and a back\\slash")
        self.check("raises", "build_wheel", "HookRuntimeError", text, traceback="in build_wheel\n")
        text = "`build_sdist` raised RuntimeError: with a cause"
        self.check("raises", "build_sdist", "HookRuntimeError", text, traceback="KeyError: 'missing'")
        text = "`get_requires_for_build_wheel` raised backend.Unshowable: <its text could not be made>"
        self.check("raises", "get_requires_for_build_wheel", "HookRuntimeError", text, traceback="Unshowable")

    def test_system_exit(self):
        for status, shown in ((0, "0"), (3, "3"), (None, "None"), ("words", "'words'")):
            self.check(
                "system_exit",
                "build_wheel",
                "HookRuntimeError",
                re.escape("`build_wheel` raised SystemExit(%s)" % shown),
                settings={"status": status},
                traceback="SystemExit",
            )

    def test_keyboard_interrupt(self):
        text = "`build_wheel` raised KeyboardInterrupt"
        self.check("keyboard_interrupt", "build_wheel", "HookRuntimeError", text, traceback="KeyboardInterrupt")
        text = "`build_sdist` raised KeyboardInterrupt"
        self.check("keyboard_interrupt", "build_sdist", "HookRuntimeError", text, traceback="KeyboardInterrupt")

    def test_os_exit(self):
        for status in (0, 7, 255):
            text = "the hook process exited with status %d before it had answered" % status
            self.check("os_exit", "build_wheel", "HookRuntimeError", text, settings={"status": status})

    def test_os_exit_once_the_hook_has_returned(self):
        text = "the hook process exited with status 5 before it had answered"
        self.check("os_exit", "get_requires_for_build_wheel", "HookRuntimeError", text)

    def test_signals(self):
        for name in ("SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT"):
            text = "the hook process was killed by %s before it had answered" % name
            self.check("killed", "build_wheel", "HookRuntimeError", text, settings={"signal": name})

    def test_stack_overflow(self):
        text = r"`build_wheel` raised RecursionError: [\s\S]*"
        self.check("stack_overflow", "build_wheel", "HookRuntimeError", text, traceback="RecursionError")

    @unittest.skipIf(PYPY or not LINUX, "PyPy's stack has a limit of its own")
    def test_stack_overflow_of_the_machine(self):
        daemon = self.in_tree("stack_overflow")
        kind, text = daemon.hook("build_sdist", directory=self.directory()).error
        # Since 3.12 Python keeps count of its C frames whatever limit is set; then the thread ends by itself.
        self.assertEqual(kind, "HookRuntimeError")
        self.assertRegex(text, "was killed by SIGSEGV before it had answered$|but made no such file$")

    def test_values_that_cannot_be_sent(self):
        text = r"`build_wheel` has to return a string, not `<function .*` \(function\)"
        self.check("unserializable", "build_wheel", "HookRuntimeError", text)
        text = r"`get_requires_for_build_wheel` has to return a list of strings, not `\{.*\}` \(set\)"
        self.check("unserializable", "get_requires_for_build_wheel", "HookRuntimeError", text)
        text = r"`get_requires_for_build_sdist` has to return a list of strings, not `\[\[\.\.\.\]\]` \(list\)"
        self.check("unserializable", "get_requires_for_build_sdist", "HookRuntimeError", text)

    def test_values_of_a_wrong_type(self):
        for hook, shown in (
            ("build_wheel", "a string, not `None` (NoneType)"),
            ("build_sdist", "a string, not `b'wrong_type-1.tar.gz'` (bytes)"),
            ("get_requires_for_build_wheel", "a list of strings, not `'setuptools'` (str)"),
            ("get_requires_for_build_sdist", "a list of strings, not `['setuptools', 1]` (list)"),
            ("prepare_metadata_for_build_wheel", "a string, not `7` (int)"),
        ):
            text = re.escape("`%s` has to return %s" % (hook, shown))
            self.check("wrong_type", hook, "HookRuntimeError", text)

    def test_a_tuple_is_as_good_as_a_list(self):
        for way, daemon in self.every_way("wrong_type"):
            with self.subTest(way):
                value = daemon.hook("get_requires_for_build_editable").value
                self.assertEqual(value, ["a", "tuple", "passes"])

    def test_names_that_are_paths(self):
        for backend, hook in (
            ("wheel_in_directory", "build_wheel"),
            ("wheel_in_directory", "build_editable"),
            ("outside", "build_wheel"),
            ("outside", "prepare_metadata_for_build_wheel"),
            ("missing_file", "build_editable"),
        ):
            text = r"`%s` has to return a base name, not `.*` \(str\)" % hook
            self.check(backend, hook, "HookRuntimeError", text)

    def test_things_that_were_not_made(self):
        for hook, thing in (
            ("build_wheel", "file"),
            ("build_sdist", "file"),
            ("prepare_metadata_for_build_wheel", "directory"),
        ):
            text = r"`%s` returned `'missing_file-1.*'` \(str\), but made no such %s" % (hook, thing)
            self.check("missing_file", hook, "HookRuntimeError", text)

    def test_closed_streams_and_descriptors(self):
        for way, daemon in self.every_way("closes_streams"):
            with self.subTest(way):
                self.assertEqual(daemon.hook("get_requires_for_build_wheel").value, ["streams"])
                self.assertEqual(daemon.outputs["STDOUT"], b"last words\n")
                self.assertEqual(daemon.hook("get_requires_for_build_sdist").value, ["descriptors"])


class Imports(TestCase):
    HOOK = "get_requires_for_build_wheel"

    def check(self, backend, kind, text, name="backend", environ=(), traceback=None, ways=4):
        for way, daemon in list(self.every_way(backend))[:ways]:
            with self.subTest(way=way):
                for _ in range(2):
                    if environ:
                        daemon.configure(environ=environ)
                    answer = daemon.hook(self.HOOK, backend=name)
                    self.assertEqual(answer.error[0], kind)
                    self.assertRegex(answer.error[1], "^" + text + "$")
                    if traceback is not None:
                        self.assertIn(traceback, answer.traceback)
                        self.assertNotIn("hook.py", answer.traceback)
                        self.assertNotIn("importlib", answer.traceback)
                # It does not stand in the way of another backend.
                daemon.configure(source_tree=os.path.join(BACKENDS, "minimal"), backend_path=["."], environ={})
                value = daemon.hook("build_sdist", directory=self.directory()).value
                self.assertEqual(value, "minimal-1.tar.gz")

    def test_module_that_is_missing(self):
        text = "there is no module `no_such_backend`"
        self.check("backend_missing", "MissingBackendModule", text, name="no_such_backend")
        text = "there is no module `backend.sub`"
        self.check("normal", "MissingBackendModule", text, name="backend.sub")

    def test_attribute_that_is_missing(self):
        text = "`backend:api` has no attribute `v1`"
        self.check("attribute_missing", "MissingBackendAttribute", text, name="backend:api.v1")
        text = "`backend` has no attribute `nothing`"
        self.check("attribute_missing", "MissingBackendAttribute", text, name="backend:nothing")

    def test_import_that_fails(self):
        text = "the import of `backend` raised ModuleNotFoundError: No module named 'no_such_dependency'"
        self.check("import_error", "BackendImportError", text, traceback="import no_such_dependency")
        text = "the import of `backend` raised ValueError: at import"
        self.check("import_raises", "BackendImportError", text, traceback="ValueError: at import")

    def test_import_that_exits(self):
        text = r"the import of `backend` raised SystemExit\(3\)"
        self.check("import_exits", "BackendImportError", text, traceback="SystemExit")

    def test_import_that_exits_rudely(self):
        for how, words in (("rude", "exited with status 4"), ("SIGKILL", "was killed by SIGKILL")):
            daemon = self.installed("import_exits")
            daemon.configure(environ={"IMPORT_EXITS": how})
            answer = daemon.hook(self.HOOK)
            self.assertEqual(answer.error, ("BackendImportError", "the process that imported `backend` " + words))
            daemon = self.in_tree("import_exits")
            daemon.configure(environ={"IMPORT_EXITS": how})
            answer = daemon.hook(self.HOOK)
            self.assertEqual(answer.error, ("HookRuntimeError", "the hook process %s before it had answered" % words))

    def test_output_of_an_import_is_the_hooks(self):
        for way, daemon in self.every_way("import_error"):
            with self.subTest(way):
                daemon.hook(self.HOOK)
                self.assertEqual(daemon.outputs["STDOUT"], b"importing\n")

    def test_a_failed_import_leaves_nothing_behind(self):
        # Once its missing part is there, the same hookd can import it: nothing half done is remembered.
        tree = self.directory()
        for way, name in (("installed", "late_installed"), ("in-tree", "late_in_tree")):
            daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
            if way == "in-tree":
                daemon.configure(backend_path=["."])
            with open(os.path.join(tree, name + ".py"), "w") as file:
                file.write("import part_%s as part\nget_requires_for_build_wheel = part.hook\n" % name)
            self.assertEqual(daemon.hook(self.HOOK, backend=name).error[0], "BackendImportError")
            with open(os.path.join(tree, "part_%s.py" % name), "w") as file:
                file.write("def hook(config_settings=None):\n    return ['late']\n")
            self.assertEqual(daemon.hook(self.HOOK, backend=name).value, ["late"])

    def test_nested_objects(self):
        for way, daemon in self.every_way("nested"):
            with self.subTest(way):
                self.assertEqual(daemon.hook(self.HOOK, backend="package.module:api.v1").value, ["nested"])
                answer = daemon.hook("build_sdist", backend="package.module:api.v1", directory=self.directory())
                self.assertEqual(answer.error[0], "UnsupportedHook")

    def test_a_keeper_that_is_killed_is_replaced(self):
        for way, daemon in list(self.every_way("kills_keeper"))[:2]:
            with self.subTest(way):
                for _ in range(2):
                    answer = daemon.hook("build_wheel", directory=self.directory())
                    self.assertEqual(answer.error[0], "HookRuntimeError")
                    self.assertIn("lost its parent, which was killed by SIGKILL", answer.error[1])


class BackendPath(TestCase):
    def test_backend_from_elsewhere(self):
        path = os.path.join(BACKENDS, "elsewhere")
        for arguments in ((), ("--no-fork",)):
            daemon = self.hookd(path, arguments=arguments, environ={"PYTHONPATH": path})
            daemon.configure(backend_path=["empty"])
            kind, text = daemon.hook("build_sdist", directory=self.directory()).error
            self.assertEqual(kind, "BackendImportError")
            self.assertIn("was loaded from `%s`" % os.path.join(path, "backend.py"), text)
            self.assertIn("not in `backend-path`", text)

    def test_built_in_backend(self):
        kind, text = self.in_tree("elsewhere").hook("build_sdist", directory="x", backend="sys").error
        self.assertEqual((kind, "built in" in text), ("BackendImportError", True))

    def test_path_outside_of_the_source_tree(self):
        tree = self.directory()
        os.symlink(os.path.join(BACKENDS, "normal"), os.path.join(tree, "link"))
        inside = os.path.join(tree, "inside")
        os.mkdir(inside)
        for entry in ("../normal", "..", "link", "sub/../..", inside, os.path.join(BACKENDS, "normal")):
            with self.subTest(entry):
                daemon = self.hookd(tree)
                daemon.configure(backend_path=[entry])
                kind, text = daemon.hook("build_sdist", directory="x").error
                self.assertEqual(kind, "BackendImportError")
                self.assertRegex(text, "is outside of the source tree$|is not relative$")

    def test_entries_are_absolute_and_first(self):
        tree = self.directory()
        for name, text in (("a", "one"), ("b", "two")):
            os.mkdir(os.path.join(tree, name))
            with open(os.path.join(tree, name, name + "_backend.py"), "w") as file:
                file.write(
                    "import sys\n"
                    "def get_requires_for_build_wheel(config_settings=None):\n    return [%r] + sys.path[:2]\n" % text
                )
        link = os.path.join(self.directory(), "link")
        os.symlink(tree, link)
        daemon = self.hookd(link)
        daemon.configure(backend_path=["a", "./b"])
        paths = [os.path.join(tree, "a"), os.path.join(tree, "b")]
        self.assertEqual(daemon.hook("get_requires_for_build_wheel", backend="a_backend").value, ["one"] + paths)
        self.assertEqual(daemon.hook("get_requires_for_build_wheel", backend="b_backend").value, ["two"] + paths)

    def test_a_changed_backend_is_imported_anew(self):
        tree = self.directory()
        daemon = self.hookd(tree)
        daemon.configure(backend_path=["."])
        for text in ("first", "a longer second"):
            with open(os.path.join(tree, "changing.py"), "w") as file:
                file.write("def get_requires_for_build_wheel(config_settings=None):\n    return [%r]\n" % text)
            self.assertEqual(daemon.hook("get_requires_for_build_wheel", backend="changing").value, [text])


if __name__ == "__main__":
    unittest.main()
