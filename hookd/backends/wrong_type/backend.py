"""Returns what JSON can hold and the PEPs do not allow."""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return None


def build_sdist(sdist_directory, config_settings=None):
    return b"wrong_type-1.tar.gz"


def get_requires_for_build_wheel(config_settings=None):
    return "setuptools"


def get_requires_for_build_sdist(config_settings=None):
    return ["setuptools", 1]


def get_requires_for_build_editable(config_settings=None):
    return ("a", "tuple", "passes")


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return 7
