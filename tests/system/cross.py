# SPDX-License-Identifier: LGPL-2.1-or-later
"""Roots in which the packages are built for another processor: Debian for this machine's, with the other's compiler and
libraries beside its own, and qemu-user to run what was built. Made once below the build directory, as tests/system/roots.py's."""
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import roots
import sbom

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PLACE = os.path.join(os.environ.get("BUILD_DIR", os.path.join(TOP, "build")), "system")
BUILD_TIMEOUT = 7200  # seconds: of what hangs
# Debian's name of it: the prefix of its tools, its qemu, and how meson calls family and processor.
ARCHITECTURES = {
    "arm64": ("aarch64-linux-gnu", "qemu-aarch64-static", "aarch64", "aarch64"),
    "armhf": ("arm-linux-gnueabihf", "qemu-arm-static", "arm", "armv7hl"),
}
# Beside the build dependencies: what the tests that run here are written in, and what their peers are.
TOOLS = ("build-essential", "ca-certificates", "dbus", "dbus-daemon", "file", "lintian", "mosquitto", "ninja-build", "python3",
         "python3-cbor2", "python3-dbus", "python3-dbusmock", "python3-gi", "python3-jsonschema", "python3-pymodbus", "python3-serial-asyncio",
         "qemu-user-static")


def own_architecture():
    return subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def build_dependencies(architecture):
    """A hook that installs debian/control's in the new root."""
    command = "cd /tmp/control && apt-get --yes"
    if architecture:
        command += f" --host-architecture {architecture} -P cross,nocheck"
    else:
        command += " -P nocheck"
    return [f"--customize-hook=mkdir -p \"$1/tmp/control/debian\" && cp {TOP}/debian/control {TOP}/debian/changelog \"$1/tmp/control/debian\"",
            f"--customize-hook=chroot \"$1\" env DEBIAN_FRONTEND=noninteractive sh -c '{command} build-dep .'",
            "--customize-hook=rm -rf \"$1/tmp/control\""]


def include(architecture):
    return [*TOOLS, *([f"crossbuild-essential-{architecture}"] if architecture else [])]


def command(suite, architecture, root, listing, settings):
    own = own_architecture()
    return ["mmdebstrap", "--mode=root", "--variant=apt", "--aptopt=" + settings,
            "--architectures=" + ",".join([own, *([architecture] if architecture else [])]),
            "--include=" + ",".join(include(architecture)), *build_dependencies(architecture), suite, root, listing]


def archives(sources):
    """Sources to try in turn. A mirror may lack a processor's part of security and updates, or hold an older one than it lists;
    the libraries of both processors have one version only if both come without it."""
    lines = sources.splitlines(keepends=True)
    return [sources, "".join(line for line in lines if not re.search(r" \S+-(security|updates) ", line))]


def base(suite, architecture, directory):
    """The path of the root below `directory` for building for `architecture`; None: this machine's own."""
    name = f"build-{suite}-{architecture or own_architecture()}"
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name + ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return make(suite, architecture, os.path.join(directory, name))


def make(suite, architecture, root):
    stamp, listing, settings, log = (root + suffix for suffix in (".made", ".list", ".conf", ".log"))
    with open(os.path.join(TOP, "debian", "control"), encoding="utf-8") as f:
        needed = [d for d in sbom.fields(f.read().split("\n\n")[0])["Build-Depends"].split(",") if "!nocheck" not in d]
    wanted = hashlib.sha256(repr((needed, include(architecture), "1")).encode()).hexdigest()
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == wanted:
        return root
    roots.write(settings, roots.acquire_settings() + 'APT::Install-Recommends "false";\n')
    for lines in archives(roots.sources(suite)):
        roots.write(listing, lines)
        shutil.rmtree(root, ignore_errors=True)
        with open(log, "ab") as f:
            done = subprocess.run(command(suite, architecture, root, listing, settings), stdin=subprocess.DEVNULL, stdout=f,
                                  stderr=subprocess.STDOUT)
        if done.returncode == 0:
            break
    else:
        raise RuntimeError(f"cannot make a root of {suite} to build for {architecture or own_architecture()} in: {roots.tail(log)}")
    roots.write(stamp, wanted)
    return root


def build(suite, architecture, directory, test):
    """The packages of the tree in `directory`, built in that root, and tested there. What packages.py says of it."""
    import packages

    root = base(suite, architecture, PLACE)
    shutil.rmtree(directory, ignore_errors=True)
    packages.copy_tree(os.path.join(directory, "tree"))
    os.makedirs(os.path.join(directory, "files"))
    host = f"--host={architecture}" if architecture else ""
    log = os.path.join(directory, "root.log")
    # Packages with a finding of lintian can be tested, those that do not build say nothing.
    steps = f"cd /t/tree && {{ python3 tests/system/packages.py deb {host} /t/out >/t/said || test -s /t/said; }}"
    if test:
        steps += f" && python3 tests/system/cross_tests.py {architecture or ''} >/t/tested"
    status = roots.run("chroot", root, directory, "sh", "-c", steps, log=log, timeout=BUILD_TIMEOUT)
    said = read_last(os.path.join(directory, "said"))
    if said is None:
        raise packages.Failed(f"the packages do not build: {roots.tail(log)}")
    for name in os.listdir(os.path.join(directory, "out")):
        shutil.move(os.path.join(directory, "out", name), directory)
    if test:
        said["tests"] = read_last(os.path.join(directory, "tested")) or {"failed": [f"status {status}: {roots.tail(log)}"]}
    if said["lintian"]:
        print(roots.tail(log), file=sys.stderr)
    for name in ("tree", "files", "out", "overlay"):
        shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
    return said


def read_last(path):
    """The JSON of its last line."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
