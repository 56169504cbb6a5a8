"""Writes bytes that are not UTF-8, and a character in two halves."""

import os
import time


def get_requires_for_build_wheel(config_settings=None):
    os.write(1, b"caf\xe9 \xff\\\r\n")
    os.write(1, b"caf\xc3")
    time.sleep(0.2)
    os.write(1, b"\xa9\nno end of line")
    return []
