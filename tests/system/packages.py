#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages of the tree as it is, and an apt repository of them.

usage: packages.py deb|repo [--arch ARCH] [--release CODENAME] [--test] [--check-reproducible] [--footprint] [DIRECTORY]

    deb     into DIRECTORY (build/deb); lintian looks at them, where it is installed, and whatever it finds is ours
    repo    the same, and then a repository in DIRECTORY (build/repo); prints the line for sources.list.d

For the Debian and the processor that this runs on; or for another release or processor, in a root made for that
(build/system/build-RELEASE-ARCH), into build/deb-RELEASE-ARCH. --test then runs the unit tests, the seeds of the fuzz targets and
the demo of the same tree under qemu-user (cross_tests.py). --check-reproducible builds twice, differently (reproducible.py). --footprint says what an install costs on a
minimal system of this release (footprint.py).
The last line is JSON; status 0 only if all went well.
"""
import argparse
import datetime
import email.utils
import glob
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "lint"))
import lint  # noqa: E402  (which files are the tree's)
import sbom  # noqa: E402

ENTRY = """{source} ({version}) {codename}; urgency=medium

  * Built for Debian {number}.

 -- {maintainer}  {date}

"""
ORIGIN = "gatehouse"  # of our own archives: what apt settings call them by
HEAD = re.compile(r"^(\S+) \(([^)]+)\) (\S+);")
TRAILER = re.compile(r"^ -- (.*)  (.*)$", re.MULTILINE)


class Failed(Exception):
    pass


def release_here(root="/"):
    """(codename, number) of a Debian release; no number in testing and unstable."""
    with open(os.path.join(root, "etc", "os-release"), encoding="utf-8") as f:
        said = dict(line.rstrip().split("=", 1) for line in f if "=" in line)
    return said.get("VERSION_CODENAME", ""), said.get("VERSION_ID", "").strip('"')


def copy_tree(to):
    for path in lint.files(ROOT):
        os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, path), os.path.join(to, path))
    # As in a clone that was made with the usual umask: dpkg-source and the install steps keep what they find.
    for folder, _, names in os.walk(to):
        os.chmod(folder, 0o755)
        for name in names:
            path = os.path.join(folder, name)
            os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)


def version_for(version, number):
    """A package of one release is older than the same of the next, and than what Debian itself may have one day."""
    return f"{version}~deb{number}u1" if number else version


# The newest Debian policy that the release's lintian knows; debian/control has the one of Debian 12.
STANDARDS = {"13": "4.7.2"}


def set_standards(source, number):
    path = os.path.join(source, "debian", "control")
    if number not in STANDARDS or not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r"^Standards-Version: .*", f"Standards-Version: {STANDARDS[number]}", text, flags=re.MULTILINE))


def mark_release(source, release):
    """debian/changelog says for which Debian this is built, and debian/control by which policy. Returns (version, seconds of its date): later by a minute for each
    release than the version itself, since two entries of one date are two versions of one SOURCE_DATE_EPOCH."""
    codename, number = release
    path = os.path.join(source, "debian", "changelog")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    name, version, _ = HEAD.match(text).groups()
    maintainer, date = TRAILER.search(text).groups()
    marked, made = version_for(version, number), email.utils.parsedate_to_datetime(date)
    if marked != version:
        made += datetime.timedelta(minutes=int(number))
        entry = ENTRY.format(source=name, version=marked, codename=codename, number=number, maintainer=maintainer,
                             date=email.utils.format_datetime(made))
        with open(path, "w", encoding="utf-8") as f:
            f.write(entry + text)
        set_standards(source, number)
    return marked, int(made.timestamp())


def original(source, directory, version, date):
    """The upstream tarball of the same tree: all but debian/, the same bytes whoever makes it."""
    upstream = version.rsplit("-", 1)[0]
    top = f"gatehouse-{upstream}"
    path = os.path.join(directory, f"gatehouse_{upstream}.orig.tar.xz")

    def tidy(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = date
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    with lzma.open(path, "wb", preset=6) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in lint.files(source):
            if not name.startswith("debian/"):
                tar.add(os.path.join(source, name), os.path.join(top, name), recursive=False, filter=tidy)
    return path


def build(directory, arch=None, wrap=(), env=None):
    """The packages' paths. `arch`: another processor's, whose libraries are installed here; `wrap`, `env`: for the build."""
    shutil.rmtree(directory, ignore_errors=True)
    source = os.path.join(directory, "src")
    copy_tree(source)
    version, date = mark_release(source, release_here())
    original(source, directory, version, date)
    log = os.path.join(directory, "build.log")
    command = [*wrap, "dpkg-buildpackage", "-us", "-uc"]
    command += ["-b", f"--host-arch={arch}", "-Pcross,nocheck"] if arch else ["-F", "-Pnocheck"]
    with open(log, "wb") as f:
        done = subprocess.run(command, cwd=source, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT,
                              env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck", **(env or {})})
    if done.returncode != 0:
        with open(log, encoding="utf-8", errors="replace") as f:
            raise Failed("dpkg-buildpackage failed:\n" + "".join(f.readlines()[-40:]))
    shutil.rmtree(source)
    sbom.write(directory)
    return sorted(glob.glob(os.path.join(directory, "*.deb")))


def look(directory):
    """lintian's findings, down to the pedantic ones; None where there is no lintian."""
    if not shutil.which("lintian"):
        return None
    done = subprocess.run(["lintian", "--allow-root", "--display-info", "--pedantic", "--fail-on", "none",
                           *glob.glob(os.path.join(directory, "*.changes"))], stdout=subprocess.PIPE, text=True)
    return [line for line in done.stdout.splitlines() if re.match(r"[EWIP]: ", line)]


def write_index(directory):
    def output(name, *command):
        with open(os.path.join(directory, name), "wb") as f:
            subprocess.run(["apt-ftparchive", *command], cwd=directory, stdout=f, check=True)

    output("Packages", "packages", ".")
    output("Release", "-o", f"APT::FTPArchive::Release::Origin={ORIGIN}", "-o", f"APT::FTPArchive::Release::Label={ORIGIN}", "release", ".")


def repository(directory, packages):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for package in packages:
        shutil.copy(package, directory)
    write_index(directory)


def here(options, directory):
    """Built on the Debian that this runs on."""
    packages = build(directory, options.host)
    findings = look(directory) or []
    for line in findings:
        print(f"lintian: {line}", file=sys.stderr)
    return packages, {"packages": [os.path.basename(p) for p in packages], "lintian": len(findings)}


def elsewhere(options, directory):
    """In a root of its own, where this program runs again; its figures are those of that run."""
    import cross

    release, arch = options.release or release_here()[0], options.arch or cross.own_architecture()
    said = cross.build(release, None if arch == cross.own_architecture() else arch, directory, options.test)
    return sorted(glob.glob(os.path.join(directory, "*.deb"))), said


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", choices=("deb", "repo"))
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--arch", choices=("amd64", "arm64", "armhf"))
    parser.add_argument("--release", choices=("bookworm", "trixie"))
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--check-reproducible", action="store_true")
    parser.add_argument("--footprint", action="store_true")
    parser.add_argument("--host", help=argparse.SUPPRESS)  # set by cross.py: this is the root to build in
    options = parser.parse_intermixed_args()
    options.elsewhere = not options.host and bool(options.arch or options.release)
    if options.test and not options.elsewhere:
        parser.error("--test is for another processor or release; here ./dev test does it")
    return options


def main():
    options = parse()
    build_dir = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build"))
    flavour = "-".join(["", options.release or release_here()[0], options.arch or "own"]) if options.elsewhere else ""
    given = os.path.abspath(options.directory) if options.directory else None
    deb_dir = given if given and options.what == "deb" else os.path.join(build_dir, "deb" + flavour)
    try:
        if options.check_reproducible:
            import reproducible

            said = reproducible.check(deb_dir)
            print(json.dumps(said))
            return 0 if said["held"] else 1
        packages, said = (elsewhere if options.elsewhere else here)(options, deb_dir)
    except (Failed, RuntimeError) as e:
        print(f"packages.py: {e}", file=sys.stderr)
        return 1
    if options.footprint:
        import footprint

        footprint.show(footprint.measure(release_here()[0], packages, os.path.join(build_dir, "system")))
    if options.what == "repo":
        directory = given or os.path.join(build_dir, "repo")
        repository(directory, packages)
        print(f"deb [trusted=yes] file:{directory} ./")
    print(json.dumps(said))
    return 1 if said["lintian"] or said.get("tests", {}).get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
