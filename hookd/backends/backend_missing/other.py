"""Is not the backend that pyproject.toml names."""
