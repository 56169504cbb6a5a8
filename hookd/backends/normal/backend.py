"""Every hook of PEP 517 and PEP 660, as a well-behaved backend has them."""

import os
import sys

NAME = "normal-1"


def _requires(config_settings):
    print("config_settings:", config_settings)
    return ["tomli>=1", "wheel; python_version < '3'"]


def _metadata(metadata_directory):
    name = NAME + ".dist-info"
    os.mkdir(os.path.join(metadata_directory, name))
    with open(os.path.join(metadata_directory, name, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\nName: normal\nVersion: 1\n")
    return name


def _build(directory, name):
    with open(os.path.join(directory, name), "w") as file:
        file.write("built\n")
    # As mesonpy does: a stream that believes it can seek fails here.
    sys.stdout.reconfigure(errors="replace")
    print("built", name)
    print("a warning", file=sys.stderr)
    return name


def get_requires_for_build_wheel(config_settings=None):
    return _requires(config_settings)


def get_requires_for_build_sdist(config_settings=None):
    return _requires(config_settings)


def get_requires_for_build_editable(config_settings=None):
    return _requires(config_settings)


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return _metadata(metadata_directory)


def prepare_metadata_for_build_editable(metadata_directory, config_settings=None):
    return _metadata(metadata_directory)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("metadata_directory:", metadata_directory)
    return _build(wheel_directory, NAME + "-py3-none-any.whl")


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _build(wheel_directory, NAME + "-0.editable-py3-none-any.whl")


def build_sdist(sdist_directory, config_settings=None):
    return _build(sdist_directory, NAME + ".tar.gz")
