"""Floodway and its peers on loopback: configured alike, started in the foreground, asked by datagram or stream, ended."""

import os
import select
import shutil
import socket
import struct
import subprocess
import time

from zones import apex_of

CONFIGS = {
    "floodway": ("floodway.toml", """
[listen]
dns = ["127.0.0.1:{port}"]
grpc = "127.0.0.1:0"
admin = "127.0.0.1:0"
threads = 1
[zones]
dir = "{zones}"
watch = false
[log]
filter = "warn"
"""),
    "knot": ("knot.conf", """
server:
    listen: 127.0.0.1@{port}
    rundir: {dir}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 1232
    nsid: ""
    identity: ""
    version: ""
log:
  - target: stderr
    any: warning
database:
    storage: {dir}
template:
  - id: default
    storage: {zones}
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
zone:
""", "  - domain: \"{apex}\"\n    file: \"{file}\"\n"),
    "nsd": ("nsd.conf", """
server:
    ip-address: 127.0.0.1
    port: {port}
    server-count: 1
    username: ""
    zonesdir: "{zones}"
    pidfile: "{dir}/nsd.pid"
    database: ""
    xfrdfile: "{dir}/xfrd.state"
    zonelistfile: "{dir}/zone.list"
    xfrdir: "{dir}"
    hide-version: yes
    hide-identity: yes
    ipv4-edns-size: 1232
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    minimal-responses: yes
    tcp-query-count: 0
    verbosity: 0
remote-control:
    control-enable: no
""", "zone:\n    name: \"{apex}\"\n    zonefile: \"{file}\"\n"),
    "bind": ("named.conf", """
options {{
    directory "{dir}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    managed-keys-directory "{dir}";
    recursion no;
    allow-query {{ any; }};
    allow-transfer {{ none; }};
    dnssec-validation no;
    empty-zones-enable no;
    notify no;
    minimal-responses no-auth;
    minimal-any yes;
    zero-no-soa-ttl no;
    answer-cookie no;
    edns-udp-size 1232;
    max-udp-size 1232;
    nocookie-udp-size 1232;
    check-names primary ignore;
    check-integrity no;
    check-wildcard no;
    check-sibling no;
    check-mx ignore;
    check-mx-cname ignore;
    check-srv-cname ignore;
    check-spf ignore;
    check-dup-records ignore;
    version none;
    hostname none;
    server-id none;
    tcp-idle-timeout 1200;
    interface-interval 0;
    max-records-per-type 0;
    max-types-per-name 0;
}};
controls {{ }};
""", "zone \"{apex}\" {{ type primary; file \"{zones}/{file}\"; }};\n"),
}
COMMANDS = {
    "floodway": lambda conf, port: [os.environ["FLOODWAY_BIN"], "serve", "--config", conf],
    "knot": lambda conf, port: ["knotd", "-c", conf],
    "nsd": lambda conf, port: ["nsd", "-d", "-c", conf],
    "bind": lambda conf, port: ["named", "-g", "-c", conf, "-n", "1", "-U", "1"],
}
PROGRAMS = {"knot": "knotd", "nsd": "nsd", "bind": "named"}
PACKAGES = {"knot": "knot", "nsd": "nsd", "bind": "bind9"}


def installed(name):
    path = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
    return shutil.which(PROGRAMS[name], path=path)


def free_port():
    """A port that is free for both transports now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


class Server:
    """One server, started; a context that ends it."""

    def __init__(self, name, zones, work):
        self.name, self.port, self.dir = name, free_port(), work / name
        self.dir.mkdir()
        self.log = self.dir / "log"
        file, head, *per_zone = CONFIGS[name]
        fill = {"port": self.port, "dir": self.dir, "zones": zones}
        text = head.format(**fill)
        for path in sorted(zones.glob("*.zone")):
            text += "".join(p.format(apex=apex_of(path), file=path.name, **fill) for p in per_zone)
        (self.dir / file).write_text(text)
        command = COMMANDS[name](str(self.dir / file), self.port)
        if name != "floodway":
            command[0] = installed(name)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.udp.connect(("127.0.0.1", self.port))
        self.tcp = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.udp.close()
        if self.tcp:
            self.tcp.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_ready(self, apexes, secs=30):
        """Until every zone is answered for."""
        waiting, end = list(apexes), time.monotonic() + secs
        while waiting:
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            query = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + waiting[0] + struct.pack(">HH", 6, 1)
            try:
                self.udp.send(query)
                if select.select([self.udp], [], [], 0.2)[0]:
                    reply = self.udp.recv(65535)
                    if reply[3] & 15 == 0 and reply[7]:
                        waiting.pop(0)
                        continue
            except ConnectionRefusedError:
                pass
            time.sleep(0.05)
        self.drain()

    def drain(self):
        self.udp.setblocking(False)
        try:
            while True:
                self.udp.recv(65535)
        except (BlockingIOError, ConnectionRefusedError):
            pass

    def ask_by_stream(self, query, secs=2):
        """One query over a connection that is kept (RFC 7766); None if there is no answer."""
        for _ in range(2):
            try:
                if not self.tcp:
                    self.tcp = socket.create_connection(("127.0.0.1", self.port), secs)
                self.tcp.sendall(struct.pack(">H", len(query)) + query)
                return self.read_stream(struct.unpack(">H", self.read_stream(2))[0])
            except (OSError, EOFError):
                self.tcp.close() if self.tcp else None
                self.tcp = None
        return None

    def read_stream(self, n):
        octets = b""
        while len(octets) < n:
            part = self.tcp.recv(n - len(octets))
            if not part:
                raise EOFError
            octets += part
        return octets


next_id = [0]


def ask_all(servers, queries, secs):
    """Asks all servers; replies per server and query, None where none came even the second time, within `secs` of the last
    one that did."""
    replies = ask_once(servers, queries, secs)
    again = [i for i in range(len(queries)) if any(box[i] is None for box in replies.values())]
    if again:
        second = ask_once(servers, [queries[i] for i in again], secs)
        for name, box in replies.items():
            for i, reply in zip(again, second[name]):
                box[i] = box[i] or reply
    return replies


def ask_once(servers, queries, secs):
    """Sends queries, with ids that the last 65,536 did not have, so that a late reply is not taken for another's, and gathers
    the replies."""
    first = next_id[0]
    next_id[0] = (first + len(queries)) & 0xffff
    replies = {s.name: [None] * len(queries) for s in servers}
    socks = {s.udp: s for s in servers}
    for server in servers:
        server.drain()
    for i, query in enumerate(queries):
        tagged = struct.pack(">H", (first + i) & 0xffff) + query[2:] if len(query) > 2 else query
        for sock in socks:
            try:
                sock.send(tagged)
            except (ConnectionRefusedError, BlockingIOError):
                pass
    missing = len(queries) * len(servers)
    while missing:
        ready = select.select(list(socks), [], [], secs)[0]
        if not ready:
            break
        for sock in ready:
            box = replies[socks[sock].name]
            try:
                while True:
                    reply = sock.recv(65535)
                    i = ((reply[0] << 8 | reply[1]) - first) & 0xffff if len(reply) > 1 else len(queries)
                    if i < len(queries) and box[i] is None:
                        box[i] = reply
                        missing -= 1
            except (BlockingIOError, ConnectionRefusedError):
                pass
    return replies
