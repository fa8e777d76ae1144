"""A DNS server of the tests' own, UDP and TCP, on 127.0.0.1: each name answers as its entry says."""

import contextlib
import socket
import struct
import threading

TXT, CNAME = 16, 5
NO_SUCH_NAME, FAILED = 3, 2


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(name, kind, data, ttl):
    return encode(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def strings(text):
    """The pieces of one TXT record: at most 255 bytes each, here of 100."""
    data = text.encode()
    return b"".join(bytes([len(data[at:at + 100])]) + data[at:at + 100] for at in range(0, max(len(data), 1), 100))


class Server:
    """names: domain to what is answered: a list of texts, or one of the words
    servfail, silent, wrong-id, rubbish, truncated (the texts of `full` follow by TCP), other:NAME (a CNAME)."""

    def __init__(self, names, full=()):
        self.names, self.full = names, list(full)
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.socket()
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(16)
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def close(self):
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                question, sender = self.udp.recvfrom(2000)
                answer = self.answer(question, False)
                if answer:
                    self.udp.sendto(answer, sender)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.tcp.accept()
                with connection:
                    connection.settimeout(5)
                    with contextlib.suppress(OSError, struct.error):
                        size = struct.unpack(">H", connection.recv(2))[0]
                        answer = self.answer(connection.recv(size), True)
                        if answer:
                            connection.sendall(struct.pack(">H", len(answer)) + answer)

    def answer(self, question, by_tcp):
        at, parts = 12, []
        while question[at]:
            parts.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        name, asked = ".".join(parts), question[12:at + 5]
        self.asked.append((name, "tcp" if by_tcp else "udp"))
        what, code, flags, records = self.names.get(name), 0, 0x8580, []
        owner = name
        if isinstance(what, str) and what.startswith("other:"):
            owner = what[6:]
            records.append(record(name, CNAME, encode(owner), 60))
            what = self.names.get(owner)
        if what == "silent":
            return None
        if what == "rubbish":
            return question[:2] + b"\x85\x80\0\1\xff\xff\0\0\0\0" + asked + b"\xc0" * 40
        if what == "truncated":
            flags, what = (flags, self.full) if by_tcp else (flags | 0x200, [])
        if what is None:
            code = NO_SUCH_NAME
        elif what == "servfail":
            code = FAILED
        elif what != "wrong-id":
            records += [record(owner, TXT, strings(text), 60) for text in what]
        number = bytes([question[0] ^ 0xff, question[1]]) if what == "wrong-id" else question[:2]
        return number + struct.pack(">HHHHH", flags | code, 1, len(records), 0, 0) + asked + b"".join(records)
