"""Writes as many bytes as `config_settings` says, in one line or in many."""

import os


def get_requires_for_build_wheel(config_settings=None):
    rest = config_settings["bytes"]
    block = (b"x" * 1023 + (b"\n" if config_settings.get("lines") else b"x")) * 64
    while rest > 0:
        rest -= os.write(1, block[:rest])
    return []
