"""Tells what a process finds that runs a hook, as JSON."""

import json
import locale
import os
import signal
import sys
import warnings

SIGNALS = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGCHLD") if hasattr(signal, name)]
IMPORTED_IN = os.getpid()


def surroundings():
    return {
        "argv": sys.argv,
        "path": sys.path,
        "cwd": os.getcwd(),
        "signals": {name: str(signal.getsignal(getattr(signal, name))).split(" at ")[0] for name in SIGNALS},
        "mask": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "warnings": [[str(part) for part in entry] for entry in warnings.filters],
        "locale": locale.setlocale(locale.LC_ALL, None),
        "encodings": [sys.stdin.encoding, sys.stdout.encoding, sys.stderr.encoding, sys.getfilesystemencoding()],
        "errors": [sys.stdout.errors, sys.stderr.errors],
        "main": sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__")),
        "main_file": hasattr(sys.modules["__main__"], "__file__"),
        "hookd": "hookd" in sys.modules,
        "umask": os.umask(os.umask(0o22)) or 0,
        "descriptors": sorted(name for name in os.listdir("/proc/self/fd") if int(name) > 2)[1:],
        "dont_write_bytecode": sys.dont_write_bytecode,
        "environ": dict(os.environ),
    }


def get_requires_for_build_wheel(config_settings=None):
    return [json.dumps(surroundings())]


def get_requires_for_build_sdist(config_settings=None):
    # Two numbers: who has imported this module, and who runs the hook.
    return [str(IMPORTED_IN), str(os.getpid()), str(os.getpgid(0)), str(os.getsid(0))]
