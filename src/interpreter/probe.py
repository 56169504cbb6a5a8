"""Answers what kind of Python runs it: one JSON object on one line of stdout, exit status 0.

Run with ``-I -B -c``. ``{"status": "ok", ...}`` or ``{"status": "error", "kind": ..., "message": ...}``. Parsable by
every Python from 2.7 on, so that an old one gets a clear answer instead of a syntax error.
"""

import json
import os
import sys


def base_executable():
    """The interpreter below all virtual environments.

    Before 3.11 ``sys._base_executable`` is the environment's own python on POSIX, so pyvenv.cfg is asked first.
    """
    executable = getattr(sys, "_base_executable", None) or sys.executable
    kind = sys.implementation.name if sys.implementation.name in ("pypy", "graalpy") else "python"
    version = kind + "%d.%d" % sys.version_info[:2]
    # The most precise name first: /usr/bin/python3 may be another Python than the one that made the environment, and the
    # free-threaded one is python3.13t next to python3.13. Windows has one version in a directory, and knows what it started.
    names = [version + getattr(sys, "abiflags", ""), version, os.path.basename(sys.executable), "python3", "python"]
    if os.name == "nt":
        names = [os.path.basename(executable)] + names
    if sys.prefix == sys.base_prefix:
        # However it was called, for the names of links in environments that are made with it.
        candidates = [os.path.join(os.path.dirname(executable), name) for name in names]
        same = [path for path in candidates if os.path.isfile(path) and os.path.samefile(path, executable)]
        return (same + [executable])[0]
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg")) as config:
            lines = [line.partition("=") for line in config]
        home = [value.strip() for key, _, value in lines if key.strip().lower() == "home"][0]
        for name in names:
            candidate = os.path.join(home, name)
            if os.path.isfile(candidate):
                return candidate
    except (OSError, IndexError):
        pass
    if executable != sys.executable and os.path.isfile(executable):
        return executable
    return os.path.realpath(sys.executable)


def full_version(info):
    """PEP 508: ``implementation_version``."""
    version = "%d.%d.%d" % tuple(info[:3])
    return version if info[3] == "final" else version + info[3][0] + str(info[4])


def answer():
    """The whole answer."""
    if sys.version_info < (3, 8):
        return {
            "status": "error",
            "kind": "unsupported-version",
            "message": "this is Python %d.%d.%d" % tuple(sys.version_info[:3]),
        }

    import platform
    import sysconfig

    variable = sysconfig.get_config_var
    return {
        "status": "ok",
        "executable": sys.executable,
        "base_executable": base_executable(),
        "identity": {
            "implementation": sys.implementation.name,
            "version": platform.python_version(),
            "implementation_version": full_version(sys.implementation.version),
            "cache_tag": sys.implementation.cache_tag,
            "soabi": variable("SOABI"),
            "ext_suffix": variable("EXT_SUFFIX"),
            "abiflags": getattr(sys, "abiflags", ""),
            "free_threaded": bool(variable("Py_GIL_DISABLED")),
            "debug": hasattr(sys, "gettotalrefcount"),
            "platform": sysconfig.get_platform(),
            "pointer_width": 64 if sys.maxsize > 2**32 else 32,
            "base_prefix": sys.base_prefix,
            "base_executable": os.path.realpath(base_executable()),
            "library_directory": variable("LIBDIR"),
        },
        "markers": {
            "implementation_name": sys.implementation.name,
            "implementation_version": full_version(sys.implementation.version),
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_python_implementation": platform.python_implementation(),
            "platform_release": platform.release(),
            "platform_system": platform.system(),
            "platform_version": platform.version(),
            "python_full_version": platform.python_version(),
            "python_version": ".".join(platform.python_version_tuple()[:2]),
            "sys_platform": sys.platform,
        },
    }


sys.stdout.write(json.dumps(answer()) + "\n")
