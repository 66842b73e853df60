# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the lints share: which files are the project's, and how a lint is run.

A lint is a module with check(root) -> list of "file:line: what is wrong", and plant(tree) -> list of (path, text) that must
each be found. Run as `NAME.py ROOT`, it prints what it found; as `NAME.py --self-test`, it plants every violation in a tree of
its own, one at a time, and fails if one goes unnoticed, or if the clean tree is complained about.
"""
import os
import sys
import tempfile

SKIPPED = 77
PRUNED = {".git", ".cache", "__pycache__", "node_modules"}


def files(root, *suffixes):
    """Paths relative to root, sorted; build directories are not ours: build*/ at the top, as in .gitignore, and any of meson's."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in PRUNED and not (folder == root and f.startswith("build"))
                      and not os.path.exists(os.path.join(folder, f, "meson-private"))
                      and not os.path.exists(os.path.join(folder, f, "debhelper-build-stamp"))]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if not os.path.islink(os.path.join(folder, name)) and (not suffixes or name.endswith(suffixes)):
                found.append(path)
    return sorted(found)


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read().splitlines()


def write(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8") as f:
        f.write(text)


def self_test(check, clean, planted):
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for path, text in clean:
            write(root, path, text)
        for problem in check(root):
            print(f"self-test: the clean tree is complained about: {problem}")
            failures += 1
    for path, text in planted:
        with tempfile.TemporaryDirectory() as root:
            for clean_path, clean_text in clean:
                write(root, clean_path, clean_text)
            write(root, path, text)
            if not any(problem.startswith(path) for problem in check(root)):
                print(f"self-test: not found: {path}:\n{text[:400]}")
                failures += 1
    print(f"self-test: {len(planted)} planted, {failures} mistakes")
    return 1 if failures or not planted else 0


def main(check, clean, planted):
    if sys.argv[1:] == ["--self-test"]:
        return self_test(check, clean, planted)
    if len(sys.argv) != 2:
        print(f"usage: {sys.argv[0]} ROOT | --self-test", file=sys.stderr)
        return 2
    problems = check(sys.argv[1])
    for problem in problems:
        print(problem)
    return 1 if problems else 0
