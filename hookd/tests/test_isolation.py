"""What a hook finds: what `python -c` would find, and no way to the protocol."""

import json
import os
import subprocess
import sys
import unittest

from support import BACKENDS, HOOKD, LINUX, PYPY, ROOT, TestCase, census, unescape

HOOK = "get_requires_for_build_wheel"


class Stream(TestCase):
    def test_nobody_else_reaches_it(self):
        for way, daemon in self.every_way("prints_below"):
            with self.subTest(way):
                # Anything but the protocol would fail in the client, as would a FATAL.
                answer = daemon.hook(HOOK)
                self.assertEqual(answer.value, [])
                self.assertEqual([text for _, text in answer.messages if "leak" in text], [])
                lines = daemon.outputs["STDOUT"].decode().split("\n")
                self.assertEqual(
                    sorted(lines), sorted(["print", "os.write", "puts", "echo", "stdin ''", "stdin ''", ""])
                )
                self.assertEqual(daemon.outputs["STDERR"], b"err\n")
                self.assertEqual(daemon.hook(HOOK).value, [])
                self.assertEqual(daemon.errors(), "")

    def test_an_import_does_not_reach_it(self):
        tree = self.tree_with(
            "loud",
            "import os, sys\n"
            "print('READY')\n"
            "os.write(1, b'READY\\n')\n"
            "for number in range(3, 256):\n"
            "    try:\n"
            "        os.write(number, b'READY\\n')\n"
            "    except OSError:\n"
            "        pass\n" % (),
        )
        daemon = self.hookd(tree)
        # Frames between hookd and a keeper are open here; what is written into them must not look like READY.
        daemon.configure(backend_path=["."])
        answer = daemon.hook(HOOK, backend="loud")
        self.assertEqual(answer.error[0], "UnsupportedHook")
        self.assertEqual(len(answer.all("READY")), 1)

    def test_works_without_standard_streams_of_its_own(self):
        # Closed standard error: the number is free, and must not become part of the protocol.
        process = subprocess.run(
            ["sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, HOOKD, BACKENDS],
            input=b"run\nno_such\nbuild_sdist\nx\n\nshutdown\n",
            stdout=subprocess.PIPE,
            env=dict(os.environ, TMPDIR=self.directory()),
            check=True,
        )
        self.assertIn(b"ERROR MissingBackendModule", process.stdout)

    @unittest.skipUnless(LINUX, "reads /proc")
    def test_its_descriptors_are_in_one_process_and_are_not_the_standard_ones(self):
        for way, daemon in self.every_way("minimal"):
            with self.subTest(way):
                daemon.hook("build_wheel", directory=self.directory())
                ends = [os.fstat(stream.fileno()).st_ino for stream in (daemon.process.stdin, daemon.process.stdout)]
                for pid in census(daemon.token):
                    directory = "/proc/%d/fd" % pid
                    found = {name: os.readlink(os.path.join(directory, name)) for name in os.listdir(directory)}
                    reached = sorted(n for n, link in found.items() if link in ["pipe:[%d]" % end for end in ends])
                    self.assertEqual(len(reached), 2 if pid == daemon.process.pid else 0)
                    self.assertEqual((found["0"], found["1"]), (os.devnull, os.devnull))
                    self.assertFalse(set(reached) & {"0", "1", "2"})

    @unittest.skipUnless(LINUX, "reads /proc")
    def test_no_descriptors_are_left_open_after_many_hooks(self):
        for way, daemon in self.every_way("minimal", messages=["CHILD", "USAGE", "OUTPUT"]):
            with self.subTest(way):
                directory = "/proc/%d/fd" % daemon.process.pid
                daemon.hook("build_wheel", directory=self.directory())
                before = len(os.listdir(directory))
                for _ in range(5):
                    daemon.hook("build_wheel", directory=self.directory())
                self.assertEqual(len(os.listdir(directory)), before)


class Surroundings(TestCase):
    def plain(self, tree, path, environ=None):
        """What `python -c` finds."""
        code = (
            "import sys; sys.path[0:1] = [] if sys.path[0] == '' else sys.path[0:1]; %s"
            "import json, backend; json.dump(backend.surroundings(), sys.__stdout__)"
        ) % ("sys.path.insert(0, %r);" % path if path else "")
        process = subprocess.run(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tree,
            env=environ,
            check=True,
        )
        return json.loads(process.stdout.decode())

    def test_are_those_of_python_c(self):
        path = os.path.join(BACKENDS, "looks_around")
        for way, daemon in self.every_way("looks_around"):
            with self.subTest(way):
                answer = daemon.hook(HOOK)
                seen = json.loads(answer.value[0])
                environ = dict(os.environ, HOOKD_TEST=daemon.token, TMPDIR=daemon.temporary)
                environ["PYTHONDONTWRITEBYTECODE"] = "1"
                if way == "installed":
                    environ["PYTHONPATH"] = path
                plain = self.plain(seen["cwd"], None if way == "installed" else path, environ)
                # How many descriptors there are is ours to choose, but none of them is hookd's: see below.
                for name in plain:
                    if name in ("main", "descriptors"):
                        continue
                    self.assertEqual(seen[name], plain[name], name)
                self.assertEqual(seen["main"], [])
                self.assertEqual(seen["descriptors"], [])
                self.assertNotIn(ROOT, seen["path"])
                self.assertNotIn("", seen["path"])

    def test_import_sees_no_leftovers_of_hookd(self):
        tree = self.tree_with(
            "curious",
            "import sys, __main__\n"
            "SEEN = [repr(sys.argv), str(hasattr(__main__, 'HOOKS')), str('hookd' in sys.modules)]\n"
            "def get_requires_for_build_wheel(config_settings=None):\n    return SEEN\n",
        )
        for arguments in ((), ("--no-fork",)):
            daemon = self.hookd(tree, arguments=arguments, environ={"PYTHONPATH": tree})
            self.assertEqual(daemon.hook(HOOK, backend="curious").value, ["['-c']", "False", "False"])
            daemon.configure(backend_path=["."])
            self.assertEqual(daemon.hook(HOOK, backend="curious").value, ["['-c']", "False", "False"])

    def test_neither_folder_is_on_the_path(self):
        # A backend called like a file next to hookd, or in the working directory, is not found.
        tree = self.directory()
        with open(os.path.join(tree, "here.py"), "w"):
            pass
        for flags in ((), ("-I",), ("-s",), ("-E",)):
            daemon = self.hookd(tree, flags=flags)
            for name in ("here", "hookd"):
                with self.subTest(flags=flags, name=name):
                    self.assertEqual(daemon.hook(HOOK, backend=name).error[0], "MissingBackendModule")

    def test_signals_that_were_ignored_stay_ignored(self):
        environ = dict(os.environ, TMPDIR=self.directory(), PYTHONPATH=os.path.join(BACKENDS, "looks_around"))
        seen = []
        for command, lines in (
            ([HOOKD, self.directory()], "run\nbackend\nget_requires_for_build_wheel\n\nshutdown\n"),
            (["-c", "import backend, json; print('OK', json.dumps([json.dumps(backend.surroundings())]))"], ""),
        ):
            process = subprocess.run(
                ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', sys.executable, *command],
                input=lines.encode(),
                stdout=subprocess.PIPE,
                env=environ,
                check=True,
            )
            line = next(line for line in process.stdout.decode().splitlines() if line.startswith("OK "))
            line = line[3:] if "-c" in command else unescape(line[3:])
            seen.append(json.loads(json.loads(line)[0])["signals"])
        self.assertEqual(*seen)

    def test_threads_of_a_hook_are_waited_for(self):
        tree = self.tree_with(
            "late",
            "import threading, time\n"
            "def work():\n"
            "    time.sleep(0.2)\n"
            "    print('worked')\n"
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    threading.Thread(target=work).start()\n"
            "    return []\n",
        )
        for arguments in ((), ("--no-fork",)):
            daemon = self.hookd(tree, arguments=arguments, environ={"PYTHONPATH": tree})
            self.assertEqual(daemon.hook(HOOK, backend="late").value, [])
            self.assertEqual(daemon.outputs["STDOUT"], b"worked\n")

    def test_hooks_do_not_see_each_other(self):
        tree = self.tree_with(
            "stateful",
            "import os, sys\n"
            "state = []\n"
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    state.append('x')\n"
            "    os.environ['LEFT'] = os.environ.get('LEFT', '') + 'x'\n"
            "    sys.argv.append('x')\n"
            "    os.chdir('/')\n"
            "    os.umask(0o777)\n"
            "    return [str(len(state)), os.environ['LEFT'], str(len(sys.argv))]\n",
        )
        for arguments in ((), ("--no-fork",)):
            daemon = self.hookd(tree, arguments=arguments, environ={"PYTHONPATH": tree})
            for _ in range(3):
                self.assertEqual(daemon.hook(HOOK, backend="stateful").value, ["1", "x", "2"])


class Imports(TestCase):
    def test_once_for_all_hooks(self):
        daemon = self.installed("looks_around")
        values = [daemon.hook("get_requires_for_build_sdist").value for _ in range(3)]
        self.assertEqual(len({imported for imported, *_ in values}), 1)
        self.assertEqual(len({running for _, running, *_ in values}), 3)
        self.assertNotIn(values[0][0], [str(daemon.process.pid)] + [running for _, running, *_ in values])

    def test_each_backend_has_its_own(self):
        tree = self.directory()
        for name in ("one", "two"):
            with open(os.path.join(tree, name + ".py"), "w") as file:
                file.write(
                    "import sys\n"
                    "def get_requires_for_build_wheel(config_settings=None):\n"
                    "    return sorted({'one', 'two'} & set(sys.modules))\n"
                )
        daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
        for name in ("one", "two", "one"):
            self.assertEqual(daemon.hook(HOOK, backend=name).value, [name])

    def test_the_last_line_needs_no_end(self):
        tree = self.tree_with(
            "brief",
            "import sys\n"
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    print('out', end='')\n"
            "    sys.stderr.write('err')\n"
            "    return []\n",
        )
        for daemon in (
            self.hookd(tree, environ={"PYTHONPATH": tree}),
            self.hookd(tree, environ={"PYTHONPATH": tree}, arguments=["--no-fork"]),
        ):
            for _ in range(2):
                daemon.hook(HOOK, backend="brief").value
                self.assertEqual(daemon.outputs, {"STDOUT": b"out", "STDERR": b"err"})

    def test_what_an_import_says_is_said_once(self):
        hook = "\ndef get_requires_for_build_wheel(config_settings=None):\n    return []\n"
        for words in (
            "print('said', end='')",
            "sys.stdout.buffer.write(b'said')",
            "sys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint('said', end='')",
        ):
            with self.subTest(words):
                tree = self.tree_with("says", "import io, sys\n" + words + hook)
                daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
                said = b""
                for _ in range(3):
                    daemon.hook(HOOK, backend="says").value
                    said += daemon.outputs["STDOUT"]
                if not PYPY:
                    self.assertEqual(said, b"said")

    def test_standard_streams_may_be_anything(self):
        hook = "def get_requires_for_build_wheel(config_settings=None):\n    import sys\n    {}\n    return []\n"
        cases = (
            ("sys.stdout = None", "", b""),
            ("del sys.stdout", "", b""),
            ("", "del sys.stdout, sys.stderr", b""),
            ("", "sys.stdout = sys.__stdout__ = Odd()", b""),
            ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer)", "print('text')", b"text"),
        )
        for at_import, in_hook, expected in cases:
            with self.subTest(f"{at_import} {in_hook}"):
                tree = self.tree_with(
                    "odd",
                    "import io, sys\n"
                    "class Odd:\n"
                    "    def __getattr__(self, name):\n"
                    "        raise KeyError(name)\n" + at_import + "\n" + hook.format(in_hook or "pass"),
                )
                daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
                for _ in range(2):
                    self.assertEqual(daemon.hook(HOOK, backend="odd").value, [])
                    if not PYPY:
                        self.assertEqual(daemon.outputs["STDOUT"].strip(), expected)

    def test_the_first_hook_has_the_handlers_of_the_import(self):
        tree = self.tree_with(
            "handles",
            "import signal\n"
            "signal.signal(signal.SIGTERM, print)\n"
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    return [str(signal.getsignal(signal.SIGTERM) is print)]\n",
        )
        daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
        daemon.do("import", build_backend="handles")
        for _ in range(3):
            self.assertEqual(daemon.hook(HOOK, backend="handles").value, ["True"])

    def test_an_import_may_keep_a_thousand_files_open(self):
        tree = self.tree_with(
            "many",
            "import os, resource\n"
            "limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 2000) if limit > 0 else 2000, limit))\n"
            "files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]\n"
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    return []\n",
        )
        daemon = self.hookd(tree, environ={"PYTHONPATH": tree})
        for _ in range(3):
            self.assertEqual(daemon.hook(HOOK, backend="many").value, [])

    def test_exit_handlers_of_an_import(self):
        log = os.path.join(self.directory(), "log")
        daemon = self.installed("import_leaves", environ={"IMPORT_LEAVES": log})
        for _ in range(2):
            # The directory that the import has made is there for each hook; the hook's own goes with it.
            there, environ, own = daemon.hook(HOOK).value
            self.assertEqual((there, environ, os.path.exists(own)), ("True", "yes", False))
        self.assertTrue(os.listdir(daemon.temporary))
        daemon.shut_down()
        self.assertEqual(os.listdir(daemon.temporary), [])
        with open(log) as file:
            lines = file.read().splitlines()
        if not PYPY:
            self.assertEqual(lines, ["imported", "hook", "hook is over", "hook", "hook is over", "import is over"])

    def test_threads_left_by_an_import_need_new_interpreters(self):
        daemon = self.installed("threads")
        processes = set()
        for _ in range(2):
            answer = daemon.hook(HOOK)
            threads, process = answer.value
            self.assertEqual(threads, "2")
            self.assertIn("threads", answer.one("DEBUG"))
            processes.add(process)
        self.assertEqual(len(processes), 2)
        answer = daemon.do("import", build_backend="backend")
        self.assertIsNone(answer.value)
        self.assertIn("threads", answer.one("DEBUG"))
        self.assertEqual(self.in_tree("threads").hook(HOOK).value[0], "2")

    def test_new_interpreters_have_our_flags(self):
        tree = self.tree_with(
            "flags",
            "import sys\n"
            "def get_requires_for_build_wheel(config_settings=None):\n"
            "    return [str(sys.flags.no_user_site), str(sys.warnoptions), str(sys.argv)]\n",
        )
        for arguments in ((), ("--no-fork",)):
            daemon = self.hookd(tree, arguments=arguments, flags=["-s", "-W", "error::UserWarning"])
            daemon.configure(backend_path=["."])
            values = [daemon.hook(HOOK, backend="flags").value]
            daemon.configure(isolation="spawn")
            values.append(daemon.hook(HOOK, backend="flags").value)
            self.assertEqual(values, [["1", "['error::UserWarning']", "['-c']"]] * 2)


if __name__ == "__main__":
    unittest.main()
