# SPDX-License-Identifier: LGPL-2.1-or-later
"""An earlier version of the packages, to upgrade from and to go back to: built from a commit of its own, or, without one, today's
under a lower version and with a configuration file that has changed since, which shows what dpkg and the scripts do."""
import glob
import os
import re
import shutil
import subprocess

import packages
import roots

VERSION = "0.0.9-1"
CONFIG = "etc/gatehouse/gatehouse.json"
# In the file as it was shipped once; today's has another text.
CONFIG_MARK = "// as it was shipped before\n"
BUILD = """set -e
apt-get -qq update
cd /t/src
apt-get -qq -P nocheck build-dep .
BUILD_DIR=/t/built python3 tests/system/packages.py deb
"""


def field(deb, name):
    return subprocess.run(["dpkg-deb", "--field", deb, name], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def lower(deb, directory):
    """The same package as an earlier one."""
    tree, now = os.path.join(directory, "tree"), field(deb, "Version")
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = os.path.join(tree, "DEBIAN", "control")
    before = VERSION + re.sub(r"^[^~]*", "", now)
    with open(control, encoding="utf-8") as f:
        text = f.read().replace(now, before)
    roots.write(control, text)
    config = os.path.join(tree, CONFIG)
    if os.path.exists(config):
        with open(config, encoding="utf-8") as f:
            text = f.read()
        roots.write(config, CONFIG_MARK + text)
        subprocess.run("find usr lib -type f -exec md5sum {} + >DEBIAN/md5sums 2>/dev/null || true", shell=True, cwd=tree)
    made = os.path.join(directory, re.sub(r"_[^_]*_", f"_{before}_", os.path.basename(deb)))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, made], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


def repacked(debs, directory):
    os.makedirs(directory, exist_ok=True)
    return [lower(deb, directory) for deb in debs if "-dbgsym" not in os.path.basename(deb)]


def built(commit, suite, root, directory):
    """From a commit, in the root of the release, by that commit's own script."""
    shutil.rmtree(directory, ignore_errors=True)
    source = os.path.join(directory, "src")
    os.makedirs(os.path.join(directory, "files"))
    os.makedirs(source)
    archive = subprocess.run(["git", "archive", commit], cwd=packages.ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x"], input=archive, cwd=source, check=True)
    log = os.path.join(directory, "build.log")
    if roots.run("chroot", root, directory, "sh", "-c", BUILD, log=log, timeout=1800) != 0:
        raise packages.Failed(f"{commit} does not build in {suite}: {roots.tail(log)}")
    return sorted(glob.glob(os.path.join(directory, "built", "deb", "*.deb")))
