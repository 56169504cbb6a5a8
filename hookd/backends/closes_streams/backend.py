"""Closes the standard streams, and every descriptor it can think of."""

import os
import sys


def get_requires_for_build_wheel(config_settings=None):
    print("last words")
    sys.stdout.close()
    sys.stderr.close()
    os.close(0)
    return ["streams"]


def get_requires_for_build_sdist(config_settings=None):
    os.closerange(0, 256)
    # What is opened now gets the numbers that others believe to be theirs.
    for _ in range(64):
        os.open(os.devnull, os.O_RDWR)
    return ["descriptors"]
