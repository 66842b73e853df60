# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody without rights in a booted system with polkit, which the agent asks as its own user."""
from console import check, ok, run


def polkit(w):
    """with polkit, members of gatehouse-admin may what its rules say, and are told what a password would do"""
    ok("apt-get", "install", "polkitd", timeout=300)
    try:
        ok("gatehousectl", "reload", user="operator")
        status, text = run("gatehousectl", "vault", "verify", user="operator")
        check(status == 5 and "without a password" in text, f"status {status}: {text}")
        ok("gatehousectl", "list", user="operator")
    finally:
        ok("apt-get", "purge", "polkitd", timeout=120)
