#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command where programs of another processor can be executed: in a user namespace with a binfmt_misc of its own
(Linux 6.7), so that nothing is registered for the machine. As root.

usage: foreign.py QEMU COMMAND...      foreign.py qemu-aarch64-static meson test -C build
"""
import ctypes
import os
import shutil
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
BINFMT = "/proc/sys/fs/binfmt_misc"
# What the ELF header of a program for it begins with, and which bits of that count.
ELF = {
    "qemu-aarch64-static": (r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
                            r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"),
    "qemu-arm-static": (r"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00",
                        r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"),
}
libc = ctypes.CDLL(None, use_errno=True)


def fail_on(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def own_namespaces():
    """A child outside writes the maps: every user and group as it is."""
    ready_read, ready_write = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        os.close(ready_write)
        os.read(ready_read, 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{parent}/{name}", "w", encoding="ascii") as f:
                f.write("0 0 65536")
        os._exit(0)
    fail_on(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
    os.write(ready_write, b".")
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("the user namespace got no maps")


def register(qemu):
    magic, mask = ELF[qemu]
    fail_on(libc.mount(b"binfmt_misc", BINFMT.encode(), b"binfmt_misc", 0, None), f"mounting binfmt_misc on {BINFMT}")
    with open(BINFMT + "/register", "w", encoding="ascii") as f:
        f.write(f":{qemu}:M::{magic}:{mask}:{shutil.which(qemu)}:F")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ELF:
        print(__doc__, file=sys.stderr)
        return 2
    own_namespaces()
    register(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
    return 127


if __name__ == "__main__":
    sys.exit(main())
