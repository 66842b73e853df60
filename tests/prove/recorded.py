# SPDX-License-Identifier: LGPL-2.1-or-later
"""A block device that remembers each write and each flush, for cutting the power at any of them afterwards.

A loop device over a file of a FUSE file system that this program serves itself (/dev/fuse, no library): what ext4 sends down
arrives here in its order, a flush or a write with FUA as an fsync. As root, in a mount namespace of one's own.

    with Recorded(image, log, mountpoint) as device: ...mount device.path...
    entries = read_log(log);  apply(image, entries, cut, rng)
"""
import ctypes
import errno
import os
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
from waiting import wait_for  # noqa: E402

(LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT,
 DESTROY, BATCH_FORGET) = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 36, 38, 42
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)
ROOT, FILE, NAME = 1, 2, b"disk"
WRITE_MAX, PAGES, FLAG_MAX_PAGES = 1 << 20, 256, 1 << 22
ENTRY = struct.Struct("=QIQ")  # offset, bytes (0: a flush), progress
SECTOR = 512
libc = ctypes.CDLL(None, use_errno=True)


def attributes(node, size):
    mode = 0o40755 if node == ROOT else 0o100600
    return struct.pack("=6Q10I", node, size, size // SECTOR, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


class Server(threading.Thread):
    """One request after the other, so the log has the order in which they were answered."""

    def __init__(self, fuse, image, log, progress):
        super().__init__(daemon=True)
        self.fuse, self.progress = fuse, progress
        self.image = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.log = open(log, "wb", buffering=1 << 20)
        self.recording = False

    def note(self, offset, data):
        if self.recording:
            self.log.write(ENTRY.pack(offset, len(data), self.progress()) + bytes(data))

    def answer(self, opcode, node, body):
        """The reply, or a negative errno."""
        size = self.size if node == FILE else 0
        if opcode == INIT:
            return struct.pack("=4I2H2I2HII6I", 7, 31, 0, FLAG_MAX_PAGES, 16, 12, WRITE_MAX, 1, PAGES, 0, 0, 0, *[0] * 6)
        if opcode == LOOKUP:
            if bytes(body).rstrip(b"\0") != NAME:
                return -errno.ENOENT
            return struct.pack("=4Q2I", FILE, 0, 3600, 3600, 0, 0) + attributes(FILE, self.size)
        if opcode in (GETATTR, SETATTR):
            return struct.pack("=QII", 3600, 0, 0) + attributes(node, size)
        if opcode in (OPEN, OPENDIR):
            return struct.pack("=QII", 0, 0, 0)
        if opcode == READ:
            _, offset, n = struct.unpack_from("=QQI", body)
            return os.pread(self.image, n, offset)
        if opcode == WRITE:
            _, offset, n = struct.unpack_from("=QQI", body)
            data = body[40:40 + n]
            self.note(offset, data)
            os.pwrite(self.image, data, offset)
            return struct.pack("=II", n, 0)
        if opcode == STATFS:
            return struct.pack("=5Q4I6I", 1 << 20, 1 << 20, 1 << 20, 2, 0, 4096, 255, 4096, 0, *[0] * 6)
        if opcode == FSYNC:
            self.note(0, b"")
        return b"" if opcode in (FSYNC, FLUSH, RELEASE, RELEASEDIR, READDIR, DESTROY) else -errno.ENOSYS

    def run(self):
        buffer = bytearray(WRITE_MAX + (1 << 16))
        while True:
            try:
                n = os.readv(self.fuse, [buffer])
            except OSError as e:
                if e.errno in (errno.EINTR, errno.ENOENT):
                    continue
                break  # unmounted
            _, opcode, unique, node = struct.unpack_from("=IIQQ", buffer)
            reply = self.answer(opcode, node, memoryview(buffer)[40:n])
            if opcode not in SILENT:
                code, data = (reply, b"") if isinstance(reply, int) else (0, reply)
                os.write(self.fuse, struct.pack("=IiQ", 16 + len(data), code, unique) + data)
        self.log.close()
        os.close(self.image)


class Recorded:
    """`progress()`: a number that is kept with each write."""

    def __init__(self, image, log, mountpoint, progress=lambda: 0):
        self.image, self.log, self.mountpoint, self.progress = image, log, mountpoint, progress

    def __enter__(self):
        os.makedirs(self.mountpoint, exist_ok=True)
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"recorded", self.mountpoint.encode(), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), f"mounting fuse on {self.mountpoint}: {os.strerror(ctypes.get_errno())}")
        self.server = Server(fuse, self.image, self.log, self.progress)
        self.server.start()
        self.path = attach(os.path.join(self.mountpoint, NAME.decode()))
        return self

    def record(self):
        self.server.recording = True

    def __exit__(self, *_):
        subprocess.run(["losetup", "--detach", self.path], check=True)
        unmount(self.mountpoint)
        self.server.join()


def unmount(path):
    """A loop device lets go of its file when its last reader has, which may be udev."""
    wait_for(f"{path} is unmounted", lambda: subprocess.run(["umount", path], stderr=subprocess.DEVNULL).returncode == 0)


def attach(path):
    return subprocess.run(["losetup", "--find", "--show", path], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def read_log(path):
    """[(offset, bytes, progress, where the data is in the file)]"""
    entries, at = [], 0
    end = os.path.getsize(path)
    with open(path, "rb") as f:
        while at + ENTRY.size <= end:
            f.seek(at)
            offset, n, progress = ENTRY.unpack(f.read(ENTRY.size))
            entries.append((offset, n, progress, at + ENTRY.size))
            at += ENTRY.size + n
    return entries


def apply(image, log, entries, cut, rng):
    """The disk as the power may leave it before entry `cut`: all that was flushed; of the rest each write, a part of it from its
    beginning, or nothing. Returns how many writes were lost or torn."""
    flushed = max((i for i in range(cut) if entries[i][1] == 0), default=0)
    lost = 0
    with open(log, "rb") as source, open(image, "r+b") as to:
        for i, (offset, n, _, at) in enumerate(entries[:cut]):
            keep = n
            if i > flushed and n > 0:
                fate = rng.random()
                keep = n if fate < 0.5 else 0 if fate < 0.9 else rng.randrange(0, n // SECTOR + 1) * SECTOR
                lost += keep != n
            if keep:
                source.seek(at)
                to.seek(offset)
                to.write(source.read(keep))
    return lost
