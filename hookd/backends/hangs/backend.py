"""Hangs, with a child in its group; says `ready` first."""

import subprocess
import sys
import time


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    subprocess.Popen([sys.executable, "-c", "import time; print('child', flush=True); time.sleep(600)"])
    print("ready", flush=True)
    time.sleep(600)
