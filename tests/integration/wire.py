# SPDX-License-Identifier: LGPL-2.1-or-later
"""A line between two network namespaces that loses, delays, reorders and duplicates packets, or is cut.

It is two TUN devices and a process between them, so it does the same on every kernel, with and without sch_netem, and the same
again for the same seed. Whoever makes a Wire is in the near namespace from then on; `with wire.far():` in the far one, and what
is started in it stays there.

    wire = Wire(seed=1)
    with wire.far():
        cloud.start()
    wire.set(loss=0.3)            # each packet, both ways
    wire.set(delay=1, loss=0)     # seconds, each way
"""
import contextlib
import ctypes
import fcntl
import heapq
import itertools
import multiprocessing
import os
import random
import select
import struct
import subprocess
import time

NEAR, FAR = "10.9.0.1", "10.9.0.2"
NEAR_V6, FAR_V6 = "fd09::1", "fd09::2"
DEVICE = "wire"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
CLONE_NEWNET = 0x40000000
PACKET_MAX = 65536
LIBC = ctypes.CDLL(None, use_errno=True)


class NotPossible(Exception):
    """Namespaces or TUN devices are not allowed here."""


def call(function, *arguments):
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def open_tun():
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    os.set_blocking(fd, False)
    return fd


def forward(ends, control, seed):
    """Runs in a process of its own until the control pipe is closed."""
    chance, order, waiting = random.Random(seed), itertools.count(), []
    now = {"loss": 0, "delay": 0, "reorder": 0, "reorder_delay": 0.05, "duplicate": 0, "cut": False}
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([*ends, control], [], [], timeout)
        if control in ready:
            try:
                now.update(control.recv())
                control.send(None)
            except EOFError:
                return
        for end in (e for e in ends if e in ready):
            packet = os.read(end, PACKET_MAX)
            if now["cut"] or chance.random() < now["loss"]:
                continue
            for _ in range(2 if chance.random() < now["duplicate"] else 1):
                late = now["reorder_delay"] if chance.random() < now["reorder"] else 0
                heapq.heappush(waiting, (time.monotonic() + now["delay"] + late, next(order), ends[end is ends[0]], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(waiting)
            with contextlib.suppress(OSError):  # its device is down, or narrower
                os.write(end, packet)


class Wire:
    def __init__(self, seed):
        self.spaces, ends = [], []
        try:
            for v4, v6 in ((FAR, FAR_V6), (NEAR, NEAR_V6)):
                call(LIBC.unshare, CLONE_NEWNET)
                self.spaces.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
                ends.append(open_tun())
                ip("link", "set", "lo", "up")
                ip("addr", "add", f"{v4}/24", "dev", DEVICE)
                ip("link", "set", DEVICE, "up")
                ip("addr", "add", f"{v6}/64", "dev", DEVICE, "nodad")
        except (OSError, subprocess.CalledProcessError) as e:
            raise NotPossible(f"network namespaces and TUN devices: {e}") from None
        self.control, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.run, args=(ends, theirs, seed), daemon=True)
        self.process.start()
        theirs.close()
        for end in ends:
            os.close(end)

    def run(self, ends, theirs, seed):
        self.control.close()
        with contextlib.suppress(KeyboardInterrupt):
            forward(ends, theirs, seed)

    def close(self):
        self.control.close()
        self.process.join()
        for space in self.spaces:
            os.close(space)

    def set(self, **values):
        """Has taken effect when it returns. loss, reorder, duplicate: shares of packets; delay, reorder_delay: seconds; cut."""
        self.control.send(values)
        self.control.recv()

    def clear(self):
        self.set(loss=0, delay=0, reorder=0, duplicate=0, cut=False)

    @contextlib.contextmanager
    def far(self):
        call(LIBC.setns, self.spaces[0], CLONE_NEWNET)
        try:
            yield
        finally:
            call(LIBC.setns, self.spaces[1], CLONE_NEWNET)

    # --- the near end ---

    def readdress(self, before, after):
        ip("addr", "del", f"{before}/24", "dev", DEVICE)
        ip("addr", "add", f"{after}/24", "dev", DEVICE)

    def narrow(self, mtu):
        """What the near end can send and take; IPv6 goes with less than 1,280."""
        ip("link", "set", DEVICE, "mtu", str(mtu))

    def without_v4(self):
        ip("addr", "flush", "dev", DEVICE, "scope", "global")
        ip("addr", "add", f"{NEAR_V6}/64", "dev", DEVICE, "nodad")
