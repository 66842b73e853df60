# SPDX-License-Identifier: LGPL-2.1-or-later
"""A NAT of the kernel's own between two network namespaces, with the kernel's defaults for how long it keeps a binding.

Whoever makes a Nat is behind it from then on; `with nat.far():` is the network before it, where clouds are started.

    nat = Nat()
    with nat.far():
        cloud = bench.devcloud(..., listen=nat.CLOUD)
"""
import contextlib
import os
import subprocess

from wire import CLONE_NEWNET, LIBC, NotPossible, call, ip

CLOUD, OUTSIDE = "10.8.0.2", "10.8.0.1"
INSIDE, DEVICE_SIDE = "10.7.0.1", "10.7.0.2"
RULES = """table ip nat {
    chain out {
        type nat hook postrouting priority 100
        oifname "outside" masquerade
    }
}
table ip filter {
    chain through {
        type filter hook forward priority 0; policy drop
        iifname "inside" accept
        ct state established accept
    }
}
"""
SMALL = """table ip small {{
    chain through {{
        type filter hook forward priority -10
        meta length > {} drop
    }}
}}
"""


class Nat:
    CLOUD = CLOUD

    def __init__(self, udp_timeout=None, udp_timeout_stream=None, drop_over=None):
        """drop_over: packets of more bytes are lost on the way, and no ICMP tells of it."""
        self.spaces, self.inhabitants = {}, {}
        try:
            for name in ("far", "router", "near"):
                call(LIBC.unshare, CLONE_NEWNET)
                self.spaces[name] = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                # ip(8) knows a namespace by a process in it.
                self.inhabitants[name] = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                ip("link", "set", "lo", "up")
            with self.within("router"):
                self.link("outside", OUTSIDE, "far", "cloud", CLOUD)
                self.link("inside", INSIDE, "near", "lan", DEVICE_SIDE)
                subprocess.run(["nft", "-f", "-"], input=RULES + (SMALL.format(drop_over) if drop_over else ""), text=True, check=True)
                for name, value in (("ip_forward", 1), ("nf_conntrack_udp_timeout", udp_timeout),
                                    ("nf_conntrack_udp_timeout_stream", udp_timeout_stream)):
                    if value is not None:
                        folder = "/proc/sys/net/ipv4" if name == "ip_forward" else "/proc/sys/net/netfilter"
                        with open(f"{folder}/{name}", "w", encoding="ascii") as f:
                            f.write(str(value))
            ip("route", "add", "default", "via", INSIDE)
        except (OSError, subprocess.CalledProcessError) as e:
            raise NotPossible(f"network namespaces with NAT: {e}") from None

    def link(self, device, address, space, other_device, other_address):
        """A pair of devices from the namespace we are in to another one. The addresses have a broadcast address: libcoap 4.3.4
        takes an address without one for a broadcast itself, and drops what is sent there."""
        ip("link", "add", device, "type", "veth", "peer", "name", other_device, "netns",
           str(self.inhabitants[space].pid))
        ip("addr", "add", f"{address}/24", "brd", "+", "dev", device)
        ip("link", "set", device, "up")
        with self.within(space):
            ip("addr", "add", f"{other_address}/24", "brd", "+", "dev", other_device)
            ip("link", "set", other_device, "up")

    @contextlib.contextmanager
    def within(self, space):
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        call(LIBC.setns, self.spaces[space], CLONE_NEWNET)
        try:
            yield
        finally:
            call(LIBC.setns, before, CLONE_NEWNET)
            os.close(before)

    def far(self):
        return self.within("far")

    def close(self):
        for inhabitant in self.inhabitants.values():
            inhabitant.stdin.close()
            inhabitant.wait()
        for space in self.spaces.values():
            os.close(space)
