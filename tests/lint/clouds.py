#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No code names a cloud: what is particular to one stands in its profile. Registrars, which call a cloud's own API, are apart."""
import re
import sys

import lint

FOLDERS = ("src/payload/", "src/spool/", "src/device/", "src/uplink/", "src/link/", "src/rotation/", "src/base/")
CLOUD = re.compile(r"golioth|hono\b|hono[-_]|thingsboard|home ?-?assistant|hawkbit|\bazure|\baws\b|emqx|tencent|huawei", re.IGNORECASE)
# Which registrar a configuration asks for; a library's or a peer's own report.
EXCEPT = re.compile(r"CONFIG_REGISTRAR_\w+|[\w-]+#\d+")


def check(root):
    problems = []
    for path in lint.files(root):
        if not path.startswith(FOLDERS) or not path.endswith((".c", ".h")):
            continue
        for number, line in enumerate(lint.lines(root, path), 1):
            match = CLOUD.search(EXCEPT.sub("", line))
            if match:
                problems.append(f"{path}:{number}: \"{match.group(0)}\": a cloud's name; what it wants belongs into its profile")
    return problems


CLEAN = [("src/payload/a.c", "/* an honour */\n"), ("src/device/b.c", "case CONFIG_REGISTRAR_HONO:\n"),
         ("src/registrar/c.c", "/* Golioth */\n"), ("src/uplink/d.c", "/* hono#2188: seen */\n"), ("etc/e.json", "\"golioth\"\n")]
PLANTED = [("src/payload/a1.c", "if (strcmp(name, \"hono\") == 0)\n"), ("src/device/a2.h", "/* Golioth wants it so */\n"),
           ("src/uplink/a3.c", "hono_poll();\n"), ("src/payload/a4.c", "\"homeassistant/\"\n")]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
