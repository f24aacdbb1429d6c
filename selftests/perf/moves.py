# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live move of a vCPU costs under load, on two hosts: moves.py [kernel].

The scenario is selftests/testbed/move.py, which says the figures.
"""

import os
import runpy
import sys

sys.argv = [sys.argv[0], sys.argv[1] if len(sys.argv) > 1 else "6.1", "2", "12"]
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testbed/move.py"))
