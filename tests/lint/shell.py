#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""shellcheck of every shell script: those named so, and those whose first line says so."""
import os
import re
import shutil
import subprocess
import sys

import lint

SHELL = re.compile(rb"#!\s*(?:/usr/bin/env\s+|/bin/|/usr/bin/)(?:ba|da)?sh\b")
MAINTAINER = re.compile(r"^debian/(?:.*\.)?(?:preinst|postinst|prerm|postrm|config)$")


def is_shell(root, path):
    with open(os.path.join(root, path), "rb") as f:
        first = f.read(64)
    return path.endswith(".sh") or bool(SHELL.match(first)) or bool(MAINTAINER.match(path))


def check(root):
    paths = [p for p in lint.files(root) if is_shell(root, p)]
    if not paths:
        return []
    done = subprocess.run(["shellcheck", "--format=gcc", "--external-sources", *paths], cwd=root, stdout=subprocess.PIPE,
                          text=True)
    return done.stdout.splitlines()


CLEAN = [("a.sh", '#!/bin/sh\necho "$1"\n')]
PLANTED = [("b.sh", "#!/bin/sh\necho $1\n"), ("dev", "#!/usr/bin/env bash\nrm -rf $X/*\n"),
           ("debian/gatehouse.postinst", "#!/bin/sh\ncd $1\n")]

if __name__ == "__main__":
    if not shutil.which("shellcheck"):
        print("shellcheck is not installed")
        sys.exit(lint.SKIPPED)
    sys.exit(lint.main(check, CLEAN, PLANTED))
