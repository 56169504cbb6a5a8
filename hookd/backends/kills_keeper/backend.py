"""Kills the process that it was forked from."""

import os
import signal
import time


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
