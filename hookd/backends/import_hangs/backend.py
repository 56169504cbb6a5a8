"""Hangs while it is imported."""

import time

print("ready", flush=True)
time.sleep(600)
