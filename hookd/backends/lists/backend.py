"""Lists the source tree in the ways that Python has, as JSON."""

import glob
import json
import os
import pathlib
import shutil


def listings():
    with os.scandir() as entries:
        scanned = [entry.name for entry in entries]
    return {
        "os.listdir": os.listdir(),
        "os.listdir of bytes": [os.fsdecode(name) for name in os.listdir(b".")],
        "os.scandir": scanned,
        "os.walk": [name for names in next(os.walk("."))[1:] for name in names],
        "glob": glob.glob("*"),
        "pathlib": [path.name for path in pathlib.Path.cwd().iterdir()],
        "shutil": copied(),
    }


def copied():
    shutil.copytree(os.getcwd(), os.getcwd() + ".copy", ignore_dangling_symlinks=True)
    try:
        return os.listdir(os.getcwd() + ".copy")
    finally:
        shutil.rmtree(os.getcwd() + ".copy")


def get_requires_for_build_wheel(config_settings=None):
    return [json.dumps({name: sorted(names) for name, names in listings().items()})]


get_requires_for_build_sdist = get_requires_for_build_wheel
