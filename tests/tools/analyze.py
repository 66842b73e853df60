#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Look for faults that no run shows: clang-tidy (.clang-tidy) and gcc's analyzer, over src/, agent/ and plugins/.

usage: analyze.py BUILD_DIR [--with tidy|gcc] [--budget SECONDS] [FILE...] | --self-test

A finding is mended, or argued: a line of tests/tools/argued.txt with the check, the file, a part of its words, and the reason why
it is none. A file that takes over two minutes, or for which the budget (1200 s) leaves no time, is listed as not looked at. The last
line is JSON; status 0 only if each file was looked at, nothing was found that is not argued, and each argument is still needed. A file
that does not compile, and a tool that fails and does not say of what, are findings."""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ARGUED = os.path.join(ROOT, "tests", "tools", "argued.txt")
FILE_SECONDS = 120
FINDING = re.compile(r"^(\S+?):(\d+):\d+: warning: (.*) \[(-Wanalyzer-[\w-]+|[a-z][\w.-]+(?:,[\w.,-]+)?)\]$", re.M)
ERROR = re.compile(r"^(\S+?):(\d+):\d+: (?:fatal )?error: (.*?)(?: \[([^\]\s]+)\])?$", re.M)
FOLDERS = ("src/", "agent/", "plugins/")
NOT_CLANGS = {"-fcf-protection=full", "-mbranch-protection=standard", "-ftrivial-auto-var-init=zero", "-fstack-clash-protection"}


def read_argued(text):
    """[(check, file, part of the words, reason)]"""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            check, path, words, reason = (part.strip() for part in line.split("|"))
            if not reason:
                raise SystemExit(f"argued.txt: no reason: {line}")
            found.append((check, path, words, reason))
    return found


def findings(output, base):
    """{(check, file, line, words)} of what a tool has printed. An error counts wherever it is: what follows it was not looked at."""
    found = set()
    for path, line, words, check in FINDING.findall(output):
        path = within(path, base)
        if path.startswith(FOLDERS):
            found.add((check.split(",")[0], path, int(line), words))
    return found | {(check.split(",")[0] or "error", within(path, base), int(line), words)
                    for path, line, words, check in ERROR.findall(output)}


def within(path, base):
    return os.path.relpath(os.path.normpath(os.path.join(base, path)), ROOT)


def outcome(path, status, output, base):
    """The findings of a tool that has ended; that it failed is one, unless it said of what."""
    found = findings(output, base)
    if status != 0 and not ERROR.search(output):
        last = (output.strip().splitlines() or ["nothing was printed"])[-1]
        found.add(("failed", path, 0, f"the tool ended with status {status}: {last}"))
    return found


def judge(found, argued):
    """What is not argued, and arguments of which nothing is left."""
    used, open_ones = set(), []
    for check, path, line, words in sorted(found):
        why = [a for a in argued if a[0] == check and a[1] == path and a[2] in words]
        used.update(why)
        if not why:
            open_ones.append(f"{path}:{line}: {words} [{check}]")
    return open_ones, [a for a in argued if a not in used]


def commands(build):
    """{file: the arguments of its compiler}, without those that say where the result goes."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        entries = json.load(f)
    found = {}
    for entry in entries:
        path = os.path.relpath(os.path.normpath(os.path.join(entry["directory"], entry["file"])), ROOT)
        words = [w for w in shlex.split(entry["command"]) if w not in ("ccache", "cc", "gcc", "clang", "-Werror", "-MD", "-c")]
        kept, skip = [], False
        for word in words:
            if skip or word in ("-o", "-MF", "-MQ"):
                skip = not skip
            elif not word.endswith(".c"):
                kept.append(word)
        if path.startswith(FOLDERS):
            found.setdefault(path, kept)
    return found


def invocation(tool, source, arguments):
    if tool == "tidy":
        return ["clang-tidy", "--quiet", source, "--", *[a for a in arguments if a not in NOT_CLANGS], "-Wno-unknown-warning-option"]
    # meson has it write in colours, whose bytes would stand between the words that are looked for
    return ["gcc", *arguments, "-fdiagnostics-color=never", "-O1", "-fanalyzer", "-U_FORTIFY_SOURCE", "-c", source, "-o", os.devnull]


def look(tool, build, path, arguments):
    command = invocation(tool, os.path.join(ROOT, path), arguments)
    try:
        done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=FILE_SECONDS)
    except subprocess.TimeoutExpired:
        return path, None
    return path, outcome(path, done.returncode, done.stdout, build)


def self_test():
    printed = ("../src/bus/door.c:12:5: warning: a null pointer is read [clang-analyzer-core.NullDereference]\n"
               "../src/bus/door.c:14:9: warning: leak of 'x' [CWE-401] [-Wanalyzer-malloc-leak]\n"
               "../src/bus/door.c:14:9: note: here\n/usr/include/stdio.h:9:1: warning: x [bugprone-x,cert-y]\n")
    found = findings(printed, os.path.join(ROOT, "build"))
    assert {(c, p, n) for c, p, n, _ in found} == {("clang-analyzer-core.NullDereference", "src/bus/door.c", 12),
                                                   ("-Wanalyzer-malloc-leak", "src/bus/door.c", 14)}, found
    argued = read_argued("# no line\n-Wanalyzer-malloc-leak | src/bus/door.c | leak of 'x' | the caller has it\n")
    assert judge(found, argued) == (["src/bus/door.c:12: a null pointer is read [clang-analyzer-core.NullDereference]"], []), judge(found, argued)
    assert judge(set(), argued) == ([], argued), "an argument of which nothing is left"
    broken = ("../src/bus/door.c:3:10: fatal error: door.h: No such file or directory\n"
              "../src/bus/door.c:7:2: error: unknown type name 'x' [clang-diagnostic-error]\n/usr/include/stdio.h:9:1: error: y\n")
    base = os.path.join(ROOT, "build")
    assert {(c, n) for c, _, n, _ in outcome("src/bus/door.c", 1, broken, base)} == {("error", 3), ("clang-diagnostic-error", 7), ("error", 9)}
    for status, text in ((1, "gcc: error: unrecognized option\n"), (1, ""), (-11, printed)):
        assert any(c == "failed" for c, *_ in outcome("src/bus/door.c", status, text, base)), f"status {status}: {text}"
    assert outcome("src/bus/door.c", 0, printed, base) == found, "and one that ended well"
    colours = [w for w in invocation("gcc", "x.c", ["-fdiagnostics-color=always"]) if "color" in w]
    assert colours[-1] == "-fdiagnostics-color=never", colours
    options = read_options(["build", "--with", "gcc", "--budget", "9", "src/bus/door.c", "src/bus/bus.c"])
    assert options.files == ["src/bus/door.c", "src/bus/bus.c"] and options.tool == "gcc" and options.budget == 9, options
    try:
        read_argued("check | file | words |\n")
    except SystemExit:
        return 0
    raise AssertionError("an argument without a reason")


def read_options(words):
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("--with", dest="tool", choices=("tidy", "gcc"), help="only this one")
    parser.add_argument("--budget", type=float, default=1200)
    parser.add_argument("files", nargs="*")
    return parser.parse_intermixed_args(words)  # parse_args takes no files behind an option that follows the build


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    options = read_options(sys.argv[1:])
    build, until = os.path.abspath(options.build), time.monotonic() + options.budget
    wanted = {os.path.relpath(os.path.abspath(f), ROOT) for f in options.files}
    with open(ARGUED, encoding="utf-8") as f:
        argued = read_argued(f.read())
    tools = [options.tool] if options.tool else ["tidy", "gcc"]
    work = [(tool, path, arguments) for path, arguments in sorted(commands(build).items()) for tool in tools if not wanted or path in wanted]
    found, left_out = set(), []

    def one(item):
        if time.monotonic() > until:
            return item[1], None
        return look(item[0], build, item[1], item[2])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, result in pool.map(one, work):
            if result is None:
                left_out.append(path)
            else:
                found |= result
    open_ones, stale = judge(found, argued)
    for text in open_ones:
        print(text)
    complete = not wanted and not options.tool and not left_out
    for check, path, words, _ in stale if complete else []:
        print(f"argued.txt: nothing is found any more: {check} | {path} | {words}")
    for path in sorted(set(left_out)):
        print(f"not looked at: {path}")
    print(json.dumps({"files": len({path for _, path, _ in work}), "found": len(found), "open": len(open_ones),
                      "stale": len(stale) if complete else 0, "not_looked_at": len(set(left_out))}))
    return 1 if open_ones or left_out or (complete and stale) else 0


if __name__ == "__main__":
    sys.exit(main())
