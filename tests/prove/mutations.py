#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the checker of the rotation notice when the rotation is wrong?

usage: mutations.py [--sample N] [--seed S] [--only TEXT] [--keep] [--check]

Each row of src/rotation/table.c is broken in turn: left out, led to another state, robbed of its commit, made to send before it
is durable, made to send another request; and so are the places in machine.c and carrier.c that keep this
order, and in evidence.c that say what a fallback may do. Every mutant is a
copy in a scratch directory, compiled together with the exhaustive checker (rotation-model), which must end it with a violation.
Mutants that behave as the table does are named in EQUIVALENT with the reason; a mutant named there that is caught after all, and
a name that fits no mutant, are failures too.

--sample N takes N of them, drawn by the seed. --check makes them all and runs none: whether the code still has what is to be
broken. The last line is JSON; status 0 only if every mutant was caught or is equivalent.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD_DIR = os.path.abspath(os.environ.get("GATEHOUSE_BUILD") or os.environ.get("BUILD_DIR") or os.path.join(ROOT, "build"))
CHECKER = "tests/prove/rotation-model"
AT_ONCE = 2
SECONDS_MAX = 1800  # for a mutant that makes many more worlds than there are
STATES = ("IDLE", "STAGED", "OFFERED", "PROBING", "SWAPPED", "RETIRING", "ABANDONING")
REQUESTS = ("SEND_OFFER", "SEND_FIND", "SEND_PROBE", "SEND_VERIFY", "SEND_DELETE")

# (what is done, the row's condition): why nobody could tell.
LOOKS_ANYWAY = "a result that has no row makes the machine look again at once, and that is all that this row says"
OTHER_WORDS = "the row behind it refuses with the same error; only the words are other ones"
EQUIVALENT = {
    ("row left out", "ON(PROBING, FOUND)"): LOOKS_ANYWAY,
    ("row left out", "ON(PROBING, ABSENT)"): LOOKS_ANYWAY,
    ("row left out", "ON(DELETING, ABSENT)"): LOOKS_ANYWAY,
    ("row left out", "ON(TWO_KEYS, PROBE_ACCEPTED)"): LOOKS_ANYWAY,
    ("row left out", "ON(IDLE, FORGET_MAIN)"): OTHER_WORDS,
    ("row left out", "ON(ANY, SET_MAIN), IF(FACT_MAIN_REFUSED, 0)"): OTHER_WORDS,
    ("row left out", "ON(NEW_KEY, SET_BACKUP)"): OTHER_WORDS,
    ("row left out", "ON(DELETING, TIMER), IF(FACT_LOOKS, 0)"): "the row behind it asks the same, after a write that is not needed",
}

MACHINE, CARRIER, EVIDENCE = "src/rotation/machine.c", "src/rotation/carrier.c", "src/rotation/evidence.c"
# Of the code that keeps the order, and of what is believed: what is wrong with it, file, text, what stands there instead, and the walk that is known to
# find it where that takes long.
PLACES = [
    ("a commit that failed is entered", MACHINE,
     "    r->change = ROTATION_CHANGE_NONE;\n    /* A request", "    enter(r);\n    /* A request"),
    ("a request that could not be written down keeps its turn", MACHINE, "    if (row_asks(row))\n        r->probe_turn = true;\n", ""),
    ("a commit that failed is followed by its requests", MACHINE,
     '.text = "the vault could not be written"};', '.text = "the vault could not be written"};\n    add_request(r, row->send, out);'),
    ("an event is taken while a commit is unanswered", MACHINE,
     "if (ends_commit != (r->change != ROTATION_CHANGE_NONE))", "if (ends_commit && r->change == ROTATION_CHANGE_NONE)"),
    ("an act makes the machine look as often as it comes", MACHINE, "    if (r->hastened_at != 0)\n", "    if (r->hastened_at > now)\n"),
    ("an act is written down again and again", MACHINE, "!apply_flags(&d, row->set, row->clear);", "!apply_flags(&d, row->set, row->clear) && r->row == 999;"),
    ("a result is taken that nobody asked for", MACHINE,
     "if (answered != ROTATION_REQUEST_NONE && answered != r->in_flight)", "if (answered > ROTATION_REQUEST_DELETE)"),
    ("a timer begins a second request", MACHINE,
     "if (ev->type == ROTATION_EV_TIMER && r->in_flight != ROTATION_REQUEST_NONE)", "if (ev->type == ROTATION_EVENTS)"),
    ("a cancelled deletion is thought never sent", MACHINE, "if (deletion_cancelled)", "if (deletion_cancelled && ev->now.boottime == 0)"),
    ("what is unsettled is not written down", MACHINE, "r->next.unsettled = asks || !evidence_settled(r, event_time(ev));",
     "r->next.unsettled = asks;"),
    ("that something is asked is not written down", MACHINE, "bool asks = row_asks(row);", "bool asks = false;"),
    ("what was written down long ago is sent", MACHINE, "if (row_asks(row) && stamp_age", "if (row == NULL && stamp_age"),
    ("who was accepted during a fallback is believed after it", MACHINE, "if (r->d.fallen && !r->next.fallen && !swapped)",
     "if (r->d.fallen && r->next.fallen && !swapped)"),
    ("a fallback outlives its key", MACHINE, "d->has_backup = d->backup_id = d->fallen = false;",
     "d->has_backup = d->backup_id = false;"),
    ("a key that was main is given up for refusals", EVIDENCE, "return r->d.fallen || (r->passed_at", "return (r->passed_at"),
    ("a key that was just accepted is given up for refusals", EVIDENCE,
     "return r->d.fallen || (r->passed_at != 0 && !passed(r->passed_at, now, ROTATION_ACCEPTED_SPAN));", "return r->d.fallen;"),
    ("a key that others know is gone back to", EVIDENCE, "return d->compromised && (d->state", "return d->wanted && (d->state"),
    ("going back is remembered when it was refused", EVIDENCE,
     "(is_successor(&r->d) && r->main_answers >= ANSWERS_BELIEVED);", "is_successor(&r->d);"),
    ("going back is remembered when main has come back", EVIDENCE,
     "        r->promote = r->promote && !rotation_way_back(r);\n        if (rotation_way_back", "        if (rotation_way_back"),
    ("going back is remembered when backup was refused", EVIDENCE,
     "    r->tries++;\n    r->promote = r->promote && !rotation_way_back(r);\n", "    r->tries++;\n"),
    ("nothing is unsettled after a start", EVIDENCE, "if (r->d.unsettled || (evidence_asking(", "if (r->in_flight == ROTATION_REQUEST_PROBE && (evidence_asking("),
    ("the new main has the old one's proof", MACHINE, "        r->proved_at = r->passed_at;\n", ""),
    ("the new main has the old one's refusals", MACHINE, "        r->proved_at = r->passed_at;\n        r->main_answers = 0;\n",
     "        r->proved_at = r->passed_at;\n"),
    ("a key that was set is thought refused as the one before", MACHINE, "    if (moved || set) /*", "    if (moved) /*"),
    ("a key that was set is thought absent as the one before", MACHINE, "if ((moved || set) && r->next", "if (moved && r->next"),
    ("the operator's main has the old one's proof", MACHINE, "        r->proved_at = 0; /* that was another key */\n", ""),
    ("a deletion names main", MACHINE,
     "                                                                                              : rotation_target(&r->d);",
     "                                                                                              : ROTATION_MAIN;"),
    ("the cloud's id goes to backup, whose it is not", MACHINE,
     "a->role = row->change == ROTATION_CHANGE_CLOUD_ID ? rotation_target(&r->d) : ROTATION_BACKUP;", "a->role = ROTATION_BACKUP;"),
    ("actions in the reverse order", CARRIER, "for (size_t i = 0; i < actions.n; i++)\n        carry_out",
     "for (size_t i = actions.n; i-- > 0;)\n        carry_out"),
    ("the durable part before the change is committed", CARRIER, "rotation_encode(a->next, blob", "rotation_encode(&c->machine.d, blob"),
    ("a commit that could not begin is waited for", CARRIER, "if (commit(c, a) < 0)", "if (commit(c, a) > 0)"),
    ("a commit that could not begin counts as done", CARRIER, "fail(c, ROTATION_EV_COMMIT_FAILED);", "fail(c, ROTATION_EV_COMMITTED);"),
    ("a commit that the disk refused counts as done", CARRIER, "r < 0 ? ROTATION_EV_COMMIT_FAILED : ROTATION_EV_COMMITTED",
     "ROTATION_EV_COMMITTED"),
    ("events during a commit are lost", CARRIER, "if (ends_commit(c->queue[i].type) != pending)",
     "if (ends_commit(c->queue[i].type) && !pending)"),
    ("the probe's session goes before its swap", CARRIER, "if (!c->probe_open || c->machine.change != ROTATION_CHANGE_NONE)",
     "if (!c->probe_open)"),
    ("the probe's session is kept for nothing", CARRIER, "        c->probe_open = true;\n", ""),
    ("the old session stays open", CARRIER, "        ops->close_old(userdata);\n", ""),
    ("an offer that could not begin is waited for", CARRIER, "if (ops->offer(userdata) < 0)", "if (ops->offer(userdata) > 0)"),
    ("a search that could not begin is waited for", CARRIER, "if (ops->find(userdata, a->role) < 0)",
     "if (ops->find(userdata, a->role) > 0)"),
    ("a probe that could not begin is waited for", CARRIER, "if (ops->probe(userdata) < 0)", "if (ops->probe(userdata) > 0)"),
    ("a verification that could not begin is waited for", CARRIER, "if (ops->verify(userdata) < 0)", "if (ops->verify(userdata) > 0)"),
    ("a deletion that could not begin is waited for", CARRIER, "if (ops->delete (userdata, a->role) < 0)",
     "if (ops->delete (userdata, a->role) > 0)"),
]


@dataclasses.dataclass
class Mutant:
    kind: str
    where: str
    file: str
    source: str
    row: int = 999  # any
    walk: list = ()
    outcome: str = ""
    seconds: float = 0

    def __str__(self):
        return f"{self.kind}: {self.where}"


class Row:
    def __init__(self, source, begin, end):
        self.source, self.begin, self.end = source, begin, end
        self.text = source[begin:end]
        flat = " ".join(self.text.split())
        self.where = re.match(r"\{(ON\([^)]*\)(, IF\([^)]*\))?)", flat).group(1)
        self.states = re.match(r"ON\(([^,]*),", self.where).group(1)
        commit = re.search(r"COMMIT\(\w+, (\w+)\)", self.text)
        self.commit, self.to = (commit.group(0), commit.group(1)) if commit else (None, None)
        self.request = next((r for r in REQUESTS if re.search(rf"\b{r}\b", self.text)), None)
        # something follows the commit
        self.follows = bool(re.search(r"SEND_|REPLY\(|\.delay", self.text))

    def with_text(self, text):
        return self.source[:self.begin] + text + self.source[self.end:]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def table_rows(source):
    """The initialisers of rotation_table, in their order."""
    begin = source.index("rotation_table[] = {") + len("rotation_table[] = {")
    end = source.index("\n};", begin)
    rows, depth, at = [], 0, begin
    for i in range(begin, end):
        if source[i] == "{":
            depth += 1
            at = i if depth == 1 else at
        elif source[i] == "}":
            depth -= 1
            if depth == 0:
                rows.append(Row(source, at, i + 1))
    return rows


def replace_once(text, old, new, what):
    if text.count(old) != 1:
        raise SystemExit(f"mutations: {what}: the text to be broken stands there {text.count(old)} times, expected once:\n{old}")
    return text.replace(old, new)


def other_targets(row):
    """Where else a commit might lead: nowhere, a state too far, a state short."""
    if row.to == "STAY":
        targets = ["IDLE", "OFFERED"]
    else:
        targets = ["STAY", STATES[(STATES.index(row.to) + 1) % len(STATES)], STATES[STATES.index(row.to) - 1]]
    # of a row of one state, that state and STAY are the same
    here = {row.states, "STAY"} if row.states in STATES else set()
    return [t for t in targets if not {t, row.to} <= here]


def row_mutants(row, number, machine):
    table = "src/rotation/table.c"
    yield Mutant("row left out", row.where, table, drop(row))
    if row.commit:
        for to in other_targets(row):
            text = row.text.replace(row.commit, re.sub(r", \w+\)", f", {to})", row.commit))
            yield Mutant(f"to {to}", row.where, table, row.with_text(text))
        without = replace_once(row.text, row.commit + ",", "", row.where) if row.commit + "," in row.text else \
            replace_once(row.text, ", " + row.commit, "", row.where)
        yield Mutant("commit left out", row.where, table, row.with_text(without))
        if row.follows:
            yield Mutant("sent before the commit", row.where, "src/rotation/machine.c", sends_first(machine, number))
    if row.request:
        other = REQUESTS[(REQUESTS.index(row.request) + 1) % len(REQUESTS)]
        yield Mutant(f"{other} instead", row.where, table, row.with_text(re.sub(rf"\b{row.request}\b", other, row.text)))


def drop(row):
    """Without the row and the comma behind it."""
    after = row.source[row.end:]
    return row.source[:row.begin] + (after[1:] if after.startswith(",") else after)


def sends_first(machine, number):
    text = replace_once(machine, "        commit(r, row, ev, ret);",
                        f"        (void)(row == &rotation_table[{number}] ? add_row(r, p, row, ev, ret) : (void)0), "
                        "commit(r, row, ev, ret);", "machine.c")
    return replace_once(text, "        add_row(r, p, row, ev, out);\n}\n\nstatic void commit_failed",
                        f"        if (r->row != {number})\n            add_row(r, p, row, ev, out);\n}}\n\nstatic void commit_failed", "machine.c")


def all_mutants():
    table, machine = read("src/rotation/table.c"), read("src/rotation/machine.c")
    mutants = []
    for n, row in enumerate(table_rows(table)):
        mutants += [dataclasses.replace(m, row=n) for m in row_mutants(row, n, machine)]
    for name, file, old, new, *walk in PLACES:
        mutants.append(Mutant("order", name, file, replace_once(read(file), old, new, name), walk=walk))
    return mutants


class Laboratory:
    """Compiles a mutant into the checker's objects as the build made them, and lets it run."""

    def __init__(self, directory):
        self.directory, self.compile, self.seeds = directory, {}, os.path.join(directory, "seeds")
        with open(os.path.join(BUILD_DIR, "compile_commands.json"), encoding="utf-8") as f:
            for entry in json.load(f):
                name = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
                if name.startswith("src/rotation/"):
                    self.compile[name] = shlex.split(entry["command"])
        commands = subprocess.run(["ninja", "-C", BUILD_DIR, "-t", "commands", CHECKER], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout
        self.link = shlex.split(commands.strip().splitlines()[-1])

    def build(self, mutant, number):
        source, binary = (os.path.join(self.directory, f"{number}{suffix}") for suffix in (".c", ""))
        with open(source, "w", encoding="utf-8") as f:
            f.write(mutant.source)
        compile_, link = list(self.compile[mutant.file]), list(self.link)
        for option, value in (("-o", binary + ".o"), ("-c", source), ("-MF", binary + ".d"), ("-MQ", binary + ".o")):
            compile_[compile_.index(option) + 1] = value
        compile_ = [a for a in compile_ if a not in ("-g", "-Werror")]
        link[link.index("-o") + 1] = binary
        link.insert(link.index("-o") + 2, binary + ".o")
        for command in (compile_, link):
            done = subprocess.run(command, cwd=BUILD_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode != 0:
                return None, done.stdout
        return binary, ""

    def examine(self, mutant, number):
        started = time.monotonic()
        binary, why = self.build(mutant, number)
        if not binary:
            mutant.outcome = "does not compile: " + why
        else:
            mutant.outcome = self.run(binary, mutant)
            os.unlink(binary)
        mutant.seconds = time.monotonic() - started
        return mutant

    def make_seeds(self):
        """Worlds in which each row is taken, by the whole machine."""
        subprocess.run([os.path.join(BUILD_DIR, CHECKER), "--seeds", self.seeds], check=True, stdout=subprocess.DEVNULL)

    def run(self, binary, mutant):
        outcome = self.walk(binary, "--from", self.seeds, str(mutant.row))
        for walk in mutant.walk:
            outcome = self.walk(binary, "--first", walk) if outcome == "survived" else outcome
        if outcome == "survived" and (mutant.kind, mutant.where) not in EQUIVALENT:
            outcome = self.walk(binary, "--first")
        return outcome

    @staticmethod
    def walk(*command):
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            return "no end"
        found = re.search(r"^.*VIOLATION: .*$", done.stdout, re.MULTILINE)
        if done.returncode == 1 and found:
            return "caught: " + found.group(0)
        return "survived" if done.returncode == 0 else f"status {done.returncode}: {done.stdout[-300:]}"


def judge(mutant):
    """caught, equivalent, survived or wrong."""
    reason = EQUIVALENT.get((mutant.kind, mutant.where))
    if mutant.outcome.startswith("caught"):
        return "wrong" if reason else "caught"
    if mutant.outcome == "survived":
        return "equivalent" if reason else "survived"
    return "wrong"


def report(mutant):
    verdict = judge(mutant)
    if verdict == "caught":
        print(f"caught      {mutant}\n            {mutant.outcome[8:]} ({mutant.seconds:.1f} s)", flush=True)
    elif verdict == "equivalent":
        print(f"equivalent  {mutant}\n            {EQUIVALENT[mutant.kind, mutant.where]}", flush=True)
    else:
        print(f"{verdict.upper():11} {mutant}\n            {mutant.outcome} ({mutant.seconds:.1f} s)", flush=True)
    return verdict


def examine_all(mutants, keep):
    directory = tempfile.mkdtemp(prefix="gatehouse-mutations-")
    counts = dict.fromkeys(("caught", "survived", "equivalent", "wrong"), 0)
    try:
        laboratory = Laboratory(directory)
        laboratory.make_seeds()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(laboratory.examine, m, n) for n, m in enumerate(mutants)]
            for future in concurrent.futures.as_completed(futures):
                counts[report(future.result())] += 1
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
    return counts


def main():
    parser = argparse.ArgumentParser(prog="./dev prove mutations")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose name has this text")
    parser.add_argument("--keep", action="store_true", help="keep the scratch directory")
    parser.add_argument("--check", action="store_true", help="make the mutants and run none")
    options = parser.parse_args()
    started, mutants = time.monotonic(), all_mutants()
    names = {(m.kind, m.where) for m in mutants}
    unknown = [name for name in EQUIVALENT if name not in names]
    for name in unknown:
        print(f"WRONG       in EQUIVALENT, but no such mutant: {name}")
    if options.check:
        print(json.dumps({"mutations": "failed" if unknown else "ok", "mutants": len(mutants)}))
        return 1 if unknown else 0
    mutants = [m for m in mutants if options.only in str(m)]
    if options.sample is not None:
        # those that nobody can tell take the whole walk each, and show nothing
        mutants = [m for m in mutants if (m.kind, m.where) not in EQUIVALENT]
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    counts = examine_all(mutants, options.keep)
    held = not unknown and counts["survived"] + counts["wrong"] == 0 and mutants
    print(json.dumps({"mutations": "ok" if held else "failed", "mutants": len(mutants), **counts, "seed": options.seed,
                      "seconds": round(time.monotonic() - started, 1)}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
