"""Has its hooks in an object in an object in a module in a package."""

import os


class Hooks:
    def get_requires_for_build_wheel(self, config_settings=None):
        return ["nested"]

    def build_wheel(self, wheel_directory, config_settings=None, metadata_directory=None):
        name = "nested-1-py3-none-any.whl"
        open(os.path.join(wheel_directory, name), "w").close()
        return name


class api:
    v1 = Hooks()
