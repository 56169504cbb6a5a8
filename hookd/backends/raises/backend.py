"""Raises: a plain exception, one with a cause, one that cannot be shown."""


class Unshowable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise ValueError("two\nlines and a back\\slash")


def build_sdist(sdist_directory, config_settings=None):
    try:
        {}["missing"]
    except KeyError as error:
        raise RuntimeError("with a cause") from error


def get_requires_for_build_wheel(config_settings=None):
    raise Unshowable
