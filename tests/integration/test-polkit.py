#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what on D-Bus: every method, called by a stranger, a member of gatehouse-admin and root, with polkit and without. polkit
is python3-dbusmock's, under a user of its own, and where it is installed the real one with the rules that are shipped."""
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import harness
import namespaces
from agent_bench import sim_bench
from dbus_client import SENDER, Client, Error
from harness import Process, check, device_path, wait_for
from terminal import CTL, Screen

MANAGER, DEVICE, JOB = ("org.gatehouse1." + n for n in ("Manager", "Device", "Job"))
ROOT, PROPERTIES = "/org/gatehouse1", "org.freedesktop.DBus.Properties"
POLKIT, AUTHORITY = "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority"
MOCK, POLKITD = "org.freedesktop.DBus.Mock", "/usr/lib/polkit-1/polkitd"
DENIED, ASKS = "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
STRANGER, OPERATOR, MOCKS = 64051, 64050, 64052
INSIDE = "GATEHOUSE_TEST_POLKIT_INSIDE"
SHIPPED = os.path.join(harness.ROOT, "etc", "polkit")
# The action that each method needs; "": none.
ACTIONS = {
    "": ("ListDevices", "ListSensors", "GetDevice", "GetSummary", "Unsubscribe"),
    "monitor": ("Subscribe", "GetStatistics", "GetSamples"),
    "manage-devices": ("AddDevice", "RemoveDevice", "Connect", "Disconnect", "Reload", "Scan", "Read", "ReadRaw", "Check", "Quiesce"),
    "rotate": ("Rotate", "RotateAll", "Promote"),
    "manage-keys": ("SetCredential", "ForgetCredential", "Provision", "Rekey", "VerifyVault", "Backup", "SetRecoveryKey", "ResetCounter", "Cancel"),
    "export-keys": ("Export", "ExportCredential"),
    "write": ("Write", "WritePoints"),
    "set-log-level": ("Set",),
}
ACTION = {method: action for action, methods in ACTIONS.items() for method in methods}
MEMBERS = {"monitor", "manage-devices", "rotate", "write"}
EVERY = set(ACTIONS) - {""}


def methods(job):
    """(path, interface, method, types) of all there is."""
    found = []
    for path, interface in ((ROOT, MANAGER), (device_path("boiler-1"), DEVICE), (job, JOB)):
        source = os.path.join(harness.ROOT, "src", "bus", "interfaces", interface + ".xml")
        for m in ElementTree.parse(source).getroot().find("interface").findall("method"):
            found.append((path, interface, m.get("name"), [a.get("type") for a in m.findall("arg") if a.get("direction") == "in"]))
    return [*found, ("/org/freedesktop/LogControl1", PROPERTIES, "Set", ["s", "s", "v"])]


def allowed(client, path, interface, method, types, key):
    """Whether it got past the question. Arguments are well formed, and such that nothing is lost."""
    values = {"s": "main", "as": [], "a{sv}": {}, "v": ("d", 1.0), "h": key}
    arguments = ["org.freedesktop.LogControl1", "LogLevel", ("s", "info")] if method == "Set" else [values[t] for t in types]
    try:
        client.call(path, interface, method, "".join(types), *arguments)
    except Error as e:
        return e.name not in (DENIED, ASKS)
    return True


def table(bench, job, uid, granted):
    """Calls everything as that user; what is let through is what needs one of these actions, or none."""
    with Client(bench, uid=uid) as c, open("/dev/null", "rb") as key:
        for path, interface, method, types in methods(job):
            check(method in ACTION, f"{method} is new: say in ACTIONS what it needs")
            may = allowed(c, path, interface, method, types, key.fileno())
            check(may == (ACTION[method] in granted | {""}),
                  f"{method} ({ACTION[method] or 'for all'}) by uid {uid}, granted {sorted(granted)}: {'let through' if may else 'refused'}")


def inside(bench, case):
    """Runs a case of this file where users and groups are others, and what polkit reads is ours."""
    mounts = []
    for name, lines in (("passwd", "".join(f"{n}:x:{u}:{u}::/:/bin/sh\n" for n, u in (("operator", OPERATOR), ("outsider", STRANGER), ("mocks", MOCKS)))),
                        ("group", f"gatehouse-admin:x:{OPERATOR + 100}:operator\n")):
        with open("/etc/" + name, encoding="utf-8") as f, open(bench.path(name), "w", encoding="utf-8") as made:
            made.write("".join(line for line in f if not line.startswith("gatehouse-admin:")) + lines)
        mounts.append(f"mount --bind {bench.path(name)} /etc/{name}")
    for directory, file in (("actions", "org.gatehouse1.policy"), ("rules.d", "50-gatehouse.rules")):
        if os.path.isdir("/usr/share/polkit-1/" + directory):
            os.mkdir(bench.path(directory), 0o755)
            os.chmod(bench.path(directory), 0o755)
            shutil.copy(os.path.join(SHIPPED, file), bench.path(directory))
            os.chmod(os.path.join(bench.path(directory), file), 0o644)
            mounts.append(f"mount --bind {bench.path(directory)} /usr/share/polkit-1/{directory}")
    os.chmod(bench.dir, 0o711)
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh",
                           sys.executable, os.path.abspath(__file__), case], env={**os.environ, INSIDE: "1"}, check=False).returncode


def in_namespace(case):
    """The case itself, run in a namespace of its own."""
    def outer(bench):
        if INSIDE in os.environ:
            job = prepare(bench)
            case(bench, job)
        elif not namespaces.possible("--mount", trial="mount -t tmpfs tmpfs /mnt"):
            print("skipped: users of its own are for root, in a namespace")
        else:
            check(inside(bench, case.__name__) == 0, "see above")
    outer.__name__ = case.__name__
    return outer


def prepare(bench):
    sim_bench(bench)
    os.chmod(bench.dir, 0o711)
    job = bench.call(None, "VerifyVault")[0]
    with Client(bench) as c:
        wait_for("the job to end", lambda: c.call(job, PROPERTIES, "Get", "ss", JOB, "State")[0].value != "running")
    return job


class Mock(Process):
    """Under a user that is neither root nor the agent's, as polkitd is."""
    def __init__(self, bench):
        super().__init__(bench, "polkit-mock", ["setpriv", "--reuid", str(MOCKS), "--clear-groups", "/usr/bin/python3", "-m", "dbusmock",
                                                "--template", "polkitd"], env={"HOME": "/"})
        bench.processes.append(self)
        self.start()
        self.wait()

    def wait(self, *_):
        def there():
            check(self.alive(), f"the mock ended: {self.text()}")
            return POLKIT in self.bench.busctl("list", "--no-legend").stdout
        if self.alive():
            wait_for("polkit on the bus", there)
            return 0
        return super().wait(*_)

    def do(self, method, *arguments):
        return self.bench.busctl("call", POLKIT, AUTHORITY, MOCK, method, *arguments).stdout

    def allow(self, *actions):
        self.do("SetAllowed", "as", str(len(actions)), *("org.gatehouse1." + a for a in actions))

    def hangs(self):
        return "true" in self.do("HaveHangingCalls")


def mock_possible():
    return subprocess.run(["/usr/bin/python3", "-c", "import dbusmock"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def needs_mock(case):
    def outer(bench, job):
        if mock_possible():
            case(bench, job)
        else:
            print("skipped: python3-dbusmock is not installed")
    outer.__name__ = case.__name__
    return outer


@in_namespace
def without_polkit(bench, job):
    table(bench, job, 0, EVERY)
    table(bench, job, OPERATOR, MEMBERS)
    table(bench, job, STRANGER, set())


@in_namespace
@needs_mock
def with_polkit(bench, job):
    """polkit's word alone counts, for members of the group too; root is not asked about."""
    mock = Mock(bench)
    for uid in (STRANGER, OPERATOR):
        table(bench, job, uid, set())
    table(bench, job, 0, EVERY)
    for action in sorted(EVERY):
        mock.allow(action)
        table(bench, job, STRANGER, {action})


@in_namespace
@needs_mock
def slow_and_vanishing(bench, job):
    """While polkit thinks, everybody else is served, and it is not waited for ever; ended meanwhile, nobody is let through."""
    mock = Mock(bench)
    mock.allow("manage-devices")
    mock.do("SimulateHang", "b", "true")
    with Client(bench, uid=STRANGER) as waiting, Client(bench, uid=OPERATOR) as other:
        serial = waiting.send(device_path("boiler-1"), DEVICE, "Disconnect", "", (), harness.BUS_NAME)
        wait_for("the question to be with polkit", mock.hangs)
        other.call(ROOT, MANAGER, "ListDevices", "a{sv}", {})
        check(bench.get("boiler-1", "State") == "online", "nothing is done before polkit has answered")
        mock.do("ReleaseHangingCalls")
        check(waiting.answered(serial), "it is not carried out once it is allowed")
        bench.wait_property("boiler-1", "State", "disabled")
        serial = waiting.send(device_path("boiler-1"), DEVICE, "Connect", "", (), harness.BUS_NAME)
        wait_for("the question to be with polkit", mock.hangs)
        mock.kill()
        check(not waiting.answered(serial), "it was let through")
        check(bench.get("boiler-1", "State") == "disabled", "nothing was done")
        wait_for("it to be off the bus", lambda: POLKIT not in bench.busctl("list", "--no-legend").stdout)
        check(not allowed(waiting, device_path("boiler-1"), DEVICE, "Connect", [], 0), "a stranger, without polkit")
        other.call(device_path("boiler-1"), DEVICE, "Connect")  # of the group: the fallback is back
        mock.start()
        mock.wait()
        check(not allowed(other, device_path("boiler-1"), DEVICE, "Connect", [], 0), "polkit is back, and its word counts again")


@in_namespace
@needs_mock
def nobody_answers_for_it(bench, job):
    """A stranger who answers our questions in polkit's place, whatever number they have, with his first message and after it."""
    mock = Mock(bench)
    mock.do("SimulateHang", "b", "true")
    with Client(bench, uid=STRANGER) as asks, Client(bench, uid=OPERATOR) as forges:
        agent, = asks.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", "s", harness.BUS_NAME,
                           destination="org.freedesktop.DBus")
        serial = asks.send(ROOT, MANAGER, "Reload", "", (), harness.BUS_NAME)
        wait_for("the question to be with polkit", mock.hangs)
        for number in range(1, 400):
            forges.reply(agent, number, "(bba{ss})", (True, False, {}))
        forges.call("/", "org.freedesktop.DBus.Peer", "Ping")
        mock.do("ReleaseHangingCalls")
        check(not asks.answered(serial), "a stranger answered for polkit")


@in_namespace
def each_waits_for_its_own_answer(bench, job):
    """No answer to one caller's question leaves another's, which is with polkit too, to be answered."""
    with Client(bench, uid=MOCKS) as polkit, Client(bench, uid=STRANGER) as unanswered, Client(bench, uid=OPERATOR) as patient:
        polkit.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su", POLKIT, 0, destination="org.freedesktop.DBus")
        calls = {c: c.send(ROOT, MANAGER, "Reload", "", (), harness.BUS_NAME) for c in (unanswered, patient)}
        questions = {}
        while len(questions) < len(calls):
            m = polkit.receive()
            if m.member == "CheckAuthorization":
                questions[m.body[0][1]["name"].value] = m.fields[SENDER], polkit.reply_serial
            else:
                polkit.keep(m)
        agent, number = questions[unanswered.name]
        polkit.fail(agent, number, "org.freedesktop.DBus.Error.NoReply")  # as the library says when time is up
        check(not unanswered.answered(calls[unanswered]), "it was let through")
        polkit.reply(*questions[patient.name], "(bba{ss})", (True, False, {}))
        check(patient.answered(calls[patient]), "it was refused, and polkit allows it")


@in_namespace
def by_the_real_one(bench, job):
    """The rules and actions that are shipped, by polkit's own daemon."""
    if not os.path.exists(POLKITD):
        print("skipped: polkitd is not installed")
        return
    polkit = Process(bench, "polkitd", [POLKITD, "--no-debug"])
    bench.processes.append(polkit)
    polkit.start()
    wait_for("polkit on the bus", lambda: not polkit.alive() or POLKIT in bench.busctl("list", "--no-legend").stdout)
    if not polkit.alive():
        print(f"skipped: polkitd does not run here: {polkit.text()}")
        return
    table(bench, job, OPERATOR, MEMBERS)
    table(bench, job, STRANGER, set())
    table(bench, job, 0, EVERY)
    with Client(bench, uid=STRANGER) as c:
        try:
            c.call(ROOT, MANAGER, "Reload")
            raise harness.Failure("it was let through")
        except Error as e:
            check(e.name == ASKS and "without a password" in e.text, f"these are not polkit's words: {e}")


ASKER = """#!/bin/sh
echo "$$ $*" >>{log}
eval "exec $2>&-"
exec sleep 600
"""


@in_namespace
def asked_at_the_terminal(bench, job):
    """As systemctl does: polkit's agent for terminals is started once a password would do, not for what anybody may, and ended again.
    Here it is a stand-in, which answers nothing."""
    if not os.path.exists(POLKITD):
        print("skipped: polkitd is not installed")
        return
    polkit = Process(bench, "polkitd", [POLKITD, "--no-debug"])
    bench.processes.append(polkit)
    polkit.start()
    wait_for("polkit on the bus", lambda: not polkit.alive() or POLKIT in bench.busctl("list", "--no-legend").stdout)
    if not polkit.alive():
        print(f"skipped: polkitd does not run here: {polkit.text()}")
        return
    log, programs = bench.path("asked"), bench.path("programs")
    os.mkdir(programs, 0o755)
    os.chmod(programs, 0o755)
    with open(log, "w", encoding="utf-8"), open(os.path.join(programs, "pkttyagent"), "w", encoding="utf-8") as f:
        f.write(ASKER.format(log=log))
    os.chmod(log, 0o666)
    os.chmod(f.name, 0o755)

    def call(*words, terminal=True):
        command = ["setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups", harness.program(CTL), *words]
        if not terminal:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, **bench.env, "PATH": f"{programs}:{os.environ['PATH']}"}, timeout=harness.DEADLINE).returncode
        screen = Screen(bench, *command[1:], program=shutil.which("setpriv"), PATH=f"{programs}:{os.environ['PATH']}")
        return screen.end()
    check(call("list") == 0 and harness.read(log) == "", "looking asks nobody")
    check(call("reload", terminal=False) == 5 and harness.read(log) == "", "a program is not asked")
    check(call("reload") == 5, "nothing was typed, so it is refused")
    asked = harness.read(log).split()
    check(len(asked) == 4 and asked[1] == "--notify-fd" and asked[3] == "--fallback", asked)
    wait_for("it to be ended", lambda: not os.path.exists("/proc/" + asked[0]))


if __name__ == "__main__":
    harness.main(without_polkit, with_polkit, slow_and_vanishing, nobody_answers_for_it, each_waits_for_its_own_answer, by_the_real_one, asked_at_the_terminal)
