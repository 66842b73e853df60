# SPDX-License-Identifier: LGPL-2.1-or-later
"""The completion of gatehousectl as its shells have it, without a terminal: what bash and zsh would offer behind a line."""
import os
import pathlib
import shlex
import shutil
import subprocess

DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "agent/gatehousectl/completion"
BASH = """
source {script}
set -- {words}
COMP_WORDS=(gatehousectl {words}) COMP_CWORD=$#
_gatehousectl gatehousectl
[ ${{#COMPREPLY[@]}} -eq 0 ] || printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# The builtins of zsh's completion are there only while it completes; here they print.
ZSH = """
compadd() {{ print -rl -- ${{(P)@[-1]}} }}
compset() {{ }}
_files() {{ print -r -- files: $@ }}
words=(./gatehousectl {words}) CURRENT=$#words PREFIX=$words[-1]
source {script}
"""


def run(shell, template, script, program, words, env, cwd):
    text = template.format(script=shlex.quote(str(DIRECTORY / script)),
                           words=" ".join(shlex.quote(w) for w in words))
    path = os.path.dirname(program) + ":" + os.environ["PATH"]
    done = subprocess.run([*shell, "-c", text], capture_output=True, text=True, timeout=120, cwd=cwd,
                          env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **(env or {})})
    assert not done.stderr, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def bash(program, *words, env=None, cwd=None):
    """`words`: those behind gatehousectl, as readline breaks them."""
    return run(["bash", "--norc"], BASH, "gatehousectl.bash", program, words, env, cwd)


def zsh(program, *words, env=None, cwd=None):
    return run(["zsh", "-f"], ZSH, "_gatehousectl", program, words, env, cwd)


def has_zsh():
    return shutil.which("zsh") is not None
