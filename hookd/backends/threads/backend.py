"""Leaves a thread behind when it is imported."""

import os
import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()


def get_requires_for_build_wheel(config_settings=None):
    return [str(threading.active_count()), str(os.getpid())]
