"""Recurses without end: until Python sees it, and until the machine does."""

import sys
import threading


def _recurse(depth=0):
    return _recurse(depth + 1)


def _sort(depth=0):
    # Through C code, so that every level takes machine stack in every version of Python.
    return sorted([0], key=lambda _: _sort(depth + 1))


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _recurse()


def build_sdist(sdist_directory, config_settings=None):
    sys.setrecursionlimit(10**9)
    threading.stack_size(256 * 1024)
    thread = threading.Thread(target=_sort)
    thread.start()
    thread.join()
    return "never.tar.gz"
