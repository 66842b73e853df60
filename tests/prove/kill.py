#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the agent before and after the calls by which something becomes durable or leaves it: does the promise hold?

usage: kill.py [--cuts N] [--seed S] [--jobs N] [--first-episode E] [--keep]

cuts.py says what is done and judged.
"""
import sys

import cuts
import episodes

if __name__ == "__main__":
    sys.exit(episodes.main("kill", cuts.Episode))
