"""No orphans: what is left when a hook is cancelled, a client goes away, or hookd is ended."""

import glob
import os
import signal
import subprocess
import sys
import unittest

from support import BACKENDS, HOOKD, LINUX, TestCase, census, eventually

HOOK = "build_wheel"


@unittest.skipUnless(LINUX, "a census needs /proc")
class Census(TestCase):
    def start(self, daemon, settings=None):
        """Runs a backend that hangs, and waits until it does; returns its messages so far."""
        daemon.start_hook(HOOK, directory=self.directory(), settings=settings)
        answer = daemon.until("OUTPUT", "1 ready")
        self.assertGreater(len(census(daemon.token)), 1)
        return answer

    def hanging(self, name, **settings):
        settings = dict({"messages": ["OUTPUT"], "grace_seconds": 0.2, "cancellable": True}, **settings)
        return self.every_way(name, **settings)

    def processes_of(self, daemon):
        """All but hookd and its keepers."""
        found = []
        for pid in set(census(daemon.token)) - {daemon.process.pid}:
            try:
                with open("/proc/%d/stat" % pid) as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                if parent != daemon.process.pid or not self.is_hookds(daemon, pid):
                    found.append(pid)
            except OSError:
                continue
        return sorted(found)

    def is_hookds(self, daemon, pid):
        with open("/proc/%d/cmdline" % pid, "rb") as file, open("/proc/%d/cmdline" % daemon.process.pid, "rb") as own:
            return file.read() == own.read()

    def test_cancel(self):
        for name in ("hangs", "ignores_sigterm"):
            for way, daemon in self.hanging(name):
                with self.subTest(name=name, way=way):
                    self.start(daemon)
                    daemon.write("cancel\n")
                    answer = daemon.finish()
                    self.assertEqual(answer.error, ("HookCancelled", "cancelled by the client"))
                    self.assertEqual(self.processes_of(daemon), [])
                    # It goes on.
                    daemon.configure(source_tree=os.path.join(BACKENDS, "minimal"), backend_path=["."])
                    daemon.hook("build_sdist", directory=self.directory()).value

    def test_cancel_of_an_import(self):
        daemon = self.installed("import_hangs", messages=["OUTPUT", "CHILD"], grace_seconds=0.2, cancellable=True)
        for start in (
            lambda: daemon.start_hook(HOOK, directory=self.directory()),
            lambda: daemon.start("import", build_backend="backend"),
        ):
            start()
            child = daemon.until("CHILD").one("CHILD")
            daemon.until("OUTPUT", "1 ready")
            self.assertIn(int(child), census(daemon.token))
            daemon.write("cancel\n")
            self.assertEqual(daemon.finish().error, ("HookCancelled", "cancelled by the client"))
            self.assertEqual(census(daemon.token), [daemon.process.pid])

    def test_without_cancellable_it_is_not_read_as_a_message(self):
        daemon = self.in_tree("minimal")
        daemon.start("run", build_backend="backend", hook_name="build_sdist", sdist_directory=self.directory())
        daemon.write("\ncancel\nshutdown\n")
        answer, status = daemon.wait()
        self.assertEqual((answer.one("OK"), status), ('"minimal-1.tar.gz"', 0))
        self.assertEqual(len(answer.all("DEBUG")), 1)

    def test_client_that_kills_the_group_itself(self):
        daemon = self.in_tree("hangs", messages=["CHILD", "OUTPUT"])
        answer = self.start(daemon)
        os.killpg(int(answer.all("CHILD")[-1]), signal.SIGTERM)
        kind, text = daemon.finish().error
        self.assertEqual(
            (kind, text), ("HookRuntimeError", "the hook process was killed by SIGTERM before it had answered")
        )
        self.assertEqual(self.processes_of(daemon), [])

    def test_end_of_file(self):
        for name in ("hangs", "ignores_sigterm"):
            for way, daemon in self.hanging(name):
                with self.subTest(name=name, way=way):
                    self.start(daemon)
                    daemon.process.stdin.close()
                    answer, status = daemon.wait()
                    self.assertEqual(answer.error, ("HookCancelled", "the client is gone"))
                    self.assertEqual(status, 1)
                    self.assertEqual(census(daemon.token), [])
                    self.assertEqual(os.listdir(daemon.temporary), [])

    def test_output_that_nobody_reads(self):
        for way, daemon in self.hanging("floods"):
            with self.subTest(way):
                daemon.start_hook("get_requires_for_build_wheel", settings={"bytes": 2**40})
                daemon.until("OUTPUT")
                daemon.process.stdin.close()
                daemon.process.stdout.close()
                daemon.process.wait()
                eventually(lambda: not census(daemon.token))

    def test_signals_to_hookd(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            for way, daemon in self.hanging("hangs"):
                with self.subTest(number=number, way=way):
                    self.start(daemon)
                    daemon.process.send_signal(number)
                    answer, status = daemon.wait()
                    name = signal.Signals(number).name
                    self.assertEqual(answer.error, ("HookCancelled", "hookd was ended by " + name))
                    self.assertEqual(answer.one("FATAL"), "Terminated by " + name)
                    self.assertEqual(status, 128 + number)
                    self.assertEqual(census(daemon.token), [])

    def test_signals_to_an_idle_hookd(self):
        for arguments in ((), ("--no-fork",)):
            daemon = self.installed("minimal", arguments=arguments)
            daemon.hook("build_sdist", directory=self.directory())
            daemon.process.send_signal(signal.SIGTERM)
            answer, status = daemon.wait()
            self.assertEqual((answer.one("FATAL"), status), ("Terminated by SIGTERM", 143))
            self.assertEqual(census(daemon.token), [])

    def test_hookd_that_is_killed(self):
        for way, daemon in list(self.hanging("ignores_sigterm"))[:3]:
            with self.subTest(way):
                self.start(daemon)
                # What it keeps while it runs goes with it, wherever the client wants that to be.
                daemon.process.kill()
                daemon.process.wait()
                eventually(lambda: not census(daemon.token))
                self.assertEqual(os.listdir(daemon.temporary), [])

    def test_hookds_own_files_are_where_the_client_wants_them(self):
        directory = self.directory()
        for way, daemon in self.every_way("normal", temporary=directory, messages=["OUTPUT"]):
            with self.subTest(way):
                daemon.hook("get_requires_for_build_wheel")
                self.assertEqual([name.startswith("hookd-") for name in os.listdir(directory)], [True])
                daemon.shut_down()
                self.assertEqual(os.listdir(directory), [])

    def test_client_that_is_killed(self):
        # The client is a process of its own; we hold no end of its pipes.
        for arguments in ([], ["--no-fork"]):
            with self.subTest(arguments):
                token = "client%d%s" % (os.getpid(), "".join(arguments))
                directory = self.directory()
                code = (
                    "import subprocess, sys, time\n"
                    "p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
                    'p.stdin.write(b\'configure\\n{"backend_path": ["."], "grace_seconds": 0.2}\\n\')\n'
                    "p.stdin.write(b'run\\nbackend\\nbuild_wheel\\n.\\n\\n\\n')\n"
                    "p.stdin.flush()\n"
                    "time.sleep(600)\n"
                )
                tree = os.path.join(BACKENDS, "ignores_sigterm")
                client = subprocess.Popen(
                    [sys.executable, "-c", code, sys.executable, HOOKD, *arguments, tree],
                    env=dict(os.environ, HOOKD_TEST=token, TMPDIR=directory, PYTHONDONTWRITEBYTECODE="1"),
                )
                eventually(lambda: self.is_ready(directory))
                client.kill()
                client.wait()
                eventually(lambda: not census(token))

    def test_client_that_goes_away_while_a_file_is_the_input(self):
        # Only the parent tells: a regular file is always at its end.
        directory = self.directory()
        token = "file%d" % os.getpid()
        script = os.path.join(directory, "script")
        with open(script, "w") as file:
            file.write('configure\n{"backend_path": ["."], "grace_seconds": 0.2}\n')
            file.write("run\nbackend\nbuild_wheel\n.\n\n\nshutdown\n")
        tree = os.path.join(BACKENDS, "hangs")
        client = subprocess.Popen(
            ["sh", "-c", '"$0" "$@" <"%s" >/dev/null; :' % script, sys.executable, HOOKD, tree],
            env=dict(os.environ, HOOKD_TEST=token, TMPDIR=directory, PYTHONDONTWRITEBYTECODE="1"),
        )
        eventually(lambda: self.is_ready(directory))
        self.assertIsNone(client.poll())
        client.kill()
        client.wait()
        eventually(lambda: not census(token))

    def is_ready(self, directory):
        """Whether the hook has said so, in the file that gets its standard output."""
        for path in glob.glob(os.path.join(directory, "*.stdout")):
            with open(path, "rb") as file:
                return b"ready" in file.read()
        return False

    def test_leftovers_of_a_hook_that_returned(self):
        for way, daemon in self.hanging("daemons"):
            with self.subTest(way):
                answer = daemon.hook(HOOK, directory=self.directory())
                self.assertEqual(answer.value, "daemons-1-py3-none-any.whl")
                pids = dict(line.split() for line in answer.output(1).splitlines())
                # In its group: ended. In a session of its own, as a compiler's server: left alone.
                self.assertEqual(self.processes_of(daemon), [int(pids["in-session"])])
                daemon.hook(HOOK, directory=self.directory()).value
                daemon.shut_down()
                self.assertIn(int(pids["in-session"]), census(daemon.token))
                self.assertEqual(len(census(daemon.token)), 2)

    def test_output_is_there_while_the_hook_runs(self):
        daemon = self.in_tree("hangs", cancellable=True, grace_seconds=0.2)
        daemon.start_hook(HOOK, directory=self.directory())
        path = daemon.until("STDOUT").one("STDOUT")
        eventually(lambda: os.path.getsize(path) >= len("ready\n"))
        daemon.write("cancel\n")
        daemon.finish()

    def test_a_flood_grows_nobodys_memory(self):
        for way, daemon in self.hanging("floods", messages=["OUTPUT", "USAGE"]):
            with self.subTest(way):
                size = 32 * 1024 * 1024
                self.flood(daemon, 1024 * 1024)
                before = self.peak(daemon)
                self.flood(daemon, size)
                self.assertLess(self.peak(daemon) - before, 16 * 1024)

    def flood(self, daemon, size):
        daemon.start_hook("get_requires_for_build_wheel", settings={"bytes": size})
        received = 0
        while True:
            word, value = daemon.read()
            daemon.log.clear()
            daemon.log.append((word, ""))
            if word == "OUTPUT":
                received += len(value) - 2
            elif word == "OK":
                break
            else:
                self.assertNotIn(word, ("ERROR", "FATAL", None))
        self.assertEqual(received, size)
        daemon.finish()

    def peak(self, daemon):
        with open("/proc/%d/status" % daemon.process.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


if __name__ == "__main__":
    unittest.main()
