#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent's loop waits for nobody on the bus: it uses no function of sd-bus that sends and waits for the answer, and leaves
no method or property to sd-bus's own rule on privileges, which asks the bus in the same way.

usage: waiting.py ROOT | --self-test
"""
import re
import sys

import lint

FOLDERS = ("src/", "agent/gatehoused/")
WAITS = re.compile(r"\b(sd_bus_(call|call_method\w*|flush\w*|[gs]et_property\w*|get_name_creds|get_owner_creds|list_names|get_name_machine_id|"
                   r"query_sender_\w+|track_\w+|add_match|match_signal|request_name|release_name|wait))\s*\(")
ASYNC = re.compile(r"_async$")
ROW = re.compile(r"SD_BUS_(?:METHOD\w*|WRITABLE_PROPERTY)\((?:[^()]|\([^()]*\))*\)")
OPEN = re.compile(r"\b(ANYONE|SD_BUS_VTABLE_UNPRIVILEGED)\b")


def check(root):
    problems = []
    for path in lint.files(root, ".c"):
        if not path.startswith(FOLDERS):
            continue
        text = "\n".join(lint.lines(root, path))
        for m in WAITS.finditer(text):
            if not ASYNC.search(m[1]):
                problems.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m[1]} waits for the bus's answer")
        for m in ROW.finditer(text):
            if not OPEN.search(m[0]):
                problems.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: without SD_BUS_VTABLE_UNPRIVILEGED sd-bus asks "
                                "the bus who calls, and waits: decide by policy_check()")
    return problems


CLEAN = [("src/bus/a.c", 'r = sd_bus_call_method_async(b, NULL);\nr = sd_bus_match_signal_async(b);\n'
                         'SD_BUS_METHOD_WITH_ARGS("A", SD_BUS_ARGS("s", x), SD_BUS_RESULT("s", y), f, ANYONE),\n'
                         'SD_BUS_WRITABLE_PROPERTY("L", "s", get, set, 0, SD_BUS_VTABLE_UNPRIVILEGED),\n'),
         ("agent/gatehousectl/b.c", "sd_bus_call_method(b);\n")]
PLANTED = [("src/bus/x.c", text + "\n") for text in (
    "r = sd_bus_call(b, m, 0, &e, &reply);", "r = sd_bus_call_method(b, n);", "r = sd_bus_track_add_name(t, n);",
    "r = sd_bus_query_sender_privilege(m, -1);", "r = sd_bus_add_match(b, NULL, rule, f, u);", "sd_bus_flush_close_unref(b);",
    'SD_BUS_METHOD("Reload", NULL, NULL, f, 0),', 'SD_BUS_WRITABLE_PROPERTY("L", "s", get, set, 0, 0),')]

if __name__ == "__main__":
    sys.exit(lint.main(check, CLEAN, PLANTED))
