# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cloud that accepts the key and refuses the samples."""
FINDING = "messages-refused"
WORDS = ["4.03", "may this identity send there", "\"profile\" of uplink cloud right?", "sudoedit ",
         "gatehouse.json && sudo gatehousectl reload"]


def set_up(w):
    w.sim()
    w.start()
    w.bench.wait_property("boiler-1", "State", "online")
    w.cloud.do("refuse", code="4.03", path="telemetry", method="POST", device="boiler-1", times=0)
