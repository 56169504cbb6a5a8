"""Wants a backend from outside of its source tree."""
