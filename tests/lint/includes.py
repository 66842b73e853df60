#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom: the layout is the architecture, and this keeps it."""
import re
import sys

import lint

LOWER = {"vault", "spool", "payload", "config", "link", "rotation", "coap", "uplink", "registrar"}
ALLOWED = {
    "base": set(),
    "vault": {"base"},
    "spool": {"base"},
    "payload": {"base"},
    "config": {"base"},
    "link": {"base"},
    "rotation": {"base"},
    "coap": {"base"},
    "uplink": {"base", "coap", "vault"},
    "registrar": {"base", "coap", "vault", "uplink"},
    "device": {"base"} | LOWER,
    "check": {"base", "config"},
    "doctor": {"base", "check", "device"} | LOWER,
    "bus": {"base", "device", "doctor"} | LOWER,
}
FOLDERS = set(ALLOWED)
PLUGIN_HEADERS = {"gatehouse/plugin.h"}
# The header that hands out key bytes, and who may see it.
KEY_HEADER = "vault/key.h"
KEY_READERS = re.compile(r"^(src/vault/|src/uplink/|src/registrar/offer\.c$|tests/)")
# getopt_long() takes any beginning of an option's name for the option: base/options.h does not.
OPTION_READERS = re.compile(r"^(src/base/options\.h$|tests/)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def problem_of(path, quote, header):
    target = header.split("/")[0] if "/" in header else None
    if ".." in header.split("/"):
        return "a path that climbs"
    if header == KEY_HEADER and not KEY_READERS.match(path):
        return "it hands out key bytes: only src/vault, src/uplink and src/registrar/offer.c may"
    if header == "getopt.h" and not OPTION_READERS.match(path):
        return "options are read by base/options.h, which takes no abbreviations"
    if quote == "<" and target in FOLDERS:
        return f'ours, so write "{header}"'
    if path.startswith("plugins/"):
        if target in FOLDERS or (quote == '"' and target is not None and header not in PLUGIN_HEADERS
                                 and target != path.split("/")[1]):
            return "plugins see nothing but include/gatehouse"
    if path.startswith("include/") and target in FOLDERS:
        return "the installed header stands alone"
    own = folder_of(path)
    if own is None or target is None:
        return None
    if own not in ALLOWED:
        return f"src/{own} is not in tests/lint/includes.py: say there what it may include"
    if target in FOLDERS and target != own and target not in ALLOWED[own]:
        return f"{own} may include {', '.join(sorted(ALLOWED[own])) or 'nothing of ours'}"
    if target == "gatehouse" and own in ("base", "vault", "coap", "uplink", "rotation", "registrar"):
        return f"{own} has nothing to do with plugins"
    return None


def check(root):
    problems = []
    for path in lint.files(root, ".c", ".h"):
        for number, line in enumerate(lint.lines(root, path), 1):
            match = INCLUDE.match(line)
            reason = problem_of(path, *match.groups()) if match else None
            if reason:
                problems.append(f"{path}:{number}: includes {match.group(2)}: {reason}")
    return problems


CLEAN = [
    ("src/vault/key.h", '#include "base/error.h"\n#include <stddef.h>\n'),
    ("src/uplink/session.c", '#include "uplink/session.h"\n\n#include "vault/key.h"\n'),
    ("src/registrar/offer.c", '#include "vault/key.h"\n'),
    ("src/base/options.h", '#include <getopt.h>\n'),
    ("plugins/modbus/decode.c", '#include "decode.h"\n#include <gatehouse/plugin.h>\n'),
    ("agent/gatehoused/main.c", '#include "bus/manager.h"\n#include "vault/vault.h"\n'),
]
PLANTED = [
    ("src/base/x.c", '#include "vault/vault.h"\n'),
    ("src/vault/x.c", '#include "uplink/session.h"\n'),
    ("src/rotation/machine.c", '#include "vault/vault.h"\n'),
    ("src/link/x.h", '# include "config/config.h"\n'),
    ("src/uplink/x.c", '#include "bus/manager.h"\n'),
    ("src/uplink/y.c", '#include "payload/profile.h"\n'),
    ("src/coap/x.c", '#include "uplink/session.h"\n'),
    ("src/spool/x.c", '#include <payload/senml.h>\n'),
    ("src/novel/x.c", '#include "base/error.h"\n'),
    ("plugins/modbus/x.c", '#include "base/error.h"\n'),
    ("plugins/modbus/y.c", '#include "sim/signal.h"\n'),
    ("include/gatehouse/plugin.h", '#include "base/error.h"\n'),
    ("agent/gatehousectl/x.c", '#include "vault/key.h"\n'),
    ("src/registrar/coap.c", '#include "vault/key.h"\n'),
    ("agent/gatehoused/options.c", '#include <getopt.h>\n'),
    ("src/vault/y.c", '#include "../uplink/session.h"\n'),
]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
