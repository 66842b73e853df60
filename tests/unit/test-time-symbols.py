#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs for processors whose long has 32 bits call the C library by its names for 64-bit times only. A call by an old name takes
what is handed over for 32-bit times: it waits not at all, or counts until 2038.

usage: test-time-symbols.py BUILD_DIR"""
import pathlib
import re
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1]).resolve()
SKIPPED = 77
ELF_OF_32_BITS = b"\x7fELF\x01"
# By these names glibc takes or gives 32-bit times; by __NAME64 or __NAME_time64 the others.
OLD = {"clock_gettime", "clock_nanosleep", "clock_settime", "ctime", "difftime", "fstat", "fstatat", "futimens", "getitimer",
       "getrusage", "gettimeofday", "gmtime", "gmtime_r", "localtime", "localtime_r", "lstat", "mktime", "nanosleep", "ppoll",
       "pselect", "pthread_cond_timedwait", "pthread_mutex_timedlock", "recvmmsg", "select", "sem_timedwait", "stat", "time",
       "timegm", "timerfd_settime", "utimensat"}


def programs():
    return sorted(p for folder in ("agent", "plugins") for p in (BUILD / folder).rglob("*")
                  if p.is_file() and not p.is_symlink() and (p.suffix == ".so" or p.stat().st_mode & 0o111))


def of_32_bits(path):
    with open(path, "rb") as f:
        return f.read(len(ELF_OF_32_BITS)) == ELF_OF_32_BITS


def called(path):
    text = subprocess.run(["readelf", "--dyn-syms", "--wide", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    return set(re.findall(r" UND (\w+)", text))


def main():
    judged = [p for p in programs() if of_32_bits(p)]
    if not judged:
        print("nothing here was built for a processor with 32 bits")
        return SKIPPED
    wrong = {str(p.relative_to(BUILD)): sorted(OLD & called(p)) for p in judged}
    for name, names in wrong.items():
        print(f"{name}: {', '.join(names) or 'ok'}")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
