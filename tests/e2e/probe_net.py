"""Peers that do not do as they should, for the scenarios: raw bytes to sockets, listeners that are silent."""

import contextlib
import re
import socket
import threading

SECONDS = 5


def tcp_of(address):
    """Host and port of a multiaddress."""
    found = re.match(r"/ip4/([\d.]+)/tcp/(\d+)", address)
    return found[1], int(found[2])


def send(sock, body):
    """Sends, waits for a moment for an answer, and goes; how the other side takes it is its own affair."""
    sock.settimeout(SECONDS)
    with contextlib.suppress(OSError):
        sock.sendall(body)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(0.2)
        sock.recv(65536)
    sock.close()


def send_unix(path, body):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(SECONDS)
    sock.connect(path)
    send(sock, body)


def send_tcp(host, port, body):
    send(socket.create_connection((host, port), SECONDS), body)


class Silent:
    """Takes connections and says nothing. Use as a context manager."""

    def __enter__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.held = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.held.append(self.sock.accept()[0])

    def __exit__(self, *_):
        # Wakes accept(), which close() alone would not.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        for sock in [self.sock, *self.held]:
            sock.close()
