#!/usr/bin/env python3
"""``python hookd.py [SOURCE_TREE]`` runs the package next to this file. README.md states the protocol."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from hookd.__main__ import main

main(sys.argv[1:])
