# SPDX-License-Identifier: LGPL-2.1-or-later
"""libcoap's client against gatehouse-devcloud: a sensor that is not ours. Its exit status says nothing about delivery."""
import os
import re
import subprocess
import tempfile

from waiting import DEADLINE, wait_for

COAP_CLIENT = "coap-client-gnutls"
CODE = re.compile(r"^v:1 t:(?:ACK|CON|NON) c:([245]\.\d\d)", re.MULTILINE)
OWN_PORT = re.compile(rb"\*\*\*\S+:(\d+) +<->.*new outgoing session")


def command_of(cloud, identity, key, method, path, body=None, form=None, seconds=DEADLINE, more=()):
    command = [COAP_CLIENT, "-v", "7", "-B", str(seconds), "-u", identity, "-k", key.decode(), "-m", method, *more]
    if body is not None:
        command += ["-e", body]
    if form:
        command += ["-t", form]
    return [*command, f"{cloud.url}/{path}"]


def say(cloud, identity, key, *arguments, seconds=DEADLINE, **more):
    """What it shows of a request. It ends with an answer, after `seconds`, or when the cloud has told that this client's
    handshake failed: that is not answered. The client is known by its port: the cloud may tell of the one before, whom its alert
    reached first, when this one has begun already."""
    since = cloud.mark()

    def refused():
        own = OWN_PORT.search(os.pread(shown.fileno(), 1 << 20, 0))  # the client writes where this descriptor stands
        return own and any(e.get("peer", "").endswith(":" + own.group(1).decode())
                           for e in cloud.find_events("handshake-failed", since=since, identity=identity))

    with tempfile.TemporaryFile() as shown:
        client = subprocess.Popen(command_of(cloud, identity, key, *arguments, seconds=seconds, **more), stdin=subprocess.DEVNULL,
                                  stdout=shown, stderr=subprocess.STDOUT)
        try:
            wait_for(f"an answer to {identity}", lambda: client.poll() is not None or refused(), seconds + DEADLINE)
        finally:
            client.kill()
            client.wait()
        shown.seek(0)
        return shown.read().decode(errors="replace")


def code_of(text):
    """Of the last answer; None if there is none."""
    return next(iter(reversed(CODE.findall(text))), None)
