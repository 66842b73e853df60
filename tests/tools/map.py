#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draw the rooms of the source as they use one another, and judge the structure.

usage: map.py BUILD_DIR [--svg FILE] [--cycles] | --self-test

A room is a folder of src/ or a program of agent/. An arrow from one to another counts the includes; which file uses which is read
from the symbols of the object files, because one header may declare what many files define. Every room stands above all
that it uses, so that an arrow that points up is a cycle of rooms.

The last line is JSON. Status 0 only if no arrow points up, no cycle of files is larger than 4, no header that a room shares
is longer than 150 lines, and no struct has more than 25 members. --cycles lists the files of each cycle.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CYCLE_FILES, HEADER_LINES, STRUCT_MEMBERS = 4, 150, 25
INCLUDE = re.compile(r'^\s*#\s*include\s*"([a-z-]+)/([^"]+)"', re.M)
STRUCT = re.compile(r"^(?:typedef )?struct (\w+) \{\n(.*?)^\}", re.M | re.S)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 46, 34, 84, 24


def sources():
    """(room, path) of each source file of the product."""
    for top in ("src", "agent"):
        for folder, _, names in sorted(os.walk(os.path.join(ROOT, top))):
            parts = os.path.relpath(folder, ROOT).split(os.sep)
            if len(parts) < 2:
                continue
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield parts[1], os.path.relpath(os.path.join(folder, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def components(graph):
    """Tarjan's strongly connected components, without recursion."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []
    for start in sorted(graph):
        work = [(start, iter(sorted(graph[start])))] if start not in index else []
        while work:
            node, targets = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            for target in targets:
                if target not in index:
                    work.append((target, iter(sorted(graph.get(target, ())))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    found.append(sorted(stack[at:]))
                    on_stack.difference_update(stack[at:])
                    del stack[at:]
    return found


def file_graph(build):
    """Which source file calls into which, by the symbols of their objects."""
    defined, wanted = {}, collections.defaultdict(set)
    for folder, _, names in os.walk(build):
        top = os.path.relpath(folder, build).split(os.sep)
        if top[0] != "src" and top[:2] != ["agent", "gatehoused"]:
            continue
        for name in names:
            if not name.endswith(".c.o"):
                continue
            path = os.path.join(*top[:-1], name[:-2])
            text = subprocess.run(["nm", "--format=posix", os.path.join(folder, name)], stdout=subprocess.PIPE, text=True,
                                  check=True).stdout
            for line in text.splitlines():
                symbol, kind = line.split(" ")[:2]
                if kind == "U":
                    wanted[path].add(symbol)
                elif kind in "TDBR":
                    defined[symbol] = path
    return {path: {defined[s] for s in symbols if s in defined} - {path} for path, symbols in wanted.items()}


def members(body):
    """Of a struct: those of anonymous structs and unions within count too, and `int a, b;` has two."""
    return sum(line.count(",") + 1 for line in re.sub(r"\([^()]*\)", "", COMMENT.sub("", body)).split(";") if line.strip(" \n}"))


class Map:
    def __init__(self, build=None):
        """Without a build there is nothing to say of files that use one another."""
        self.lines, self.arrows, self.problems = collections.Counter(), collections.Counter(), []
        files = list(sources())
        rooms = {room for room, path in files if path.startswith("src/")}
        shared = collections.defaultdict(set)  # header -> files of its room that include it
        for room, path in files:
            text = read(path)
            self.lines[room] += text.count("\n")
            for target, name in INCLUDE.findall(text):
                if target == room:
                    shared[f"src/{room}/{name}"].add(path)
                elif target in rooms:
                    self.arrows[room, target] += 1
            for struct, body in STRUCT.findall(text):
                if members(body) > STRUCT_MEMBERS:
                    self.problems.append(f"{path}: struct {struct} has {members(body)} members, at most {STRUCT_MEMBERS}")
        for header, users in sorted(shared.items()):
            length = read(header).count("\n") if header.endswith("internal.h") else 0
            if length > HEADER_LINES and len(users) > 1:
                self.problems.append(f"{header}: {length} lines, shared by {len(users)} files of its room, at most {HEADER_LINES}")
        graph = collections.defaultdict(set)
        for source, target in self.arrows:
            graph[source].add(target)
        self.up = [c for c in components({room: graph[room] for room in self.lines}) if len(c) > 1]
        self.problems += [f"rooms that use one another: {', '.join(c)}" for c in self.up]
        self.cycles = sorted((c for c in components(file_graph(build) if build else {}) if len(c) > 1), key=len, reverse=True)
        self.problems += [f"a cycle of {len(c)} files, at most {CYCLE_FILES}: {', '.join(c[:6])}{' …' if len(c) > 6 else ''}"
                          for c in self.cycles if len(c) > CYCLE_FILES]
        self.graph = graph

    def levels(self):
        """Rooms by height: each one above all that it uses. Of a cycle of rooms the order is alphabetical."""
        height, pending = {}, sorted(self.lines)

        def of(room, seen):
            if room not in height:
                below = [of(t, seen | {room}) for t in sorted(self.graph[room]) if t not in seen]
                height[room] = 1 + max(below, default=-1)
            return height[room]

        for room in pending:
            of(room, frozenset([room]))
        rows = collections.defaultdict(list)
        for room, level in sorted(height.items()):
            rows[level].append(room)
        return [rows[level] for level in sorted(rows, reverse=True)]

    def svg(self, counts=True):
        """Without counts it changes only when a room or an arrow does."""
        rows = self.levels()
        width = 2 * MARGIN + max(len(row) for row in rows) * (WIDTH + GAP_X) - GAP_X
        place = {}
        for y, row in enumerate(rows):
            left = (width - len(row) * (WIDTH + GAP_X) + GAP_X) / 2
            for x, room in enumerate(row):
                place[room] = (left + x * (WIDTH + GAP_X), MARGIN + y * (HEIGHT + GAP_Y))
        height = 2 * MARGIN + len(rows) * (HEIGHT + GAP_Y) - GAP_Y
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
               'font-family="sans-serif" font-size="13">',
               '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
               '<path d="M0,0 L8,4 L0,8 z" fill="#556677"/></marker></defs>',
               '<rect width="100%" height="100%" fill="white"/>']
        for (source, target), count in sorted(self.arrows.items()):
            if target == "base":
                continue  # all of them use it
            (x1, y1), (x2, y2) = place[source], place[target]
            down = y2 > y1
            out.append(f'<line x1="{x1 + WIDTH / 2:.0f}" y1="{y1 + HEIGHT:.0f}" x2="{x2 + WIDTH / 2:.0f}" y2="{y2:.0f}" '
                       f'stroke="{"#556677" if down else "#cc0000"}" stroke-width="{1 + min(count if counts else 8, 40) / 16:.1f}" '
                       f'stroke-opacity="0.55" marker-end="url(#head)"><title>{source} to {target}{f": {count}" if counts else ""}</title></line>')
        for room, (x, y) in sorted(place.items()):
            out.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef3f8" stroke="#334455"/>'
                       f'<text x="{x + WIDTH / 2:.0f}" y="{y + (20 if counts else 28):.0f}" text-anchor="middle">{room}</text>')
            if counts:
                out.append(f'<text x="{x + WIDTH / 2:.0f}" y="{y + 37:.0f}" text-anchor="middle" fill="#556677" font-size="11">'
                           f'{self.lines[room]} lines</text>')
        return "\n".join(out + ["</svg>", ""])


def self_test():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    assert [c for c in components(graph) if len(c) > 1] == [["a", "b", "c"]], "a cycle among files that are none"
    assert all(len(c) == 1 for c in components({"a": {"b", "c"}, "b": {"c"}, "c": set()})), "two ways down are no cycle"
    assert members("    int a, b;\n    struct {\n        char *c;\n    } d; /* e; f */\n    int (*g)(int, char);\n") == 5, "members"
    assert members("") == 0
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("--svg", default=os.path.join(ROOT, "build", "map.svg"), help="where the picture goes")
    parser.add_argument("--cycles", action="store_true", help="list the files of each cycle")
    options = parser.parse_args()
    found = Map(options.build)
    with open(options.svg, "w", encoding="utf-8") as f:
        f.write(found.svg())
    print(f"the picture: {os.path.relpath(options.svg)}")
    for room in (room for row in found.levels() for room in row):
        print(f"{room:22}{found.lines[room]:7} lines  uses {', '.join(sorted(found.graph[room])) or 'nothing of ours'}")
    if options.cycles:
        for cycle in found.cycles:
            print(f"cycle of {len(cycle)}: {', '.join(cycle)}")
    for problem in found.problems:
        print(f"WRONG  {problem}")
    print(json.dumps({"rooms": len(found.lines), "lines": sum(found.lines.values()), "arrows": len(found.arrows),
                      "arrows_up": len(found.up), "largest_cycle": len(found.cycles[0]) if found.cycles else 1,
                      "problems": len(found.problems)}))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
