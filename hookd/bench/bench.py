"""
Measures hookd against one process for each hook, both sides in one run.

    python bench/bench.py [--python ENV/bin/python] [--runs 15]

The other side is `pyproject_hooks` if the measured Python has it, else a runner of our own that does the same: a new
interpreter for each hook, the result through a file. The rows with setuptools need it in the measured Python, and the
last ones `setuptools_rust`; "preloaded" is how cargo-pyenv-build calls hooks. Rounds of both sides alternate, so that a
machine that is busy is busy for both. hookd runs from byte code, as cargo-pyenv-build starts it; compiling it takes as
long as starting an interpreter.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HOOKD = os.path.join(os.path.dirname(HERE), "hookd.py")
#: What cargo-pyenv-build has hookd import with setuptools, a module in each line.
PRELOAD = os.path.join(os.path.dirname(HERE), "preload")
NORMAL = os.path.join(os.path.dirname(HERE), "backends", "normal")

#: Runs hooks, one process for each, and prints the seconds that each took. Itself a process, so that the measured
#: Python's own pyproject_hooks is used and nothing of this one's start is counted.
RUNNER = """
import json, os, subprocess, sys, tempfile, time

tree, backend = json.loads(sys.argv[1])
ONE = '''
import importlib, json, sys
backend, hook, arguments, path = json.loads(sys.argv[1])
sys.argv[:] = ['-c']
value = getattr(importlib.import_module(backend), hook)(*arguments)
json.dump(value, open(path, 'w'))
'''

def own(hook, arguments):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'result')
        values = json.dumps([backend, hook, arguments, path])
        subprocess.run([sys.executable, '-P' if sys.version_info >= (3, 11) else '-s', '-c', ONE, values],
                       cwd=tree, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path) as file:
            return json.load(file)

name = 'own runner'
call = own
try:
    import pyproject_hooks
except ImportError:
    pass
else:
    name = 'pyproject_hooks ' + pyproject_hooks.__version__
    caller = pyproject_hooks.BuildBackendHookCaller(
        tree, backend, runner=pyproject_hooks.quiet_subprocess_runner)
    def call(hook, arguments):
        return getattr(caller, hook)(*arguments)

print(name, flush=True)
for line in sys.stdin:
    seconds = []
    for hook, arguments in json.loads(line):
        start = time.perf_counter()
        call(hook, arguments)
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds), flush=True)
"""

#: What a hook takes in a process that has imported the backend: what neither side can save.
ITSELF = """
import importlib, json, os, sys, time
tree, backend, hook, arguments = json.loads(sys.argv[1])
os.chdir(tree)
start = time.perf_counter()
module = importlib.import_module(backend)
imported = time.perf_counter()
sys.argv[:] = ['-c']
stdout, sys.stdout = sys.stdout, open(os.devnull, 'w')
getattr(module, hook)(*arguments)
print(json.dumps([imported - start, time.perf_counter() - imported]), file=stdout)
"""


class Hookd:
    """A client that does no more than it must: it sends all values at once."""

    script = HOOKD

    def __init__(self, python, tree, environ, settings=None):
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [python, self.script, tree], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        )
        self.until(b"READY")
        self.started = time.perf_counter() - start
        self.send("configure", json.dumps({"messages": ["OUTPUT"], **(settings or {})}))
        self.until(b"OK")

    def send(self, *lines):
        text = "".join(line.replace("\\", "\\\\") + "\n" for line in lines)
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def until(self, word):
        while True:
            line = self.process.stdout.readline()
            if line.startswith(word):
                return line
            if not line or line.startswith((b"ERROR", b"FATAL")):
                raise SystemExit("hookd: %r %r" % (line, self.process.stdout.readline()))

    def hook(self, backend, hook, arguments):
        start = time.perf_counter()
        values = [value or "" for value in arguments]
        self.send("run", backend, hook, *values)
        self.until(b"OK")
        return time.perf_counter() - start

    def close(self):
        self.send("shutdown")
        self.process.communicate()


def values(hook, directory):
    """A hook's arguments, in the order of its signature."""
    return [None] if hook.startswith("get_requires") else [directory, None]


class Table:
    def __init__(self):
        self.rows = []

    def add(self, name, theirs, ours):
        self.rows.append((name, theirs, ours))

    def print(self, other):
        width = max(len(name) for name, *_ in self.rows)
        print("| %-*s | %s, ms | hookd, ms | ratio |" % (width, "median", other))
        print("| %s | --- | --- | --- |" % ("-" * width))
        for name, theirs, ours in self.rows:
            left = "%.1f" % (statistics.median(theirs) * 1000) if theirs else "-"
            right = "%.1f" % (statistics.median(ours) * 1000) if ours else "-"
            ratio = "%.1f" % (statistics.median(theirs) / statistics.median(ours)) if theirs and ours else "-"
            print("| %-*s | %s | %s | %s |" % (width, name, left, right, ratio))


def has(python, module):
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec(%r) is None)" % module
    return subprocess.run([python, "-c", code]).returncode == 0


def project(directory, rust):
    os.makedirs(os.path.join(directory, "package"))
    with open(os.path.join(directory, "package", "__init__.py"), "w"):
        pass
    with open(os.path.join(directory, "pyproject.toml"), "w") as file:
        file.write('[project]\nname = "package"\nversion = "1"\n[tool.setuptools]\npackages = ["package"]\n')
        if rust:
            file.write('[[tool.setuptools-rust.ext-modules]]\ntarget = "package._native"\n')
    if rust:
        with open(os.path.join(directory, "Cargo.toml"), "w") as file:
            file.write('[package]\nname = "native"\nversion = "0.1.0"\nedition = "2021"\n')
    return directory


def compare(table, title, python, tree, environ, backend, hooks, runs, settings=None, successive=1, itself=False):
    """
    Both sides in turn, so many `successive` times each: the given hooks in order.

    `settings` are for hookd's `configure`. With `itself` also what import and hook take in a process of their own, in
    the same rounds.
    """
    out = tree + "-out"
    ours, theirs, alone = [], [], []
    runner = subprocess.Popen(
        [python, "-c", RUNNER, json.dumps([tree, backend])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ,
        stderr=subprocess.DEVNULL,
        cwd=tree,
    )
    name = runner.stdout.readline().decode().strip()
    daemon = Hookd(python, tree, environ, settings)
    for _ in range(runs):
        for side in ["theirs"] * successive + ["ours"] * successive:
            shutil.rmtree(out, ignore_errors=True)
            os.mkdir(out)
            if side == "theirs":
                line = json.dumps([(hook, values(hook, out)) for hook in hooks]) + "\n"
                runner.stdin.write(line.encode())
                runner.stdin.flush()
                answer = runner.stdout.readline().decode()
                if not answer:
                    print("left out, since this backend cannot: " + title)
                    daemon.close()
                    return name
                theirs.append(sum(json.loads(answer)))
            else:
                ours.append(sum(daemon.hook(backend, hook, values(hook, out)) for hook in hooks))
        if itself:
            alone.append(alone_in_a_process(python, tree, environ, backend, hooks[0]))
    runner.communicate()
    daemon.close()
    table.add(title + ", first call", theirs[:1], ours[:1])
    table.add(title + ", second call on", theirs[1:], ours[1:])
    if itself:
        table.add("- its import alone", [imported for imported, _ in alone], [])
        table.add("- the hook itself, imported", [hook for _, hook in alone], [])
    return name


def alone_in_a_process(python, tree, environ, backend, hook):
    process = subprocess.run(
        [python, "-c", ITSELF, json.dumps([tree, backend, hook, [None]])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        check=True,
    )
    return json.loads(process.stdout.decode().splitlines()[-1])


def modules(name):
    with open(os.path.join(PRELOAD, name + ".txt")) as file:
        return file.read().split()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable, help="of an environment with the backends")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    environ = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=NORMAL)
    table = Table()
    with tempfile.TemporaryDirectory() as directory:
        package = shutil.copytree(os.path.join(os.path.dirname(HOOKD), "hookd"), os.path.join(directory, "hookd"))
        Hookd.script = shutil.copy(HOOKD, directory)
        mode = ["--invalidation-mode", "unchecked-hash"]
        subprocess.run([options.python, "-m", "compileall", "-q", *mode, package], check=True)
        bare, ready = [], []
        for _ in range(options.runs):
            start = time.perf_counter()
            subprocess.run([options.python, "-c", "pass"], env=environ, check=True)
            bare.append(time.perf_counter() - start)
            daemon = Hookd(options.python, directory, environ)
            ready.append(daemon.started)
            daemon.close()
        table.add("start: `python -c pass`, hookd to READY", bare, ready)
        hook = "get_requires_for_build_wheel"
        title = "empty hook"
        name = compare(table, title, options.python, directory, environ, "backend", [hook], options.runs, successive=3)
        if has(options.python, "setuptools"):
            tree = project(os.path.join(directory, "plain"), rust=False)
            backend = "setuptools.build_meta"
            title = hook + " of setuptools"
            compare(
                table, title, options.python, tree, environ, backend, [hook], options.runs, successive=3, itself=True
            )
            preload = {"preload": modules("setuptools")}
            title += ", preloaded"
            compare(table, title, options.python, tree, environ, backend, [hook], options.runs, preload, 3, itself=True)
            three = ["get_requires_for_build_wheel", "prepare_metadata_for_build_wheel", "build_sdist"]
            compare(table, "three hooks of setuptools", options.python, tree, environ, backend, three, options.runs)
            if has(options.python, "setuptools_rust"):
                tree = project(os.path.join(directory, "rust"), rust=True)
                title = "three hooks of setuptools-rust"
                compare(table, title, options.python, tree, environ, backend, three, options.runs)
                title += ", preloaded"
                compare(table, title, options.python, tree, environ, backend, three, options.runs, preload)
        version = subprocess.check_output([options.python, "-c", "import sys; print(sys.version.split()[0])"])
        print("Python %s, %d runs" % (version.decode().strip(), options.runs))
        table.print(name)


if __name__ == "__main__":
    main()
