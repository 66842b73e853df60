#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehousectl metrics, read by the parsers of Prometheus' own client library."""
import json
import os
import re
import sys

import harness
from agent_bench import sim_bench
from harness import check

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as prometheus
except ImportError:
    print("skipped: python3-prometheus-client is not installed")
    sys.exit(harness.SKIPPED)

INTERFACES = os.path.join(harness.ROOT, "src", "bus", "interfaces")
LABELS = {"state", "uplink", "driver", "outcome", "version"}


def values(families):
    """{(name, ((label, value),...)): number}"""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def one(found, name, **labels):
    key = (name, tuple(sorted(labels.items())))
    check(key in found, f"{key} is not in {found}")
    return found[key]


def counted(bench):
    found = values(openmetrics(bench.ctl("metrics")))
    check(one(found, "gatehouse_up") == 1, found)
    return found


def what_is_there(bench):
    """States, counters that rise, and labels that do not grow with the devices."""
    _, driver, _, _ = sim_bench(bench, ("a", "b"))
    for device in "ab":
        bench.wait_property(device, "SensorState", "ok")
    bench.wait_property("a", "Delivered", lambda n: n >= 3)
    bench.write_json("devices.d/c.json", {"device": "c", "uplink": "cloud", "driver": "modbus", "points": {},
                                          "modbus": {"url": "tcp://127.0.0.1:1", "unit": 1}})
    bench.ctl("reload")
    found = counted(bench)
    check(one(found, "gatehouse_devices", state="online") == 2 and
          one(found, "gatehouse_devices", state="no-credential") == 1 and
          one(found, "gatehouse_devices", state="refused") == 0, found)
    check(one(found, "gatehouse_sensors", state="ok") == 2 and one(found, "gatehouse_sensors", state="no-driver") == 1, found)
    check(one(found, "gatehouse_uplink_devices", uplink="cloud") == 3 and
          one(found, "gatehouse_uplink_devices_online", uplink="cloud") == 2, found)
    check(one(found, "gatehouse_driver_connected", driver="sim") == 1 and
          one(found, "gatehouse_driver_devices", driver="sim") == 2, found)
    check(one(found, "gatehouse_samples_delivered_total") >= 3 and one(found, "gatehouse_samples_dropped_total") == 0, found)
    check(one(found, "gatehouse_rotation_devices", state="idle") == 3, found)
    check(one(found, "gatehouse_rotations_total", outcome="done") == 0, found)
    check({label for _, labels in found for label, _ in labels} <= LABELS, f"other labels than these grow: {found}")
    check(not re.search(r'"[abc]"', bench.ctl("metrics")), "a device's id is a label")
    bench.ctl("rotate", "a")
    before = bench.get("a", "Delivered")
    bench.wait_property("a", "Delivered", lambda n: n > before)
    after = counted(bench)
    check(one(after, "gatehouse_rotations_total", outcome="done") == 1, after)
    check(one(after, "gatehouse_samples_delivered_total") > one(found, "gatehouse_samples_delivered_total"), after)
    check(sum(v for (name, _), v in after.items() if name == "gatehouse_rotation_devices") == 3, after)
    check(one(after, "gatehouse_rotation_devices", state="idle") == 2, "one is on its way: its old key is to be deleted")
    os.unlink(os.path.join(bench.config, "devices.d", "c.json"))
    bench.ctl("reload")
    check(sum(v for (name, _), v in counted(bench).items() if name == "gatehouse_rotation_devices") == 2, "one is gone")
    driver.stop()
    bench.wait_property("a", "SensorState", "no-driver")
    check(one(counted(bench), "gatehouse_driver_connected", driver="sim") == 0, "its driver is away")


def every_state_has_a_value(bench):
    """What the interface documents as states is what the metrics know."""
    xml = harness.read(os.path.join(INTERFACES, "org.gatehouse1.Device.xml"))
    words = re.search(r"<!-- (no-credential, .*?)-->\s*<property name=\"State\"", xml, re.S)[1]
    documented = {re.match(r"[a-z-]+", part.strip())[0] for part in re.sub(r"\([^)]*\)", "", words).split(",")}
    sim_bench(bench, connect=False)
    shown = {dict(labels)["state"] for name, labels in counted(bench) if name == "gatehouse_devices"}
    check(shown == documented, f"shown {sorted(shown)}, documented {sorted(documented)}")


def the_dashboard_asks_for_what_there_is(bench):
    sim_bench(bench, connect=False)
    found = values(openmetrics(bench.ctl("metrics")))
    names = {name for name, _ in found} | {"gatehouse_up"}
    dashboard = json.loads(harness.read(os.path.join(harness.ROOT, "etc", "grafana", "gatehouse.json")))
    asked = [t["expr"] for p in dashboard["panels"] for t in p["targets"]] + [v["query"] for v in dashboard["templating"]["list"]]
    used = {name for text in asked for name in re.findall(r"\bgatehouse_\w+", text)}
    check(used <= names, f"nobody counts {used - names}")
    check(names - used <= {"gatehouse_build_info", "gatehouse_driver_devices"}, f"nothing shows {names - used}")
    for label, value in re.findall(r'(state|outcome)=~?"([a-z|-]+)"', " ".join(asked)):
        known = {dict(labels).get(label) for _, labels in found}
        check(set(value.split("|")) <= known, f"there is no {label} {value}")


def by_the_conventions(bench):
    """Both texts have the same numbers; counters end in _total, units in names, each family has words."""
    sim_bench(bench)
    bench.ctl("disconnect", "boiler-1")
    text, other = bench.ctl("metrics"), bench.ctl("metrics", "--format=prometheus")
    families, old = list(openmetrics(text)), list(prometheus(other))
    check(text.endswith("# EOF\n") and "# EOF" not in other and "# UNIT" not in other, "each format has its own end")
    check({name for name, _ in values(families)} == {name for name, _ in values(old)}, "both have the same names")
    for family in families:
        check(family.documentation and family.name.startswith("gatehouse_"), family)
        check(re.fullmatch(r"[a-z_]+", family.name) and not family.name.endswith(("_total", "_count", "_sum")), family.name)
        check(family.type in ("gauge", "counter"), f"node-exporter knows no type {family.type}")
        check(not family.unit or family.name.endswith("_" + family.unit), family)
        check(not (family.name.endswith("_seconds") and not family.unit), f"{family.name} has no unit")
        for sample in family.samples:
            check(sample.name.endswith("_total") == (family.type == "counter"), sample)
    check({f.type for f in old} == {"gauge", "counter"}, f"a type was lost: {[(f.name, f.type) for f in old]}")
    listed = bench.ctl_json("metrics")["families"]
    check([f["name"] for f in listed] == [f.name for f in families], "the JSON has the same families")


def a_file_is_replaced_as_a_whole(bench):
    agent, *_ = sim_bench(bench)
    path = bench.path("gatehouse.prom")
    with open(path, "w", encoding="utf-8") as f:
        f.write("old")
    bench.ctl("metrics", "--format=prometheus", path)
    check(one(values(prometheus(harness.read(path))), "gatehouse_up") == 1, "the agent answers")
    check(os.stat(path).st_mode & 0o777 == 0o644, "node-exporter reads it as another user")
    check([n for n in os.listdir(bench.dir) if "gatehouse.prom" in n] == ["gatehouse.prom"], "nothing is left beside it")
    agent.stop()
    bench.ctl("metrics", "--format=prometheus", path, status=3)
    check(values(prometheus(harness.read(path))) == {("gatehouse_up", ()): 0.0}, "it does not answer, and nothing is old")
    done = bench.ctl("--json=short", "metrics", status=None)
    check(done.returncode == 3 and json.loads(done.stdout)["status"] == 3, done)
    done = bench.ctl("metrics", bench.path("nowhere/file"), status=None)
    check(done.returncode == 1 and b"not written" in done.stderr, done)
    done = bench.ctl("metrics", "--format=csv", status=None)
    check(done.returncode == 2 and b"openmetrics or prometheus" in done.stderr, done)


if __name__ == "__main__":
    harness.main(what_is_there, every_state_has_a_value, the_dashboard_asks_for_what_there_is, by_the_conventions, a_file_is_replaced_as_a_whole)
