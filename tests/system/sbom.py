# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bill of materials (SPDX 2.3, JSON) of packages that were built: each .deb with its files and their checksums, what it needs
when it runs, and everything that was installed when it was made. It comes from the .changes, the .buildinfo and the .debs, so
that it says what the build did and not what somebody remembered; the same build gives the same bytes.
"""
import datetime
import email.utils
import glob
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import urllib.parse

LICENSE = "LGPL-2.1-or-later"
SUPPLIER = "Organization: gatehouse maintainers"


def fields(text):
    """A paragraph of deb822: field → value, its lines joined by newlines."""
    found, name = {}, None
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            found[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            found[name] = value.strip()
    return found


def read_fields(path):
    with open(path, encoding="utf-8") as f:
        return fields(f.read())


def identifier(*parts):
    return "SPDXRef-" + "-".join(re.sub(r"[^A-Za-z0-9.]", "-", p) for p in parts)


def purl(name, version, arch):
    quoted = "/".join(urllib.parse.quote(p, safe="") for p in ("debian", name))
    return f"pkg:deb/{quoted}@{urllib.parse.quote(version, safe='')}?arch={arch}"


def package(name, version, arch):
    return {"SPDXID": identifier("Package", name, arch), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False, "copyrightText": "NOASSERTION", "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": purl(name, version, arch)}]}


def installed(buildinfo):
    """(name, architecture or None, version) of Installed-Build-Depends."""
    found = re.findall(r"([a-z0-9][a-z0-9+.-]+)(?::([a-z0-9-]+))? \(= ([^)]+)\)", buildinfo.get("Installed-Build-Depends", ""))
    return [(name, arch or None, version) for name, arch, version in found]


def contents(deb):
    """(path, SHA-1, SHA-256) of each regular file."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isreg():
                read = tar.extractfile(member).read()
                yield member.name, hashlib.sha1(read).hexdigest(), hashlib.sha256(read).hexdigest()


def built(deb, control):
    """The package's element, and those of its files."""
    entry = package(control["Package"], control["Version"], control["Architecture"])
    with open(deb, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    files = []
    for path, sha1, sha256 in contents(deb):
        files.append({"SPDXID": identifier("File", control["Package"], sha1[:16], path), "fileName": path,
                      "checksums": [{"algorithm": "SHA1", "checksumValue": sha1}, {"algorithm": "SHA256", "checksumValue": sha256}],
                      "copyrightText": "NOASSERTION", "licenseConcluded": LICENSE, "licenseInfoInFiles": ["NOASSERTION"]})
    code = hashlib.sha1("".join(sorted(f["checksums"][0]["checksumValue"] for f in files)).encode()).hexdigest()
    entry.update(filesAnalyzed=True, packageVerificationCode={"packageVerificationCodeValue": code}, supplier=SUPPLIER,
                 packageFileName=os.path.basename(deb), licenseDeclared=LICENSE, licenseConcluded=LICENSE,
                 licenseInfoFromFiles=["NOASSERTION"], hasFiles=[f["SPDXID"] for f in files],
                 checksums=[{"algorithm": "SHA256", "checksumValue": digest}])
    return entry, files


def needs(control):
    """Names in Depends and Pre-Depends, alternatives too."""
    text = ",".join(control.get(f, "") for f in ("Pre-Depends", "Depends"))
    return sorted(set(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", text)))


def document(debs, changes, buildinfo):
    own = buildinfo["Build-Architecture"]
    others = [(package(name, version, arch or own), arch) for name, arch, version in installed(buildinfo)]
    by_name = {}
    for entry, arch in others:
        by_name.setdefault(entry["name"], entry)
        if arch:
            by_name[entry["name"]] = entry  # beside this machine's, that of the processor which is built for
    packages, files, relations = [e for e, _ in others], [], []
    controls = {deb: fields(subprocess.run(["dpkg-deb", "--field", deb], stdout=subprocess.PIPE, text=True, check=True).stdout)
                for deb in sorted(debs)}
    ours = {}
    for deb, control in controls.items():
        entry, own_files = built(deb, control)
        ours[entry["name"]] = entry
        files += own_files
        relations.append(("SPDXRef-DOCUMENT", "DESCRIBES", entry["SPDXID"]))
        relations += [(e["SPDXID"], "BUILD_DEPENDENCY_OF", entry["SPDXID"]) for e, _ in others]
    for control in controls.values():
        for name in needs(control):
            entry = ours.get(name) or by_name.get(name)
            if entry:
                relations.append((ours[control["Package"]]["SPDXID"], "DEPENDS_ON", entry["SPDXID"]))
    made = email.utils.parsedate_to_datetime(changes["Date"]).astimezone(datetime.timezone.utc)
    text = {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"{changes['Source']}-{changes['Version']}",
            "creationInfo": {"created": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": [SUPPLIER, "Tool: gatehouse-sbom"]},
            "packages": [*ours.values(), *packages], "files": files,
            "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations]}
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()
    return {**text, "documentNamespace": f"https://spdx.org/spdxdocs/gatehouse-{changes['Version']}-{digest}"}


def write(directory):
    """Beside each .changes, NAME.spdx.json. Its path."""
    path, = glob.glob(os.path.join(directory, "*.changes"))
    buildinfo, = glob.glob(os.path.join(directory, "*.buildinfo"))
    text = document(glob.glob(os.path.join(directory, "*.deb")), read_fields(path), read_fields(buildinfo))
    to = path.removesuffix(".changes") + ".spdx.json"
    with open(to, "w", encoding="utf-8") as f:
        json.dump(text, f, indent=1, sort_keys=True)
        f.write("\n")
    return to
