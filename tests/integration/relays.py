# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands between a client and its broker, and does not pass on what it should."""
import contextlib
import socket
import threading

from ports import close_listener


class DeafRelay:
    """Between the client and its broker: from deaf() on it reads nothing more of the client's, of which little fits into the buffers
    between."""

    def __init__(self, stack, port):
        self.front, self.hears = socket.socket(), threading.Event()
        self.front.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.front.bind(("127.0.0.1", 0))
        self.front.listen()
        self.port, self.broker = self.front.getsockname()[1], port
        self.hears.set()
        stack.callback(close_listener, self.front)
        threading.Thread(target=self.serve, daemon=True).start()

    def deaf(self):
        self.hears.clear()

    def serve(self):
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                client, _ = self.front.accept()
                with contextlib.suppress(OSError):
                    broker = socket.create_connection(("127.0.0.1", self.broker))
                    threading.Thread(target=self.pass_on, args=(client, broker, self.hears), daemon=True).start()
                    threading.Thread(target=self.pass_on, args=(broker, client, None), daemon=True).start()

    @staticmethod
    def pass_on(source, sink, hears):
        with contextlib.suppress(OSError):
            while not hears or hears.wait():
                data = source.recv(65536)
                if not data:
                    break
                if not hears or hears.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


class NarrowPath:
    """Lets no first piece of a connection through that is longer than a packet: it hangs up on it."""

    def __init__(self, stack, port):
        self.broker, self.dropped = port, 0
        self.front = socket.create_server(("127.0.0.1", 0))
        stack.callback(close_listener, self.front)
        self.port = self.front.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                client, _ = self.front.accept()
                first = client.recv(65536)
                if len(first) > 1400:
                    self.dropped += 1
                    client.close()
                    continue
                broker = socket.create_connection(("127.0.0.1", self.broker))
                broker.sendall(first)
                for ends in ((client, broker), (broker, client)):
                    threading.Thread(target=DeafRelay.pass_on, args=(*ends, None), daemon=True).start()
