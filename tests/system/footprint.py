# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an install costs on a minimal Debian: what is downloaded, what it takes on disk, how many packages are new. What apt itself
says before it would begin, in a root with nothing but packages of priority required and important."""
import json
import os
import re
import shutil
import tempfile

import packages
import roots

CHOICES = (("gatehouse",), ("gatehouse", "gatehouse-plugin-modbus"), ("gatehouse", "gatehouse-plugin-ble"))
UNITS = {"B": 1, "kB": 1000, "MB": 1000000, "GB": 1000000000}
STEPS = """set -e
echo 'deb [trusted=yes] file:/t/repo ./' >/etc/apt/sources.list.d/gatehouse.list
apt-get -qq update
{each}
"""
EACH = "LC_ALL=C apt-get install --assume-no --no-install-recommends {names} >/t/{n}.said || true\n"


def size(text):
    number, unit = text.replace(",", "").split()
    return int(float(number) * UNITS[unit])


def read(text):
    """apt's words: {new, download, disk}; of `1 kB/2 kB` the second, which is all."""
    new = re.search(r"(\d+) newly installed|Installing: (\d+)", text)
    get = re.search(r"(?:Need to get|Download size:) (?:[\d.,]+ \w+ ?/ ?)?([\d.,]+ \w+)", text)
    disk = re.search(r"(?:After this operation, |Space needed: )([\d.,]+ \w+)(?: of additional|\s*/)", text)
    if not (new and get and disk):
        raise packages.Failed("apt does not say what it would install:\n" + text)
    return {"new": int(new.group(1) or new.group(2)), "download": size(get.group(1)), "disk": size(disk.group(1))}


def measure(suite, debs, place):
    root = roots.base(suite, place, (), "minimal")
    with tempfile.TemporaryDirectory(dir=place) as shared:
        os.chmod(shared, 0o755)  # apt reads as a user of its own
        os.makedirs(os.path.join(shared, "files"))
        packages.repository(os.path.join(shared, "repo"), debs)
        each = "".join(EACH.format(names=" ".join(names), n=n) for n, names in enumerate(CHOICES))
        log = os.path.join(shared, "log")
        if roots.run("chroot", root, shared, "sh", "-c", STEPS.format(each=each), log=log, timeout=600) != 0:
            raise packages.Failed(roots.tail(log))
        said = {}
        for n, names in enumerate(CHOICES):
            with open(os.path.join(shared, f"{n}.said"), encoding="utf-8") as f:
                said[" ".join(names)] = read(f.read())
        shutil.rmtree(os.path.join(shared, "overlay"), ignore_errors=True)
    return said


def show(said):
    for names, what in said.items():
        print(f"{names}: {what['new']} new packages, {what['download'] / 1e6:.1f} MB to download, {what['disk'] / 1e6:.1f} MB on disk")
    print(json.dumps({"footprint": said}))
