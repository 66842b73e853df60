# SPDX-License-Identifier: LGPL-2.1-or-later
"""Roots of Debian releases to build, install and boot in: made once with mmdebstrap below the build directory, never changed
afterwards (in-root puts a throw-away overlay over them)."""
import hashlib
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SUITES = ("bookworm", "trixie")
# What any Debian with systemd has, and what the test's peers and the test itself are written in.
PACKAGES = ("ca-certificates", "dbus", "libpam-systemd", "python3", "python3-pymodbus", "python3-serial-asyncio", "systemd",
            "systemd-sysv", "util-linux")
# This machine's sources; of third parties' nothing is known.
TARGET = "$(CREATED_BY)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)"


def own_suite():
    with open("/etc/os-release", encoding="utf-8") as f:
        release = dict(line.rstrip().split("=", 1) for line in f if "=" in line)
    return release.get("VERSION_CODENAME", "")


def targets():
    lines = subprocess.run(["apt-get", "indextargets", "--format", TARGET], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    found = {tuple(line.split("|")[1:4]) for line in lines if line.startswith("Packages|") and line.endswith("|Debian")}
    return sorted((uri, codename, component) for uri, codename, component in found if component == "main")


def sources(suite):
    """The lines of a sources.list for another release, from where this machine's packages come."""
    found = targets()
    if not found:
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        found = targets()
    lines = [f"deb {uri} {codename.replace(own_suite(), suite)} {component}" for uri, codename, component in found]
    if not lines:
        raise RuntimeError("apt knows no source of Debian packages on this machine (apt-get indextargets)")
    return "\n".join(lines) + "\n"


def acquire_settings():
    """How this machine reaches its packages (proxies and the like), as apt.conf."""
    return subprocess.run(["apt-config", "dump", "Acquire"], stdout=subprocess.PIPE, text=True, check=True).stdout


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def base(suite, directory, packages=PACKAGES, kind=""):
    """The path of the release's root below `directory`. A `kind` of its own: with `packages` beside those that are important."""
    root = os.path.join(directory, f"{suite}-{kind}" if kind else suite)
    stamp = root + ".made"
    wanted = hashlib.sha256(repr((packages, "1")).encode()).hexdigest()
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == wanted:
        return root
    os.makedirs(directory, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    listing = root + ".list"
    write(listing, sources(suite))
    settings = root + ".conf"
    write(settings, acquire_settings() + 'APT::Install-Recommends "false";\n')
    log = root + ".log"
    with open(log, "wb") as f:
        done = subprocess.run(["mmdebstrap", "--mode=root", f"--variant={'important' if kind else 'apt'}", "--aptopt=" + settings,
                               *(["--include=" + ",".join(packages)] if packages else []), suite, root, listing], stdin=subprocess.DEVNULL, stdout=f,
                              stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"cannot make a root of {suite}: {tail(log)}")
    write(stamp, wanted)
    return root


def run(how, root, shared, *command, log, timeout):
    """in-root; what it writes goes to `log`. Status."""
    with open(log, "ab") as f:
        return subprocess.run([os.path.join(HERE, "in-root"), how, root, shared, *command], stdin=subprocess.DEVNULL, stdout=f,
                              stderr=subprocess.STDOUT, timeout=timeout).returncode


def tail(log, lines=30):
    with open(log, encoding="utf-8", errors="replace") as f:
        return "\n".join(f.read().splitlines()[-lines:])
