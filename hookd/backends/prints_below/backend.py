"""Writes to standard output below Python: by descriptor, from C, from a child; and tries every other descriptor."""

import ctypes
import os
import subprocess
import sys


def get_requires_for_build_wheel(config_settings=None):
    print("print")
    os.write(1, b"os.write\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"puts")
    libc.fflush(None)
    subprocess.check_call(["echo", "echo"])
    subprocess.check_call([sys.executable, "-c", "import sys; print('stdin', repr(sys.stdin.read()))"])
    subprocess.check_call(["sh", "-c", "for n in 3 4 5 6 7 8 9; do echo FATAL leak >&$n; done 2>/dev/null; :"])
    for descriptor in range(3, 256):
        try:
            os.write(descriptor, b"FATAL leak\n")
        except OSError:
            pass
    print("stdin", repr(sys.stdin.read()))
    print("err", file=sys.stderr)
    return []
