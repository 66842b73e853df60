# SPDX-License-Identifier: LGPL-2.1-or-later
"""gatehouse-registrar under test, and who it speaks to: a management client of our own beside it, and a proxy.

    cloud = bench.devcloud([], project=PROJECT, tenant=TENANT, api_key=API_KEY)
    registrar = Registrar(bench, cloud, "golioth")
    registrar.put("boiler-1", "abc-1", key)["result"]
"""
import base64
import hashlib
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import urllib.parse

import harness
from harness import DEADLINE, check

PROJECT, TENANT = "green-field", "acme"
API_KEY = "an-api-key-of-the-test"
REALMS = {"golioth": ("project", PROJECT), "hono": ("tenant", TENANT)}


class Registrar(harness.Process):
    """One gatehouse-registrar, serving by hand; what is asked of it is asked as the agent would."""

    def __init__(self, bench, cloud, kind, name=None, options=(), **settings):
        self.kind, self.name_, self.cloud = kind, name or kind, cloud
        self.directory = bench.path("registrars")
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self.socket = os.path.join(self.directory, self.name_ + ".sock")
        self.settings = {"type": kind, **settings}
        if cloud:
            realm, value = REALMS[kind]
            self.settings = {"type": kind, realm: value, "url": cloud.https_url, "ca": cloud.ca, **settings}
            options = ("--api-key-file", cloud.api_key_file, *options)
        super().__init__(bench, "registrar-" + self.name_, [
            harness.program("agent/gatehouse-registrar/gatehouse-registrar"), self.name_, "--type", kind, "--listen",
            self.directory, *options])
        bench.add(self)
        self.wait_text("listening at")

    def identity(self, local):
        return f"{local}@{REALMS[self.kind][1]}" if self.kind in REALMS else local

    def request(self, action, device, local, key=None, offered=False, cloud_id="", other_id="", mode="adds", create=True, **more):
        request = {"action": action, "device": device, "identity": self.identity(local), "cloud_id": cloud_id,
                   "other_id": other_id, "offered": offered, "create": create, "mode": mode, "clock": False, "registrar": self.settings}
        if key is not None:
            request["encoding"] = {"golioth": "text", "hono": "base64"}.get(self.kind, "hex")
            request["key"] = {"text": bytes.decode, "base64": lambda k: base64.b64encode(k).decode(),
                              "hex": bytes.hex}[request["encoding"]](key)
        return {**request, **more}

    def ask(self, request, seconds=DEADLINE):
        data = request if isinstance(request, bytes) else json.dumps(request).encode()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(seconds)
            s.connect(self.socket)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while part := s.recv(65536):
                answer += part
        return json.loads(answer)

    def put(self, device, local, key, **more):
        return self.ask(self.request("put", device, local, key, **more))

    def find(self, device, local, **more):
        return self.ask(self.request("find", device, local, **more))

    def delete(self, device, local, cloud_id, **more):
        return self.ask(self.request("delete", device, local, cloud_id=cloud_id, **more))


def manage(cloud, method, path, body=None, **headers):
    """A management call by somebody else: (status, headers, JSON)."""
    connection = http.client.HTTPSConnection("127.0.0.1", cloud.https_port, timeout=DEADLINE,
                                             context=ssl.create_default_context(cafile=cloud.ca))
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"content-type": "application/json", "x-api-key": API_KEY,
                                                "authorization": "Bearer " + API_KEY, **headers})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text else None
    finally:
        connection.close()


def hono_path(device):
    return f"/v1/credentials/{TENANT}/{device}"


def hono_device(cloud, device, entries=()):
    check(manage(cloud, "POST", f"/v1/devices/{TENANT}/{device}")[0] == 201, "a device is made")
    if entries:
        check(manage(cloud, "PUT", hono_path(device), list(entries))[0] == 204, "with a set")


def hono_set(cloud, device):
    return manage(cloud, "GET", hono_path(device))[2]


def holds(cloud, device):
    """identity -> fingerprint of each credential that lets the device in."""
    return {c["identity"]: c["fingerprint"] for c in cloud.credentials(device)}


def fingerprint(key):
    return hashlib.sha256(key).hexdigest()[:16]


class Proxy(threading.Thread):
    """Answers CONNECT and passes bytes; what was asked for in `targets`, what went through in `seen`."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.targets, self.seen = [], b""
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        self.targets.append((method, target))
        host, port = target.rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
        self.pump(client, server)

    def pump(self, source, target):
        try:
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
        except OSError:
            pass
        target.close()


class Stub:
    """A cloud that answers what the test says, also what no cloud would: answer(method, path, query) -> status, headers,
    body (bytes, or something for JSON)."""

    def __init__(self, bench, answer):
        self.ca, key, self.api_key_file = (bench.path("stub." + what) for what in ("pem", "key", "api-key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                        "-out", self.ca, "-days", "2", "-subj", "/CN=stub", "-addext", "subjectAltName=IP:127.0.0.1"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with open(self.api_key_file, "w", encoding="utf-8") as f:
            f.write(API_KEY + "\n")
        self.asked, self.answer = [], answer
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                self.rfile.read(int(self.headers.get("content-length", 0)))
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                stub.asked.append((self.command, url.path, query))
                status, headers, body = stub.answer(self.command, url.path, query)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data if status != 204 else b"")

            def log_message(self, *_):
                pass
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.ca, key)
        self.context = context
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.https_url = f"https://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
