"""Exits the rude way, with the status that `config_settings` holds; also once it has returned."""

import atexit
import os


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    os._exit(config_settings["status"])


def get_requires_for_build_wheel(config_settings=None):
    atexit.register(os._exit, 5)
    return []
