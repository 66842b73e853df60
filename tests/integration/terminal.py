# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs at terminals of their own, and what stands on these."""
import fcntl
import os
import pty
import re
import select
import struct
import termios

import harness
from harness import wait_for

CTL = "agent/gatehousectl/gatehousectl"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """A program at a terminal of its own, and all that the terminal was written. `ahead`: typed before the program begins."""

    def __init__(self, bench, *words, program=CTL, columns=80, lines=24, ahead="", **env):
        self.text = b""
        self.status = None
        self.fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.slave = slave  # as the shell keeps it
        self.type(ahead)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.fd)
            os.login_tty(slave)
            path = program if program[0] == "/" else harness.program(program)
            os.execve(path, [path, *words], {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm", "PS1": "shell> ", **bench.env, **env})

    def read(self):
        while select.select([self.fd], [], [], 0.05)[0]:
            self.text += os.read(self.fd, 4096)

    def wait_text(self, words):
        def seen():
            self.read()
            return words.encode() in self.text
        wait_for(lambda: f"{words!r} on the screen: {self.text!r}", seen)

    def type(self, text):
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def end(self):
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            return pid != 0
        if self.status is None:
            wait_for(lambda: f"the program's end; on the screen: {self.text!r}", ended)
            self.read()
        return self.status

    def lines(self):
        """What was written, without colours, a text a line; what a carriage return wrote over is gone."""
        text = ESCAPES.sub("", self.text.decode()).replace("\r\n", "\n")
        return [line.split("\r")[-1].rstrip() for line in text.split("\n")]
