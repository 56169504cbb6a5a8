"""Returns names of things that it has not made."""

import os


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return "missing_file-1-py3-none-any.whl"


def build_sdist(sdist_directory, config_settings=None):
    name = "missing_file-1.tar.gz"
    os.mkdir(os.path.join(sdist_directory, name))
    return name


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    name = "missing_file-1.dist-info"
    open(os.path.join(metadata_directory, name), "w").close()
    return name


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return ""
