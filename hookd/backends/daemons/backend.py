"""Leaves processes behind: in its group, in a session of its own, and (`hang`) hangs on top of it."""

import os
import subprocess
import sys
import time

SLEEP = "import sys, time; print(sys.argv[1], flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


def _start(name, code=SLEEP, **options):
    process = subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, **options)
    process.stdout.readline()
    print(name, process.pid, flush=True)
    # Keep `subprocess` from complaining that it is still there.
    process.returncode = 0


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _start("in-group")
    _start("stubborn", code=STUBBORN)
    _start("in-session", start_new_session=True)
    if config_settings and config_settings.get("hang"):
        print("ready", flush=True)
        time.sleep(600)
    name = "daemons-1-py3-none-any.whl"
    open(os.path.join(wheel_directory, name), "w").close()
    return name
