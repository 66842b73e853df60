#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages of the tree as it is, for the Debian that this runs on, and an apt repository of them.

usage: packages.py deb|repo [DIRECTORY]

    deb     into DIRECTORY (build/deb); lintian looks at them, where it is installed: its errors are ours
    repo    the same, and then a repository in DIRECTORY (build/repo); prints the line for sources.list.d
"""
import glob
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "lint"))
import lint  # noqa: E402  (which files are the tree's)


class Failed(Exception):
    pass


def copy_tree(to):
    for path in lint.files(ROOT):
        os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, path), os.path.join(to, path))


def build(directory):
    """The packages' paths."""
    shutil.rmtree(directory, ignore_errors=True)
    source = os.path.join(directory, "src")
    copy_tree(source)
    log = os.path.join(directory, "build.log")
    with open(log, "wb") as f:
        done = subprocess.run(["dpkg-buildpackage", "-b", "-us", "-uc", "-Pnocheck"], cwd=source, stdin=subprocess.DEVNULL,
                              stdout=f, stderr=subprocess.STDOUT, env=dict(os.environ, DEB_BUILD_OPTIONS="nocheck"))
    if done.returncode != 0:
        with open(log, encoding="utf-8", errors="replace") as f:
            raise Failed("dpkg-buildpackage failed:\n" + "".join(f.readlines()[-40:]))
    shutil.rmtree(source)
    return sorted(glob.glob(os.path.join(directory, "*.deb")))


def look(directory):
    """lintian's findings; None where there is no lintian."""
    if not shutil.which("lintian"):
        return None
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error",
                           *glob.glob(os.path.join(directory, "*.changes"))], stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


def write_index(directory):
    def output(name, *command):
        with open(os.path.join(directory, name), "wb") as f:
            subprocess.run(["apt-ftparchive", *command], cwd=directory, stdout=f, check=True)

    output("Packages", "packages", ".")
    output("Release", "release", ".")


def repository(directory, packages):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for package in packages:
        shutil.copy(package, directory)
    write_index(directory)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in ("deb", "repo"):
        print(__doc__, file=sys.stderr)
        return 2
    what = sys.argv[1]
    build_dir = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build"))
    deb_dir = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 and what == "deb" else os.path.join(build_dir, "deb")
    try:
        packages = build(deb_dir)
    except Failed as e:
        print(f"packages.py: {e}", file=sys.stderr)
        return 1
    findings = look(deb_dir) or []
    for line in findings:
        print(f"lintian: {line}", file=sys.stderr)
    if what == "repo":
        directory = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else os.path.join(build_dir, "repo")
        repository(directory, packages)
        print(f"deb [trusted=yes] file:{directory} ./")
    errors = sum(line.startswith("E:") for line in findings)
    print(json.dumps({"packages": [os.path.basename(p) for p in packages], "lintian_errors": errors,
                      "lintian_warnings": sum(line.startswith("W:") for line in findings)}))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
