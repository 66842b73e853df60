# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gateway that is watched as people watch it: by gatehousectl, and by `systemctl status`."""
from harness import wait_for
from notified import Notified


def watched(function):
    """A case that is given what watches its bench."""
    def run(bench):
        function(Watched(bench))
    run.__name__ = function.__name__
    return run


def watched_cases(names):
    return [value for value in list(names.values()) if getattr(value, "__qualname__", "").startswith("watched.<")]


class Watched:
    """A bench whose agent tells a service manager, and what everybody is told."""

    def __init__(self, bench):
        self.bench = bench
        self.notified = Notified(bench)
        self.agent = None

    def start(self, devices=("boiler-1",), drivers=("sim",), key=True, cloud=True, options=()):
        """Every device with a key that a cloud has, and an agent and drivers."""
        self.keys = {d: self.bench.new_key() for d in devices}
        self.cloud = self.bench.devcloud([(f"first-{d}", self.keys[d], d) for d in devices])
        if cloud:
            self.bench.write_config(self.cloud.url)
        self.begin(drivers, options)
        for d in devices if key else ():
            self.bench.key_set(d, f"first-{d}", self.keys[d])
        return self

    def begin(self, drivers=("sim",), options=()):
        """An agent and drivers alone."""
        self.agent = self.bench.agent(*options, env={"NOTIFY_SOCKET": self.notified.path})
        self.drivers = {d: self.bench.driver(d) for d in drivers}

    def restart(self):
        self.agent.restart()
        self.bench.wait_agent(self.agent)

    def tells(self, status=(), row=(), show=(), systemctl="", device="boiler-1", listed=()):
        """Waits until each is told where it belongs; `row`: the device's line in `list`, `listed`: anywhere in it."""
        def lines(text):
            return "\n".join(line for line in text.splitlines() if line.split()[:1] == [device])

        for where, words, look in (("status", status, lambda: self.bench.ctl("status")),
                                   ("list", row, lambda: lines(self.bench.ctl("list"))),
                                   ("list", listed, lambda: self.bench.ctl("list")),
                                   ("show", show, lambda: self.bench.ctl("show", device)),
                                   ("systemctl status", [systemctl] if systemctl else [], self.notified.last)):
            for word in words:
                wait_for(lambda w=word, k=look, h=where: f"{w!r} in what {h} prints: {k()!r}", lambda w=word, k=look: w in k())
