# SPDX-License-Identifier: LGPL-2.1-or-later
"""An attacker on the path between some devices and their cloud, who holds the keys that these devices had before their last rotation.

He leads their traffic to a server of his own that knows the old keys, so that the new ones are refused and the old ones accepted; forges
alerts in clear text after each proof of a new key; and, once he has a session, sends forged records and noise to the agent as fast as
he can.

Gained: any key but the old ones that his server was told, whether in a registration or otherwise; any key that the agent forgot; a
device that does not come back to its cloud with its present key when he lets go.
"""
import os
import random
import threading
import time

import hostile_attack
import hostile_ground

harness = hostile_ground.import_harness()
from onpath import OnPath  # noqa: E402

DEVICES = ("path-0", "path-1", "path-2")
BURST = 50
BACK_WITHIN = 120
LURED_WITHIN = 45
RECORDED = 200


class Noise:
    """Datagrams to every client of the path that none of its servers sent: forged records of both epochs, and records sent again."""

    def __init__(self, path, counts):
        self.path, self.counts, self.ended = path, counts, threading.Event()
        self.recorded = [os.urandom(random.randrange(1, 1200)) for _ in range(RECORDED)]
        self.thread = threading.Thread(target=self.run, daemon=True)

    def forge(self):
        kind = random.choice((20, 21, 22, 23))
        body = os.urandom(random.randrange(0, 200))
        return bytes([kind, 0xFE, 0xFD]) + random.randrange(3).to_bytes(2, "big") + random.randrange(1 << 20).to_bytes(6, "big") + \
            len(body).to_bytes(2, "big") + body

    def run(self):
        while not self.ended.is_set():
            for client in list(self.path.backs):
                for _ in range(BURST):
                    try:
                        self.path.front.sendto(random.choice((self.forge(), random.choice(self.recorded))), client)
                        self.counts.add("datagrams")
                    except OSError:
                        pass  # what ICMP reports is lost like anything else
            time.sleep(0.002)

    def stop(self):
        self.ended.set()
        self.thread.join()


class PathAttack(hostile_attack.Attack):
    """Threads of the prover itself: the path is there in peace, too."""

    def __init__(self, ground):
        super().__init__("path", [])
        self.ground, self.counts, self.noise = ground, hostile_attack.Counts(), None

    def start(self):
        g = self.ground
        self.noise = Noise(g.path, self.counts)
        g.path.forge_alerts(set(g.path_identities.values()))
        g.path.lead(g.path_attacker.port)
        try:
            harness.wait_for("a session with an old key", lambda: g.path_attacker.find_events("session"), LURED_WITHIN)
        except harness.Failure:
            self.counts.add("not_lured")
        self.noise.thread.start()

    def stop(self):
        g = self.ground
        self.noise.stop()
        did = {"path": {**self.counts.read(), "proofs": len(g.path.identities)}}
        g.path.forge_alerts(())
        did["learned"] = learned(g)
        g.path.lead(g.path_cloud.port)
        did["back"] = comes_back(g)
        return did


def learned(g):
    """What the attacker's server knows beside the old keys."""
    known = {*(f"first-{d}" for d in DEVICES), *g.path_identities.values()}
    return [f"{d}: {c['identity']}" for d in DEVICES for c in g.path_attacker.credentials(d) if c["identity"] not in known]


def comes_back(g):
    """Those that do not."""
    away = []
    for d in DEVICES:
        try:
            g.bench.wait_property(d, "MainIdentity", g.path_identities[d], BACK_WITHIN)
            g.bench.wait_property(d, "State", "online", BACK_WITHIN)
        except harness.Failure as e:
            away.append(str(e))
    return away


def prepare(g):
    keys = {d: g.bench.new_key() for d in DEVICES}
    known = [(f"first-{d}", keys[d], d) for d in DEVICES]
    g.path_cloud = g.bench.devcloud(known, name="path-cloud", verbose=False)
    g.path_attacker = g.bench.devcloud(known, name="path-attacker", verbose=False)
    g.path = OnPath(g.path_cloud.port)
    g.closers.append(g.path.end)
    g.uplinks["path"] = {"url": g.path.url, "profile": "senml", "registrar": {"type": "coap"}}
    for d in DEVICES:
        g.keys[d] = keys[d]
        g.write_device(d, "sim", {"n": {"signal": "counter"}}, uplink="path", interval="1s")


def settle(g):
    """Each device has a new key, and the cloud still knows the old one."""
    for d in DEVICES:
        g.bench.wait_property(d, "State", "online", 60)
    g.bench.ctl("rotate", *DEVICES, seconds=120)
    g.path_identities = {d: g.bench.get(d, "MainIdentity") for d in DEVICES}
    harness.check(not any(i.startswith("first-") for i in g.path_identities.values()), f"not rotated: {g.path_identities}")
    # He reads the new identities in clear text, and knows other keys to them: so his refusals are those of a wrong key.
    with open(g.path_attacker.psk_file, "a", encoding="ascii") as f:
        for d, identity in g.path_identities.items():
            f.write(f"{identity}:{os.urandom(32).hex()}:{d}\n")
    g.path_attacker.restart()


def attack(g):
    return PathAttack(g)


def gained(g, did):
    found = [f"told the attacker: {who}" for who in did["learned"]] + did["back"]
    if not did["path"].get("datagrams") or not did["path"]["proofs"]:
        found.append(f"no attack: {did['path']}")
    return found
