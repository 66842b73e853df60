# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golioth's and Hono's management calls as Python's http.client makes them, and a DTLS-PSK client that is let in with what
was registered: for the tests of gatehouse-devcloud."""
import base64
import http.client
import json
import ssl
import urllib.parse

import coap_client
from coap_client import COAP_CLIENT  # noqa: F401
from waiting import DEADLINE, check

PROJECT, TENANT = "green-field", "acme"
API_KEY = "an-api-key-of-the-test"


class Lost(Exception):
    """No answer, or not a whole one."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body
        self.json = json.loads(body) if body else None

    def __repr__(self):
        return f"{self.status} {self.text!r}"


class Caller:
    def __init__(self, cloud, **headers):
        self.cloud, self.headers = cloud, headers
        self.trust = ssl.create_default_context(cafile=cloud.ca)

    def call(self, method, path, body=None, seconds=DEADLINE, **headers):
        connection = http.client.HTTPSConnection("127.0.0.1", self.cloud.https_port, timeout=seconds,
                                                 context=self.trust)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        sent = {**self.headers, **({"content-type": "application/json"} if data is not None else {}), **headers}
        try:
            connection.request(method, path, data, {k.replace("_", "-"): v for k, v in sent.items() if v is not None})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except (http.client.HTTPException, OSError) as e:
            raise Lost(repr(e)) from e
        finally:
            connection.close()

    def lost(self, *arguments, **more):
        """The call, which must come back without an answer."""
        try:
            answer = self.call(*arguments, **more)
        except Lost:
            return
        check(False, f"an answer came: {answer}")


class Golioth(Caller):
    def __init__(self, cloud, key=API_KEY):
        super().__init__(cloud, x_api_key=key)
        self.base = f"/v1/projects/{PROJECT}"

    def provision(self, name, identity, key, hardware=None, **more):
        return self.call("POST", self.base + "/provisioning",
                         {"name": name, "hardwareIds": [hardware or "hw-" + name], "identity": identity,
                          "preSharedKey": key.decode(), "type": "PRE_SHARED_KEY", **more})

    def devices(self, **query):
        return self.call("GET", f"{self.base}/devices?{urllib.parse.urlencode(query)}")

    def path(self, device, *more):
        """Below a device's own path; `device` as the cloud names it."""
        return "/".join([self.base, "devices", device, "credentials", *more])

    def add(self, device, identity, key, **more):
        return self.call("POST", self.path(device), {"identity": identity, "preSharedKey": key.decode(),
                                                     "type": "PRE_SHARED_KEY", **more})

    def credentials(self, device):
        """identity -> id"""
        answer = self.call("GET", self.path(device))
        check(answer.status == 200, answer)
        return {c["identity"]: c["id"] for c in answer.json["list"]}

    def delete(self, device, credential):
        return self.call("DELETE", self.path(device, credential))


class Hono(Caller):
    def __init__(self, cloud, key=API_KEY):
        super().__init__(cloud, authorization="Bearer " + key)

    def make(self, device):
        return self.call("POST", f"/v1/devices/{TENANT}/{device}")

    def get(self, device):
        return self.call("GET", f"/v1/credentials/{TENANT}/{device}")

    def put(self, device, entries, **headers):
        return self.call("PUT", f"/v1/credentials/{TENANT}/{device}", entries, **headers)


def psk(auth_id, *secrets, **more):
    """An entry of a set; a secret is a key, or what stands in the set."""
    return {"type": "psk", "auth-id": auth_id, **more,
            "secrets": [s if isinstance(s, dict) else {"key": base64.b64encode(s).decode()} for s in secrets]}


def let_in(cloud, identity, key):
    """Whether a DTLS-PSK client with this key is let in as boiler-1, and its message accepted."""
    probe = '[{"bn":"boiler-1:","n":"_probe","vb":true}]'
    return coap_client.code_of(coap_client.say(cloud, identity, key, "post", "telemetry", probe, "110")) == "2.04"


def both(bench, credentials=(), **options):
    cloud = bench.devcloud(credentials, project=PROJECT, tenant=TENANT, api_key=API_KEY, **options)
    return cloud, Golioth(cloud), Hono(cloud)


def check_status(answer, status, *words):
    """And that what is wrong is named, in the words of the cloud."""
    check(answer.status == status, f"{answer}, not {status} with {words}")
    if status >= 400:
        reason = answer.json["error"] if "error" in answer.json else answer.json["message"]
        check("error" in answer.json or isinstance(answer.json["code"], int) and answer.json["details"] == [], answer)
        check(all(w in reason for w in words), f"{answer}: does not name {words}")
    return answer


def one_golioth_device(bench, **options):
    cloud, golioth, _ = both(bench, **options)
    key = bench.new_key(64, text=True)
    device = golioth.provision("boiler-1", "abc-1", key).json["data"]["deviceId"]
    return cloud, golioth, device, key


def one_hono_device(bench):
    cloud, _, hono = both(bench)
    key = bench.new_key(text=True)
    hono.make("boiler-1")
    check(hono.put("boiler-1", [psk("abc-1", key)]).status == 204, "put")
    return cloud, hono, key


def auth_ids(hono):
    return {c["auth-id"] for c in hono.get("boiler-1").json}
