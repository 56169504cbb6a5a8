"""Is on `sys.path`, but not in `backend-path`, which leads to an empty directory."""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return "elsewhere"
