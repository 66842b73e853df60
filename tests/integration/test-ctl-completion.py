#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion of what the agent has: devices, points, jobs, uplinks, drivers; and once at a terminal, as a person has it."""
import completing
import harness
from agent_bench import sim_bench
from harness import check, wait_for
from terminal import Screen

CTL = "agent/gatehousectl/gatehousectl"
POINTS = {"flow": {"signal": "sine", "unit": "Cel"}, "target": {"signal": "constant", "value": 1, "writable": True}}


def both(bench, *words):
    """What bash offers, and zsh as well where it is installed."""
    program = harness.program(CTL)
    found = completing.bash(program, *words, env=bench.env)
    if completing.has_zsh():
        also = completing.zsh(program, *words, env=bench.env)
        check(also == found, f"{words}: bash {found}, zsh {also}")
    return found


def names_of_the_agent(bench):
    sim_bench(bench, ("meter-2", "meter-10", "boiler"), points=POINTS)
    wait_for("all samples", lambda: len(bench.ctl_json("read", "--all")["samples"]) == 6)
    bench.ctl("rotate", "boiler")
    number = bench.ctl_json("job", "list")["jobs"][0]["job"]
    for words, expected in ((("show", ""), ["boiler", "meter-2", "meter-10"]), (("rotate", "boiler", "me"), ["meter-2", "meter-10"]),
                            (("watch", "meter-1"), ["meter-10"]), (("write", "boiler", ""), ["flow", "target"]),
                            (("read", "boiler", "t"), ["target"]), (("read", "--latest", "boiler", "b"), ["boiler"]),
                            (("read", "nobody", ""), []), (("job", "wait", ""), [number]), (("list", "--uplink", ""), ["cloud"]),
                            (("list", "--driver", ""), ["sim"]), (("key", "forget", "m"), ["meter-2", "meter-10"])):
        check(both(bench, *words) == expected, f"{words}: {both(bench, *words)}, expected {expected}")


def at_a_terminal(bench):
    sim_bench(bench, ("boiler-1",), connect=False)
    path = harness.program(CTL).rsplit("/", 1)[0]
    screen = Screen(bench, "--norc", "--noprofile", "-i", program="/bin/bash", PATH=path + ":/usr/bin:/bin", INPUTRC="/dev/null",
                    HISTFILE="")
    screen.type(f"source {completing.DIRECTORY}/gatehousectl.bash; echo rea''dy\n")
    screen.wait_text("ready")
    screen.type("gatehousectl sho\t")
    screen.wait_text("gatehousectl show ")
    screen.type("boi\t")
    screen.wait_text("gatehousectl show boiler-1 ")
    screen.type("\n")
    screen.wait_text("no-credential")
    screen.type("exit\n")
    screen.end()


if __name__ == "__main__":
    harness.main(names_of_the_agent, at_a_terminal, needs=("busctl",))
