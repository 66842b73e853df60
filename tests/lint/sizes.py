#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files up to 600 lines, functions up to 60, nesting up to 4: what grows past that holds two ideas.

Reads C as .clang-format leaves it: a function's braces stand in column 0, and a statement is indented 4 for each level.
"""
import re
import sys

import lint

FILE_LINES, FUNCTION_LINES, NESTING, INDENT = 600, 60, 4, 4
CONTROL = re.compile(r"^( *)(?:} )?(?:if|for|while|switch|do)\b")


def function_problems(path, text):
    begin = None
    for number, line in enumerate(text, 1):
        if line == "{":
            begin = number
        elif line.startswith("}") and begin is not None:
            if number - begin - 1 > FUNCTION_LINES:
                yield f"{path}:{begin}: a function of {number - begin - 1} lines, at most {FUNCTION_LINES}"
            begin = None
        match = CONTROL.match(line) if begin is not None else None
        if match and len(match.group(1)) > NESTING * INDENT:
            yield f"{path}:{number}: nested {len(match.group(1)) // INDENT} deep, at most {NESTING}"


def check(root):
    problems = []
    for path in lint.files(root, ".c", ".h", ".py", ".sh"):
        text = lint.lines(root, path)
        if len(text) > FILE_LINES:
            problems.append(f"{path}:{len(text)}: a file of {len(text)} lines, at most {FILE_LINES}")
        if path.endswith((".c", ".h")):
            problems.extend(function_problems(path, text))
    return problems


def function(body):
    return "int f(void)\n{\n" + body + "}\n"


def nested(depth):
    return "".join("    " * (i + 1) + "if (x)\n" for i in range(depth)) + "    " * (depth + 1) + "y();\n"


CLEAN = [("a.c", function("    x();\n" * 60) + function(nested(4))), ("b.c", "int x;\n" * 600),
         ("c.c", "static const int table[] = {\n" + "    1,\n" * 200 + "};\n")]
PLANTED = [("x.c", function("    x();\n" * 61)), ("y.c", function(nested(5))), ("z.c", "int x;\n" * 601),
           ("z.py", "x = 1\n" * 601)]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
