"""Raises while it is imported, and leaves something half done."""

import import_raises_part

raise ValueError("at import")
