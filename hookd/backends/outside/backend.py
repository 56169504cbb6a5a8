"""Returns names that lead out of the directory that it was given."""

import os


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    open(os.path.join(wheel_directory, "..", "outside-1-py3-none-any.whl"), "w").close()
    return "../outside-1-py3-none-any.whl"


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return ".."
