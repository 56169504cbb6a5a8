"""Only what PEP 517 makes mandatory."""

import os


def _build(directory, name):
    open(os.path.join(directory, name), "w").close()
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _build(wheel_directory, "minimal-1-py3-none-any.whl")


def build_sdist(sdist_directory, config_settings=None):
    return _build(sdist_directory, "minimal-1.tar.gz")
