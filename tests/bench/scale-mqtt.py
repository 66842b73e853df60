#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What many children over MQTT cost, and what they cost while their broker is down.

usage: scale-mqtt.py [--children N] [--down SECONDS]

An agent has N children, each with a TLS-PSK session of its own to one mosquitto, with the default suites and admission.

  all online         how long from the agent's start; PSS of the agent a child
  broker down        mosquitto is killed; from when no child is online any more, for SECONDS: how often the children try
                     again, as the kernel counts failed connections, together at most once a child in 10 s; and CPU of
                     the agent, in percent of a processor: of 1,000 children and more under 2 %. Of a few it is shown
                     only: each wake-up of a sleeping machine costs ten times more at one time than at another.
  all back           mosquitto is started again: all children come online by themselves; how long that takes

The last line is JSON with all figures; status 0 only if everything held. 77: this build or machine cannot be measured.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402
from harness import wait_for  # noqa: E402

MOSQUITTO = os.environ.get("GATEHOUSE_MOSQUITTO", "mosquitto")
DOWN_CPU_MAX = 2.0  # percent
DOWN_CPU_CHILDREN = 1000  # from which on it is judged
DOWN_TRIES_MAX = 0.1  # a child and second
BROKER_DESCRIPTORS = 256  # beside its clients'


def say(text=""):
    print(text, flush=True)


def cpu_seconds(pid):
    """Of all threads of another process, to the nanosecond: its clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def pss_kilobytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def failed_connections():
    """Of everybody in this network namespace: nothing else of the suite runs beside this."""
    with open("/proc/net/snmp", encoding="ascii") as f:
        names, values = (line.split() for line in f if line.startswith("Tcp:"))
    return int(dict(zip(names, values))["AttemptFails"])


class Fleet:
    def __init__(self, children):
        self.children, self.bench, self.figures = children, harness.Bench(), {"children": children}
        self.devices = [f"child-{i:05d}" for i in range(children)]
        self.keys = {d: self.bench.new_key() for d in self.devices}
        self.broker, self.port = None, harness.free_port(socket.SOCK_STREAM)

    def start_broker(self):
        if not os.path.exists(self.bench.path("mosquitto.conf")):
            with open(self.bench.path("psk"), "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write("".join(f"first-{d}:{self.keys[d].hex()}\n" for d in self.devices))
            with open(self.bench.path("mosquitto.conf"), "w", encoding="ascii") as f:
                f.write(f"user root\npersistence false\nlog_dest none\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
                        f"psk_hint gatehouse\npsk_file {self.bench.path('psk')}\nuse_identity_as_username true\n")
        self.broker = subprocess.Popen([MOSQUITTO, "-c", self.bench.path("mosquitto.conf")])

    def kill_broker(self):
        if self.broker:
            self.broker.kill()
            self.broker.wait()
            self.broker = None

    def online(self):
        return self.bench.get(None, "Online")

    def await_online(self, count, seconds):
        wait_for(lambda: f"{count} online; there are {self.online()}", lambda: self.online() == count, seconds)

    def provision(self):
        self.start_broker()
        self.bench.write_config(f"mqtts://127.0.0.1:{self.port}",
                                {"profile": "senml-mqtt", "registrar": {"type": "manual"}})
        for d in self.devices:
            self.bench.write_device(d, "sim", {"n": {"signal": "counter"}}, interval="1s")
        self.agent = self.bench.agent()
        self.bench.monitor.kill()  # it would take a processor of its own to write down what nobody reads
        self.bench.processes.remove(self.bench.monitor)
        self.figures["pss_kb_without"] = pss_kilobytes(self.agent.pid)
        self.bench.set_keys(((d, f"first-{d}", self.keys[d]) for d in self.devices), 120)
        self.await_online(self.children, 60 + self.children / 20)

    def come_online(self):
        """As after a boot: everything is in the vault already."""
        self.agent.stop(30)
        started = time.monotonic()
        self.agent.start()
        self.bench.wait_agent(self.agent, 60)
        self.await_online(self.children, 60 + self.children / 20)
        f = self.figures
        f["seconds_to_all_online"] = round(time.monotonic() - started, 2)
        f["cpu_ms_a_child_online"] = round(cpu_seconds(self.agent.pid) / self.children * 1000, 2)
        f["pss_kb"] = pss_kilobytes(self.agent.pid)
        f["pss_kb_a_child"] = round((f["pss_kb"] - f["pss_kb_without"]) / self.children, 2)
        f["descriptors_a_child"] = round(len(os.listdir(f"/proc/{self.agent.pid}/fd")) / self.children, 2)

    def outage(self, seconds):
        f = self.figures
        self.kill_broker()
        self.await_online(0, 60)
        tries, cpu, since = failed_connections(), cpu_seconds(self.agent.pid), time.monotonic()
        time.sleep(seconds)  # the figure is what is used meanwhile
        took = time.monotonic() - since
        f["down_cpu_percent"] = round((cpu_seconds(self.agent.pid) - cpu) / took * 100, 3)
        f["down_tries_a_child_s"] = round((failed_connections() - tries) / self.children / took, 4)
        started = time.monotonic()
        self.start_broker()
        self.await_online(self.children, 60 + self.children / 20)
        f["seconds_to_all_back"] = round(time.monotonic() - started, 2)

    def remove(self):
        self.kill_broker()
        self.bench.remove()


def cannot(children):
    """Why there is nothing to measure here, or None."""
    if harness.STRETCH > 1:
        return "a build with sanitizers says nothing about memory and CPU"
    if not shutil.which(MOSQUITTO):
        return "there is no mosquitto"
    if os.geteuid() != 0:
        return "the agent forbids being looked into (it is not dumpable), so its PSS is shown to root only: run as root"
    hard, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4 * children + BROKER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f"the hard limit of open files is {hard}; {children} children need {needed}: ulimit -Hn {needed}"
    return None


def main():
    parser = argparse.ArgumentParser(prog="./dev scale --transport mqtt")
    parser.add_argument("--children", type=int, default=1000)
    parser.add_argument("--transport", choices=["mqtt"], help="as `./dev scale` takes it")
    parser.add_argument("--down", type=int, default=30)
    options = parser.parse_args()
    why = cannot(options.children)
    if why:
        say(json.dumps({"scale": "skipped", "why": why}))
        return harness.SKIPPED
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # mosquitto does not raise its own
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fleet, started = Fleet(options.children), time.monotonic()
    try:
        fleet.provision()
        fleet.come_online()
        say(f"{options.children} online {fleet.figures['seconds_to_all_online']} s after the start, "
            f"{fleet.figures['pss_kb_a_child']} kB a child")
        fleet.outage(options.down)
        say(f"broker down for {options.down} s: {fleet.figures['down_tries_a_child_s']} tries a child and second, "
            f"{fleet.figures['down_cpu_percent']} % of a processor; "
            f"all back after {fleet.figures['seconds_to_all_back']} s")
        held = 0 < fleet.figures["down_tries_a_child_s"] <= DOWN_TRIES_MAX
        say(f"  {'held' if held else 'FAILED'}: they try again, at most {DOWN_TRIES_MAX:g} times a child and second")
        if options.children >= DOWN_CPU_CHILDREN:
            cheap = fleet.figures["down_cpu_percent"] < DOWN_CPU_MAX
            say(f"  {'held' if cheap else 'FAILED'}: under {DOWN_CPU_MAX:g} % while the broker is down")
            held = held and cheap
        result = {"scale": "ok" if held else "failed"}
    except harness.Failure as e:
        fleet.bench.tails()
        result = {"scale": "failed", "why": str(e)}
    finally:
        fleet.remove()
    say(json.dumps({**result, "transport": "mqtt", **fleet.figures, "seconds": round(time.monotonic() - started, 1)}))
    return 0 if result["scale"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
