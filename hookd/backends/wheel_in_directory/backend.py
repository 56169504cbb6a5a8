"""Returns a wheel's path instead of its name."""

import os


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    os.mkdir(os.path.join(wheel_directory, "sub"))
    name = "sub/wheel_in_directory-1-py3-none-any.whl"
    open(os.path.join(wheel_directory, name), "w").close()
    return name


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    path = os.path.join(wheel_directory, "wheel_in_directory-1-py3-none-any.whl")
    open(path, "w").close()
    return path
