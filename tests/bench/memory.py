#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a child costs in memory, and what the agent has without children: the part of scale.py that says something under qemu-user
too, where neither time nor CPU means anything.

usage: memory.py [--children N]

Two agents, one with 100 children and one with N (1000), all online over sessions of their own, with the default suites. A child costs
(PSS with N - PSS with 100) / (N - 100); of an emulated agent PSS has the emulator too, and what that adds for each child is counted
with the child. The last line is JSON; status 0 if a child takes at most what scale.py allows.
"""
import argparse
import json
import os
import resource
import sys

import scale
from harness import Failure, SKIPPED


def resident(fleet):
    fleet.provision()
    fleet.start()
    return scale.pss_kilobytes(fleet.agent.pid)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/memory.py")
    parser.add_argument("--children", type=int, default=1000)
    children = parser.parse_args().children
    if not scale.FEW < children <= scale.CHILDREN_MAX:
        parser.error(f"expected {scale.FEW + 1} to {scale.CHILDREN_MAX} children")
    if os.geteuid() != 0:
        print(json.dumps({"memory": "skipped", "why": "the agent's PSS is shown to root only"}))
        return SKIPPED
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    few, many = scale.Fleet(scale.FEW), scale.Fleet(children)
    try:
        with_few, with_many = resident(few), resident(many)
    except Failure as e:
        for fleet in (few, many):
            fleet.bench.tails()
        print(json.dumps({"memory": "failed", "why": str(e)}))
        return 1
    finally:
        for fleet in (few, many):
            fleet.bench.remove()
    noise = scale.MEMORY_NOISE if children < scale.NOISE_MATTERS_BELOW else 0
    child = (with_many - with_few) / (children - scale.FEW)
    held = with_many - with_few <= scale.MEMORY_MAX * (children - scale.FEW) + noise
    print(json.dumps({"memory": "ok" if held else "failed", "children": children, "kb_a_child": round(child, 2),
                      "kb_with_100": with_few, "kb_with_all": with_many}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
