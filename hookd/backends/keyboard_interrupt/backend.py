"""Is interrupted: by an exception of its own, and by a signal."""

import os
import signal
import time


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise KeyboardInterrupt


def build_sdist(sdist_directory, config_settings=None):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
