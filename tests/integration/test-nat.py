#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands reach a device behind a NAT of the kernel's, long after anything was last said."""
import sys
import time

import harness
import nat as network
from harness import check, wait_for

DEVICE = "boiler-1"
LINUX_UDP_TIMEOUT = 30  # seconds, of a flow whose datagrams all fell into its first two


def start(bench, nat, **uplink):
    """One device that has nothing to report."""
    key = bench.new_key()
    with nat.far():
        cloud = bench.devcloud([("first-1", key, DEVICE)], listen=nat.CLOUD)
    bench.write_config(cloud.url, uplink)
    bench.write_device(DEVICE, "sim", {"x": {"signal": "constant", "value": 1, "writable": True}}, interval="1h")
    bench.agent()
    bench.driver("sim")
    bench.key_set(DEVICE, "first-1", key)
    bench.wait_property(DEVICE, "State", "online")
    return cloud


def silence(seconds):
    until = time.monotonic() + seconds
    wait_for("the silence to be over", lambda: time.monotonic() > until, seconds + 10)


def arrives(cloud):
    mark = cloud.mark()
    cloud.do("command", device=DEVICE, point="x", value=2)
    cloud.wait_event("outcome", device=DEVICE, since=mark, seconds=10)


def a_silent_session_keeps_its_binding(bench):
    """With the shipped keepalive and the kernel's defaults."""
    nat = network.Nat()
    cloud = start(bench, nat)
    sessions = len(cloud.find_events("session"))
    silence(LINUX_UDP_TIMEOUT + 12)
    arrives(cloud)
    check(len(cloud.find_events("session")) == sessions, "the device has made another session")


def a_hasty_nat_wants_a_short_keepalive(bench):
    nat = network.Nat(udp_timeout=10, udp_timeout_stream=10)
    cloud = start(bench, nat, keepalive="8s")
    silence(15)
    arrives(cloud)


if __name__ == "__main__":
    try:
        network.Nat().close()
    except network.NotPossible as e:
        print(e)
        sys.exit(harness.SKIPPED)
    harness.main(a_silent_session_keeps_its_binding, a_hasty_nat_wants_a_short_keepalive, needs=("nft",))
