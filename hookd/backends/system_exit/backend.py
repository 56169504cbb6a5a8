"""Exits the polite way, with the status that `config_settings` holds."""

import sys


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    sys.exit(config_settings["status"])
