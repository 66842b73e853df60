# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody without rights at a terminal, in a booted system with polkit."""
import os
import pty
import secrets
import subprocess

from console import check, ok, wait_for


class Seat:
    """A program at a terminal of its own, started by a user."""

    def __init__(self, user, *command):
        self.pid, self.fd = pty.fork()
        self.text = b""
        if self.pid == 0:
            os.execvp("runuser", ["runuser", "-u", user, "--", *command])
        os.set_blocking(self.fd, False)

    def read(self):
        try:
            self.text += os.read(self.fd, 4096)
        except (BlockingIOError, OSError):
            pass
        return self.text.decode(errors="replace")

    def wait_text(self, words):
        wait_for(lambda: f"{words!r} on the terminal: {self.read()}", lambda: words in self.read())

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return [os.waitstatus_to_exitcode(status)] if pid else None
        status, = wait_for(lambda: f"its end: {self.read()}", ended)
        print(f"at the terminal: {self.read()}", flush=True)
        return status


def password(w):
    """with polkit, somebody without rights is asked for an administrator's password at the terminal, as by systemctl"""
    ok("apt-get", "install", "polkitd", timeout=300)
    word = secrets.token_hex(8)
    subprocess.run(["chpasswd"], input=f"root:{word}\n", text=True, check=True)
    try:
        seat = Seat("operator", "gatehousectl", "vault", "verify")
        seat.wait_text("Password:")
        check("org.gatehouse1.manage-keys" in seat.read(), seat.read())
        seat.type(word + "\n")
        check(seat.end() == 0, seat.read())
        seat = Seat("operator", "gatehousectl", "vault", "verify")
        seat.wait_text("Password:")
        seat.type("another\n")
        check(seat.end() == 5, seat.read())
        seat = Seat("operator", "gatehousectl", "list")
        check(seat.end() == 0 and "Password" not in seat.read(), seat.read())
    finally:
        ok("passwd", "--lock", "root")
        ok("apt-get", "purge", "polkitd", timeout=120)
