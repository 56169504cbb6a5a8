"""Lacks the object that pyproject.toml names."""


class api:
    pass
