# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the packages depend on the tree alone: built twice, and all that might show is different the second time (the path,
the umask, the locale, the time zone, the time itself, the user's name and home, how many compilers run at once)."""
import glob
import hashlib
import os
import shutil
import sys

import packages

# Another year, but later than the sources, whose times would lie in the future otherwise: make and ninja would not like it.
LATER = "+400d"
FIRST = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "parallel": "1"}
SECOND = {"LC_ALL": "fr_FR.UTF-8", "LANGUAGE": "fr", "TZ": "Pacific/Kiritimati", "HOME": "/nonexistent/second", "USER": "second",
          "LOGNAME": "second", "DEBEMAIL": "second@example.com", "parallel": str((os.cpu_count() or 1) + 1)}


def hashes(directory):
    found = {}
    for pattern in ("*.deb", "*.tar.xz"):
        for path in glob.glob(os.path.join(directory, pattern)):
            with open(path, "rb") as f:
                found[os.path.basename(path)] = hashlib.sha256(f.read()).hexdigest()
    return found


def build(directory, variation, umask, wrap=()):
    print(f"reproducible: {directory}", file=sys.stderr, flush=True)
    env = {**variation, "DEB_BUILD_OPTIONS": f"nocheck parallel={variation['parallel']}", "CCACHE_DISABLE": "1"}
    del env["parallel"]
    before = os.umask(umask)
    try:
        packages.build(directory, wrap=wrap, env=env)
    finally:
        os.umask(before)
    return hashes(directory)


def check(directory):
    """{held, hashes, differ}: what packages.py prints."""
    if not shutil.which("faketime"):
        raise packages.Failed("faketime is not installed, so the second build cannot be at another time: apt install faketime")
    first = build(os.path.join(directory + "-first"), FIRST, 0o022)
    second = build(os.path.join(directory + "-second-at-a-longer-path", "below"), SECOND, 0o002,
                   ("env", "NO_FAKE_STAT=1", "faketime", "-f", LATER))
    differ = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
    if not differ:
        for name in ("-first", "-second-at-a-longer-path"):
            shutil.rmtree(directory + name)
    return {"held": bool(first) and not differ, "hashes": first, "differ": differ}
