#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rotations that cannot go on, and a reload after which a device is refused: each is told by `gatehousectl status`, `list`, `show` and
by `systemctl status`."""
import contextlib

import harness
from agent_bench import TEMPERATURE
from mqtt_peers import Broker
from watched import watched, watched_cases


def online(w):
    w.bench.write_device("boiler-1", "sim", {"x": TEMPERATURE}, interval="100ms")
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")


@watched
def a_rotation_while_the_cloud_is_away(w):
    online(w)
    w.cloud.kill()
    w.bench.ctl("disconnect", "boiler-1")
    w.bench.ctl("connect", "boiler-1")
    w.bench.ctl("rotate", "boiler-1", "--no-wait")
    waits, why = "a session, over which the cloud is asked: ", "nothing listens there"
    w.tells(status=["boiler-1 is offered, waits for " + waits, why], row=["unreachable"],
            show=["state: unreachable", "rotation: offered", "waits for: " + waits, why], systemctl="0 of 1 devices online; port-closed: ")


@watched
def a_rotation_whose_answer_was_lost(w):
    online(w)
    w.cloud.do("lose-before-apply", path="credentials", times=0)
    w.bench.ctl("rotate", "boiler-1", "--no-wait")
    why = "the cloud did not answer"
    w.tells(status=["boiler-1 is offered, waits for ", "boiler-1: " + why], row=["online"], listed=["problem: ", "boiler-1: " + why],
            show=["state: online", "last error: " + why, "rotation: offered", "waits for: "], systemctl="boiler-1: " + why)


@watched
def a_client_id_that_is_refused_after_a_reload(w):
    with contextlib.ExitStack() as stack:
        key = w.bench.new_key(text=True)
        broker = Broker(stack, {"first-1": key.decode()}, extra="clientid_prefixes gw-serial-1\n")
        w.bench.write_config(f"mqtts://127.0.0.1:{broker.port}", uplink={"profile": "homeassistant", "client_id": "gw-{hardware_id}",
                                                                         "registrar": {"type": "manual"}})

        def write(hardware):
            w.bench.write_json("devices.d/boiler-1.json", {"device": "boiler-1", "hardware_id": hardware, "uplink": "cloud",
                                                           "driver": "sim", "sim": {"interval": "100ms"}, "points": {"x": TEMPERATURE}})
        write("serial-1")
        w.begin()
        w.bench.key_set("boiler-1", "first-1", key)
        w.bench.wait_property("boiler-1", "State", "online")
        write("serial-2")
        w.bench.ctl("reload")
        why = "the broker does not let this client in (CONNACK: not authorised)"
        w.tells(status=["devices: 1, 0 online", "refused: 1", why], row=["refused"], show=["state: refused", "last error: ", why],
                systemctl=why)


CASES = watched_cases(globals())

if __name__ == "__main__":
    harness.main(*CASES, needs=("busctl", "mosquitto"))
