#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An attacker on the path of a device, who holds a key that was once its main key, or no key at all: real handshakes, the real
agent. Whatever he refuses, drops or answers, he learns no other key, and nothing is lost at the cloud."""
import contextlib
import json

import harness
from agent_bench import TEMPERATURE, wait_samples
from harness import check, wait_for
from onpath import OnPath
from registrar_peers import API_KEY, PROJECT, TENANT, Registrar

DEVICE = "boiler-1"
FELL_BACK = "fell back to the key before"
TRIES = 4  # of the once-main key, by which anything else would have been offered long since


@contextlib.contextmanager
def rotated_bench(bench, uplink=None, agent_options=(), **rotation):
    """A device that was rotated through the attacker's path, who so far only forwards; both keys are at the cloud. Gives the
    path, the cloud, the attacker's server that holds the old key, and the agent."""
    key = bench.new_key()
    cloud = bench.devcloud([("first-1", key, DEVICE)])
    attacker = bench.devcloud([("first-1", key, DEVICE)], name="attacker")
    path = OnPath(cloud.port)
    try:
        bench.write_config(path.url, uplink=uplink, rotation={"retire_after": "24h", **rotation})
        bench.write_device(DEVICE, "sim", points={"x": TEMPERATURE}, interval="100ms")
        agent = bench.agent(*agent_options)
        bench.driver("sim")
        bench.key_set(DEVICE, "first-1", key)
        bench.wait_property(DEVICE, "State", "online")
        yield path, cloud, attacker, agent
    finally:
        path.end()


def tries_of(path, identity, since):
    return path.identities_since(since).count(identity)


def attack(bench, path, attacker, new):
    """The attacker takes the old key's place; until the agent has tried the new one there again and again."""
    mark = path.mark()
    path.lead(attacker.port)
    bench.wait_property(DEVICE, "MainIdentity", "first-1", 60)
    bench.wait_property(DEVICE, "State", "online", 30)
    wait_for(f"{TRIES} tries of {new}", lambda: tries_of(path, new, mark) >= TRIES + 2, 120)


def learned_nothing(bench, attacker, new):
    check([c["identity"] for c in attacker.credentials(DEVICE)] == ["first-1"],
          f"the attacker was told of {attacker.credentials(DEVICE)}")
    check(bench.get(DEVICE, "BackupIdentity") == new, f"the key that was main is {new} no more")


def comes_back(bench, path, cloud, new):
    path.lead(cloud.port)
    bench.wait_property(DEVICE, "MainIdentity", new, 90)
    bench.wait_property(DEVICE, "RotationState", "swapped", 30)
    bench.wait_property(DEVICE, "State", "online", 30)
    wait_samples(cloud, DEVICE, 3, 30)


def old_key_gets_no_other(bench):
    with rotated_bench(bench) as (path, cloud, attacker, agent):
        bench.ctl("rotate", DEVICE, seconds=60)
        new, held = bench.get(DEVICE, "MainIdentity"), cloud.credentials(DEVICE)
        attack(bench, path, attacker, new)
        learned_nothing(bench, attacker, new)
        check(agent.text().count(FELL_BACK) == 1, "the fallback is not in the journal, or more than once")
        check(bench.get(DEVICE, "RotationState") == "fallen-back", bench.get(DEVICE, "RotationState"))
        bench.wait_property(DEVICE, "LastError", lambda text: "the key before" in text)
        wait_for("show to say it", lambda: FELL_BACK in bench.ctl("show", DEVICE))
        comes_back(bench, path, cloud, new)
        check(cloud.credentials(DEVICE) == held, f"{held} at the cloud became {cloud.credentials(DEVICE)}")
        check("accepted again" in agent.text(), "that it went forward again is not in the journal")


def restart_forgets_nothing(bench):
    """The flag is durable, and nothing is on the calendar beside it."""
    with rotated_bench(bench) as (path, cloud, attacker, agent):
        bench.ctl("rotate", DEVICE, seconds=60)
        new = bench.get(DEVICE, "MainIdentity")
        attack(bench, path, attacker, new)
        agent.kill()
        mark = path.mark()
        agent.start()
        bench.wait_agent(agent)
        bench.wait_property(DEVICE, "State", "online", 60)
        check(bench.get(DEVICE, "RotationState") == "fallen-back", "forgotten with the restart")
        check(bench.get(DEVICE, "NextRotation") == 0, "a rotation is on the calendar")
        text = bench.ctl("rotate", DEVICE, status=None, seconds=60).stderr.decode()
        check("key forget" in text and "fell back" in text, f"rotate says: {text}")
        wait_for("tries of the key that was main", lambda: tries_of(path, new, mark) >= TRIES, 120)
        learned_nothing(bench, attacker, new)
        comes_back(bench, path, cloud, new)


def compromised_key_is_not_gone_back_to(bench):
    """Finished, but its old key not yet deleted: the attacker who has that refuses the new one. The device is offline, says why,
    and goes back when the operator says so."""
    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    registrar = Registrar(bench, cloud, "golioth")
    key = bench.new_key(64, text=True)
    registrar.put(DEVICE, "first-1", key)
    old = registrar.identity("first-1")
    attacker = bench.devcloud([(old, key, DEVICE)], name="attacker")
    path = OnPath(cloud.port)
    try:
        bench.write_config(path.url, uplink={"registrar": dict(registrar.settings)})
        bench.write_device(DEVICE, "sim", points={"x": TEMPERATURE}, interval="100ms")
        agent = bench.agent("--registrar-dir", registrar.directory)
        bench.driver("sim")
        bench.ctl("key", "set", DEVICE, old, "--encoding=text", stdin=key)
        bench.wait_property(DEVICE, "State", "online")
        cloud.do("refuse", code="503", method="DELETE", times=0)
        bench.ctl("rotate", DEVICE, "--compromised", seconds=60)
        new = bench.get(DEVICE, "MainIdentity")
        mark, before = path.mark(), len(attacker.events())
        path.lead(attacker.port)
        bench.wait_property(DEVICE, "State", "refused", 60)
        bench.wait_property(DEVICE, "LastError", lambda text: "key promote" in text, 60)
        wait_for("tries of the new key", lambda: tries_of(path, new, mark) >= 6, 120)
        check(tries_of(path, old, mark) == 0, "the compromised key was tried")
        check(bench.get(DEVICE, "MainIdentity") == new and not attacker.find_events("session", since=before), "it went back")
        check("key before it is known to others" in agent.text(), "the journal does not say why")
        bench.ctl("key", "promote", DEVICE)
        bench.wait_property(DEVICE, "MainIdentity", old, 60)
        check(FELL_BACK in agent.text(), "that it went back is not in the journal")
        path.lead(cloud.port)
        bench.wait_property(DEVICE, "MainIdentity", new, 120)
    finally:
        path.end()


def removal_leaves_it_at_the_cloud(bench):
    """Refusals do not make the agent forget a removed device: it says that it is left at the cloud, keeps what deletes it, and
    deletes it when the cloud is back; or forgets it when it is told to."""
    for device in (DEVICE, "boiler-2"):
        bench.keys.append(key := bench.new_key())
        cloud = bench.devcloud([(f"first-{device}", key, device)], name=f"cloud-{device}")
        refusing = bench.devcloud([("another", bench.new_key(), "another")], name=f"refusing-{device}")
        path = OnPath(cloud.port)
        try:
            bench.write_config(path.url)
            if device == DEVICE:
                agent = bench.agent()
                bench.driver("sim")
            else:
                agent.restart()
                bench.wait_agent(agent)
            text = json.dumps({"device": device, "uplink": "cloud", "driver": "sim", "sim": {}, "points": {"x": TEMPERATURE}})
            bench.call(None, "AddDevice", "sa{sv}", device, "1", "config", "s", text)
            bench.key_set(device, f"first-{device}", key)
            bench.wait_property(device, "State", "online")
            path.lead(refusing.port)
            bench.wait_property(device, "State", lambda state: state != "online", 60)
            bench.ctl("device", "remove", device, "--yes")
            wait_for("left at the cloud", lambda: f"{device}: warning: removed here, but left at the cloud" in agent.text(), 120)
            mark = path.mark()
            wait_for("tries to come in again", lambda: len(path.identities_since(mark)) >= 3, 120)
            agent.kill()  # its tombstone is durable
            agent.start()
            bench.wait_agent(agent)
            again = bench.ctl("device", "remove", device, "--yes", status=None).stderr.decode()
            check("no such device" in again.lower() or "there is no device" in again, again)
            if device == DEVICE:
                path.lead(cloud.port)
                agent.wait_text("removed at the cloud too", 120)
                check(cloud.credentials(device) == [], "its credential is still at the cloud")
            else:
                bench.ctl("device", "remove", device, "--yes", "--force")
                agent.wait_text("left at the cloud\n", 30)
                check(len(cloud.credentials(device)) == 1, "its credential is gone from the cloud")
                bench.call(None, "AddDevice", "sa{sv}", device, "1", "config", "s", text)
        finally:
            path.end()


def alerts_of_anybody_decide_nothing(bench):
    """A clear-text alert after each proof of a key, while the cloud's own answer is on its way: connected, rotated and retired
    all the same. Where nothing else comes, it gives the reason its words."""
    with rotated_bench(bench) as (path, cloud, attacker, agent):
        path.forge_alerts(True)
        agent.kill()
        agent.start()
        bench.wait_agent(agent)
        bench.wait_property(DEVICE, "State", "online", 30)
        bench.ctl("rotate", DEVICE, seconds=60)
        check(path.alerts >= 2, f"{path.alerts} alerts were forged")
        wait_samples(cloud, DEVICE, 3)
        cloud.kill()
        refusing = bench.devcloud([("another", bench.new_key(), "another")], name="refusing")
        path.forge_alerts(())
        path.lead(refusing.port)
        bench.wait_property(DEVICE, "LastError", lambda text: "did not accept key or identity (alert: " in text, 60)


if __name__ == "__main__":
    harness.main(old_key_gets_no_other, restart_forgets_nothing, compromised_key_is_not_gone_back_to, removal_leaves_it_at_the_cloud,
                 alerts_of_anybody_decide_nothing)
