"""Has its import do what must be done once: at exit, and to the environment."""

import atexit
import os
import tempfile

directory = tempfile.TemporaryDirectory()
log = open(os.environ["IMPORT_LEAVES"], "a", buffering=1)
log.write("imported\n")
atexit.register(log.write, "import is over\n")
os.environ["SET_BY_IMPORT"] = "yes"


def get_requires_for_build_wheel(config_settings=None):
    log.write("hook\n")
    atexit.register(log.write, "hook is over\n")
    hooks_own.append(tempfile.TemporaryDirectory())
    return [str(os.path.isdir(directory.name)), os.environ["SET_BY_IMPORT"], hooks_own[0].name]


hooks_own = []
