#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""C is formatted by .clang-format, as version 14 reads it: other versions format the same options differently, so with
those, or without any, this is skipped."""
import os
import re
import shutil
import subprocess
import sys

import lint

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERSION = "14"


def program():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        if shutil.which(name):
            said = subprocess.run([name, "--version"], stdout=subprocess.PIPE, text=True).stdout
            match = re.search(r"version (\d+)\.", said)
            if match and match.group(1) == VERSION:
                return name
    return None


def check(root):
    paths = lint.files(root, ".c", ".h")
    if not paths:
        return []
    done = subprocess.run([program(), f"--style=file:{ROOT}/.clang-format", "--dry-run", "--ferror-limit=1", *paths], cwd=root,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return re.findall(r"^(\S+?:\d+:\d+: (?:warning|error): .*)$", done.stdout, re.MULTILINE)


CLEAN = [("a.c", "int f(void)\n{\n    return 1;\n}\n")]
PLANTED = [("b.c", "int f(void) {\n  return 1;\n}\n"), ("c.h", "int  f( void );\n")]

if __name__ == "__main__":
    if program() is None:
        print(f"clang-format {VERSION} is not installed")
        sys.exit(lint.SKIPPED)
    sys.exit(lint.main(check, CLEAN, PLANTED))
