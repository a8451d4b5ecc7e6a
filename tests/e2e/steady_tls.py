"""Asks over DNS over TLS at a steady rate and tells what became of each query: what steady.rs is for UDP.

    steady_tls.py PORT NAME RATE SECONDS

RATE queries a second over 8 connections that stay open, and a new connection every tenth of a second, whose certificate is
noted. A server may close a connection that it has answered (RFC 7766 section 6.2.4); what had crossed the close is asked
again on a new one, as resolvers do, and counted as again. Lost is what has no answer 5 s after the last was sent.
Prints {} when all connections are open, and a line of JSON at the end; exit status 1 if anything was lost, or a handshake failed.
"""
import asyncio
import hashlib
import json
import ssl
import struct
import sys
import time

port, name, rate, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
CONNECTIONS = 8
question = b"".join(bytes([len(l)]) + l.encode() for l in name.rstrip(".").split(".")) + b"\0\0\1\0\1"
seen = {"sent": 0, "answered": 0, "again": 0, "reconnected": 0, "handshakes": 0, "failed_handshakes": 0}
certificates, slowest = [], 0.0


async def connect():
    # What is shown is noted and compared by the caller; who signed it is not the question here.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, ssl_handshake_timeout=5)
    shown = hashlib.sha256(writer.get_extra_info("ssl_object").getpeercert(True)).hexdigest()[:16]
    seen["handshakes"] += 1
    if not certificates or certificates[-1] != shown:
        certificates.append(shown)
    return reader, writer


class Client:
    """One connection after the other; keeps what has no answer yet."""

    def __init__(self):
        self.waiting, self.written, self.next_id, self.writer = {}, set(), 0, None

    async def run(self):
        global slowest
        first = True
        while True:
            try:
                reader, self.writer = await connect()
            except (OSError, ssl.SSLError, asyncio.TimeoutError):
                seen["failed_handshakes"] += 1
                await asyncio.sleep(0.05)
                continue
            if not first:
                seen["reconnected"] += 1
                seen["again"] += len(self.written)
            first = False
            self.written.clear()
            for ident in list(self.waiting):
                self.write(ident)
            try:
                while True:
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                    reply = await reader.readexactly(length)
                    (ident,) = struct.unpack(">H", reply[:2])
                    at = self.waiting.pop(ident, None)
                    self.written.discard(ident)
                    if at is not None and reply[3] & 15 == 0:
                        seen["answered"] += 1
                        slowest = max(slowest, time.monotonic() - at)
            except (asyncio.IncompleteReadError, OSError, ssl.SSLError):
                self.writer.close()
                self.writer = None

    def write(self, ident):
        if self.writer is not None and not self.writer.is_closing():
            self.written.add(ident)
            message = struct.pack(">HHHHHH", ident, 0, 1, 0, 0, 0) + question
            self.writer.write(struct.pack(">H", len(message)) + message)

    def ask(self):
        self.next_id = (self.next_id + 1) & 0xFFFF
        self.waiting[self.next_id] = time.monotonic()
        seen["sent"] += 1
        self.write(self.next_id)


async def newcomers():
    while True:
        try:
            _, writer = await connect()
            writer.close()
        except (OSError, ssl.SSLError, asyncio.TimeoutError):
            seen["failed_handshakes"] += 1
        await asyncio.sleep(0.1)


async def main():
    clients = [Client() for _ in range(CONNECTIONS)]
    tasks = [asyncio.create_task(c.run()) for c in clients] + [asyncio.create_task(newcomers())]
    while not all(c.writer for c in clients):
        await asyncio.sleep(0.01)
    print("{}", flush=True)
    begun = time.monotonic()
    while seen["sent"] < rate * seconds:
        while seen["sent"] < rate * (time.monotonic() - begun):
            clients[seen["sent"] % CONNECTIONS].ask()
        await asyncio.sleep(0.005)
    last = time.monotonic()
    while seen["answered"] < seen["sent"] and time.monotonic() - last < 5:
        await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    lost = seen["sent"] - seen["answered"]
    print(json.dumps({**seen, "lost": lost, "slowest_ms": round(slowest * 1e3, 1), "certificates": certificates}))
    return lost == 0 and seen["failed_handshakes"] == 0


sys.exit(0 if asyncio.run(main()) else 1)
