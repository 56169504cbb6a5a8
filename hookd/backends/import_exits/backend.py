"""Exits while it is imported, the rude way if the environment says so."""

import os
import signal
import sys

how = os.environ.get("IMPORT_EXITS", "3")
if how == "rude":
    os._exit(4)
if how.startswith("SIG"):
    os.kill(os.getpid(), getattr(signal, how))
sys.exit(int(how))
