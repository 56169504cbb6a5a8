"""Returns what neither JSON nor a pickle can hold."""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return lambda: None


def get_requires_for_build_wheel(config_settings=None):
    return {"a", "set"}


def get_requires_for_build_sdist(config_settings=None):
    cycle = []
    cycle.append(cycle)
    return cycle
