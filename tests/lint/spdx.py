#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every source says its licence in its first line, or in the second after a #! line."""
import sys

import lint

TAG = "SPDX-License-Identifier: LGPL-2.1-or-later"
NAMES = ("meson.build", "meson_options.txt", "dev")


def wanted(path):
    return path.endswith((".c", ".h", ".py", ".sh")) or path.split("/")[-1] in NAMES or path == ".ci/run"


def check(root):
    problems = []
    for path in filter(wanted, lint.files(root)):
        text = lint.lines(root, path)
        first = text[1:2] if text and text[0].startswith("#!") else text[0:1]
        expected = f"/* {TAG} */" if path.endswith((".c", ".h")) else f"# {TAG}"
        if first != [expected]:
            problems.append(f"{path}:1: the first line is not `{expected}`")
    return problems


CLEAN = [("a.c", f"/* {TAG} */\n"), ("a.py", f"#!/usr/bin/env python3\n# {TAG}\n"), ("x/meson.build", f"# {TAG}\n")]
PLANTED = [("b.c", "int x;\n"), ("b.h", ""), ("b.sh", "#!/bin/sh\ntrue\n"), ("meson.build", f"\n# {TAG}\n"),
           (".ci/run", "#!/bin/sh\n"), ("c.c", "/* SPDX-License-Identifier: MIT */\n")]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
