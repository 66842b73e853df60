# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine with Debian's packaged kernel and this machine's own files, for what this machine's kernel does not have:
Bluetooth. Processor and all are emulated (no KVM: it is not everywhere, and where it is nested it is slower than that), so it
runs wherever qemu does, as any user.

The kernel is downloaded once, by apt, and what is needed of it kept below the build directory."""
import ctypes
import fcntl
import glob
import io
import lzma
import os
import re
import shutil
import signal
import subprocess
import tarfile

HERE = os.path.dirname(os.path.realpath(__file__))
KERNEL = "linux-image-amd64"
QEMU = "qemu-system-x86_64"
# What the machine itself needs, then Bluetooth, the ciphers that bluetoothd asks the kernel for, and an emulated controller.
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "rfkill", "hmac", "sha256_generic", "sha512_generic", "aes_generic", "ctr", "drbg", "bluetooth",
           "hci_vhci", "algif_hash", "algif_skcipher", "cmac", "ecb", "uhid")
OPTIONS = "console=ttyS0 quiet panic=-1 mitigations=off tsc=unstable random.trust_cpu=on"
MEMORY = "768"
LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


class Missing(Exception):
    """This machine cannot do it."""


def needs(programs):
    missing = [p for p in (QEMU, "apt-get", "dpkg-deb", "cc", *programs) if not shutil.which(p)]
    if os.uname().machine != "x86_64":
        raise Missing(f"processor {os.uname().machine}: only x86_64 is emulated")
    if missing:
        raise Missing(f"not installed: {', '.join(missing)} (sudo ./dev setup)")


def run(*command, data=b"", **options):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        raise Missing(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def kernel_package():
    """The package that the kernel's metapackage depends on today."""
    found = re.search(r"Depends: (linux-image-[0-9]\S+)", run("apt-cache", "depends", KERNEL).decode())
    if not found:
        raise Missing(f"apt knows no {KERNEL} (apt-get update?)")
    return found.group(1)


def kernel(directory):
    """(kernel, {module: file}) of it, downloaded once."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = os.path.join(directory, "kernel")
        if not os.path.isdir(kept):
            download(directory, kept)
    modules = {re.sub(r"\.ko.*", "", os.path.basename(p)).replace("-", "_"): p for p in glob.glob(kept + "/*.ko*")}
    return os.path.join(kept, "vmlinuz"), modules


def download(directory, kept):
    package, new = kernel_package(), kept + "~"
    for path in glob.glob(os.path.join(directory, "linux-image-*.deb")):
        os.unlink(path)
    run("apt-get", "-q", "download", package, cwd=directory)
    (path,) = glob.glob(os.path.join(directory, "linux-image-*.deb"))
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as unpacker:
        with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
            for member in archive:
                name = os.path.basename(member.name)
                if member.isfile() and (name.startswith("vmlinuz-") or re.search(r"\.ko(\.xz|\.zst)?$", name)):
                    with open(os.path.join(new, "vmlinuz" if name.startswith("vmlinuz-") else name), "wb") as f:
                        shutil.copyfileobj(archive.extractfile(member), f)
    os.unlink(path)
    image = os.path.join(new, "vmlinuz")
    with open(image, "rb") as f:
        unpacked = unpack(f.read())
    with open(image, "wb") as f:
        f.write(unpacked)
    os.rename(new, kept)


def unpack(image):
    """The kernel within a bzImage (Linux's boot protocol, version 2.08), which the emulated processor would take a minute to unpack.
    One compressed by what is not known here is returned as it is, and boots too."""
    start = (image[0x1f1] + 1) * 512 + int.from_bytes(image[0x248:0x24c], "little")
    payload = image[start:start + int.from_bytes(image[0x24c:0x250], "little")]
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd") and shutil.which("zstd"):
        # behind it stands its length
        return run("zstd", "-dcq", data=payload[:-4])
    return image


def plain(path):
    with open(path, "rb") as f:
        data = f.read()
    if path.endswith(".zst"):
        return run("zstd", "-dcq", path)
    return lzma.decompress(data) if path.endswith(".xz") else data


def with_dependencies(files, wanted):
    """[(name, content)], each behind those that it needs. What is not there is built into the kernel."""
    found = {}

    def add(name):
        if name in found or name not in files:
            return
        content = plain(files[name])
        needed = re.search(rb"(?:^|\0)depends=([^\0]*)\0", content)
        for other in needed.group(1).decode().split(",") if needed else ():
            add(other.replace("-", "_"))
        found[name] = content
    for name in wanted:
        add(name)
    return list(found.items())


def archive_of(files):
    """A cpio archive (newc): [(path, mode, content)]."""
    out = io.BytesIO()
    for n, (path, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")]):
        name = path.encode() + b"\0"
        fields = (n + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        out.write(bytes(-out.tell() % 4) + content)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()


def initramfs(directory, modules, command):
    init = os.path.join(directory, "init")
    run("cc", "-static", "-O1", "-o", init, os.path.join(HERE, "init.c"))
    with open(init, "rb") as f:
        files = [("modules", 0o40755, b""), ("init", 0o100755, f.read())]
    files += [(f"modules/{n:03}-{name}.ko", 0o100644, content)
              for n, (name, content) in enumerate(with_dependencies(modules, MODULES))]
    files.append(("command", 0o100644, "".join(a + "\n" for a in command).encode()))
    path = os.path.join(directory, "initrd")
    with open(path, "wb") as f:
        f.write(archive_of(files))
    return path


def start(directory, command):
    """A Popen whose stdout is the machine's console; it ends with the machine."""
    image, modules = kernel(directory)
    initrd = initramfs(directory, modules, command)
    arguments = ["-M", "pc", "-accel", "tcg,tb-size=512", "-cpu", "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+aes", "-smp", "1", "-m", MEMORY,
                 "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", image, "-initrd", initrd, "-append", OPTIONS,
                 "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
                 "-device", "virtio-9p-pci,fsdev=root,mount_tag=root", "-serial", "stdio"]
    return subprocess.Popen([QEMU, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
