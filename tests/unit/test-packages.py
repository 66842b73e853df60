#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What makes the Debian packages: versions that order releases, a tarball that is the same for everybody, the bill of materials."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import cross  # noqa: E402
import footprint  # noqa: E402
import packages  # noqa: E402
import sbom  # noqa: E402

CHANGELOG = """gatehouse (1.2-3) unstable; urgency=medium

  * A change.

 -- A Maintainer <a@example.com>  Wed, 25 Nov 2026 20:00:00 +0000
"""
CONTROL = """Package: {name}
Version: 1.2-3~deb12u1
Architecture: all
Maintainer: A Maintainer <a@example.com>
Depends: {depends}
Description: x
"""
CHANGES = "Source: gatehouse\nVersion: 1.2-3~deb12u1\nDate: Wed, 25 Nov 2026 20:12:00 +0000\n"
BUILDINFO = """Build-Architecture: amd64
Installed-Build-Depends:
 gcc-12 (= 12.2.0-14),
 libc6 (= 2.36-9),
 libc6:armhf (= 2.36-9+x)
"""


def older(a, b):
    return subprocess.run(["dpkg", "--compare-versions", a, "lt", b]).returncode == 0


class VersionTest(unittest.TestCase):
    def test_order(self):
        """An upgrade of the release upgrades the package, and Debian's own package of the version replaces both."""
        twelve, thirteen = packages.version_for("1.2-3", "12"), packages.version_for("1.2-3", "13")
        self.assertEqual((twelve, thirteen), ("1.2-3~deb12u1", "1.2-3~deb13u1"))
        self.assertEqual(packages.version_for("1.2-3", ""), "1.2-3")
        for a, b in ((twelve, thirteen), (thirteen, "1.2-3"), ("1.2-2", twelve), (thirteen, packages.version_for("1.2-4", "12"))):
            self.assertTrue(older(a, b), f"{a} < {b}")

    def test_changelog(self):
        """The entry says the release; its date is later than that of the version, and the same each time."""
        for number, codename in (("12", "bookworm"), ("13", "trixie")):
            with tempfile.TemporaryDirectory() as tree:
                os.makedirs(os.path.join(tree, "debian"))
                path = os.path.join(tree, "debian", "changelog")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(CHANGELOG)
                version, date = packages.mark_release(tree, (codename, number))
                said = [subprocess.run(["dpkg-parsechangelog", "-l", path, "-S", field], stdout=subprocess.PIPE, text=True,
                                       check=True).stdout.strip() for field in ("Version", "Distribution", "Timestamp")]
                self.assertEqual(said, [version, codename, str(date)])
                self.assertEqual(version, f"1.2-3~deb{number}u1")
                with open(path, encoding="utf-8") as f:
                    self.assertTrue(f.read().endswith(CHANGELOG))

    def test_tree_says_one_version(self):
        """meson.build's and the changelog's."""
        with open(os.path.join(ROOT, "debian", "changelog"), encoding="utf-8") as f:
            version = packages.HEAD.match(f.readline()).group(2)
        with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as f:
            self.assertIn(f"version : '{version.rsplit('-', 1)[0]}'", f.read())


class SourceTest(unittest.TestCase):
    def test_tarball(self):
        """The same bytes from a clone with another umask at another time, without debian/."""
        digests = []
        for umask in (0o022, 0o077):
            with tempfile.TemporaryDirectory() as place:
                tree, before = os.path.join(place, "tree"), os.umask(umask)
                for name in ("a.c", "debian/rules", "src/b.c"):
                    os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
                    with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
                        f.write(name)
                os.umask(before)
                os.utime(os.path.join(tree, "a.c"), (umask, umask))
                path = packages.original(tree, place, "1.2-3~deb12u1", 1800000000)
                self.assertEqual(os.path.basename(path), "gatehouse_1.2.orig.tar.xz")
                listing = subprocess.run(["tar", "-tf", path], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
                self.assertEqual(listing, ["gatehouse-1.2/a.c", "gatehouse-1.2/src/b.c"])
                with open(path, "rb") as f:
                    digests.append(hashlib.sha256(f.read()).hexdigest())
        self.assertEqual(digests[0], digests[1])


class FootprintTest(unittest.TestCase):
    def test_words_of_apt(self):
        """Of Debian 12 and 13."""
        twelve = "0 upgraded, 14 newly installed, 0 to remove\nNeed to get 3,104 kB/3,919 kB of archives.\n" \
                 "After this operation, 10.2 MB of additional disk space will be used.\n"
        self.assertEqual(footprint.read(twelve), {"new": 14, "download": 3919000, "disk": 10200000})
        thirteen = "  Upgrading: 0, Installing: 14, Removing: 0, Not Upgrading: 0\n  Download size: 3,104 kB / 3,919 kB\n" \
                   "  Space needed: 10.2 MB / 68.0 GB available\n"
        self.assertEqual(footprint.read(thirteen), {"new": 14, "download": 3919000, "disk": 10200000})


class SourcesTest(unittest.TestCase):
    def test_without_updates(self):
        whole = "deb http://x/debian bookworm main\ndeb http://x/debian bookworm-updates main\ndeb http://x/s bookworm-security main\n"
        self.assertEqual(cross.archives(whole), [whole, "deb http://x/debian bookworm main\n"])


@unittest.skipUnless(shutil.which("dpkg-deb"), "dpkg-deb is not installed")
class MaterialsTest(unittest.TestCase):
    def make(self, place, name, depends, text):
        tree = os.path.join(place, name)
        os.makedirs(os.path.join(tree, "DEBIAN"))
        os.makedirs(os.path.join(tree, "usr"))
        with open(os.path.join(tree, "DEBIAN", "control"), "w", encoding="utf-8") as f:
            f.write(CONTROL.format(name=name, depends=depends))
        with open(os.path.join(tree, "usr", name), "w", encoding="utf-8") as f:
            f.write(text)
        deb = os.path.join(place, name + ".deb")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, stdout=subprocess.DEVNULL)
        return deb

    def test_document(self):
        with tempfile.TemporaryDirectory() as place:
            debs = [self.make(place, "gatehouse", "libc6 (>= 2.36), adduser", "a"), self.make(place, "gatehouse-x", "gatehouse", "b")]
            for name, text in (("x.changes", CHANGES), ("x.buildinfo", BUILDINFO)):
                with open(os.path.join(place, name), "w", encoding="utf-8") as f:
                    f.write(text)
            with open(sbom.write(place), encoding="utf-8") as f:
                said = json.load(f)
            with open(debs[0], "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
        self.assertEqual((said["spdxVersion"], said["creationInfo"]["created"]), ("SPDX-2.3", "2026-11-25T20:12:00Z"))
        ids = [e["SPDXID"] for e in said["packages"] + said["files"]]
        self.assertEqual(len(ids), len(set(ids)))
        by_id = {e["SPDXID"]: e for e in said["packages"]}
        gatehouse = next(p for p in said["packages"] if p["name"] == "gatehouse")
        self.assertEqual(gatehouse["checksums"], [{"algorithm": "SHA256", "checksumValue": digest}])
        file, = (f for f in said["files"] if f["SPDXID"] in gatehouse["hasFiles"])
        self.assertEqual(file["fileName"], "./usr/gatehouse")
        self.assertEqual(file["checksums"][1]["checksumValue"], hashlib.sha256(b"a").hexdigest())
        arrows = {(by_id[r["spdxElementId"]]["name"], r["relationshipType"], by_id[r["relatedSpdxElement"]]["versionInfo"])
                  for r in said["relationships"] if r["relationshipType"] != "DESCRIBES"}
        self.assertIn(("gatehouse", "DEPENDS_ON", "2.36-9+x"), arrows)  # that of the processor which is built for
        self.assertIn(("gatehouse-x", "DEPENDS_ON", "1.2-3~deb12u1"), arrows)
        self.assertIn(("gcc-12", "BUILD_DEPENDENCY_OF", "1.2-3~deb12u1"), arrows)


if __name__ == "__main__":
    unittest.main()
