"""Is killed by the signal that `config_settings` names."""

import os
import signal
import time


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    os.kill(os.getpid(), getattr(signal, config_settings["signal"]))
    time.sleep(60)
