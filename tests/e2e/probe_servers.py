"""Servers for tests/e2e/probes, each on a port of its own of loopback, which do as a file says.

Usage: probe_servers.py FOLDER. Writes FOLDER/ports (JSON: kind -> port) once all listen; each kind does what FOLDER/KIND says
at the moment: well, status, body, slow, hang, flood, redirect, wrong-name, close (for HTTP and HTTPS), down (no listener).
FOLDER has good.pem, wrong.pem (certificates with their keys). With the package grpc there is a server of grpc.health.v1, too.
"""
import json, os, socket, ssl, sys, threading, time

folder = sys.argv[1]


def does(kind):
    try:
        return open(os.path.join(folder, kind)).read().strip()
    except OSError:
        return "well"


def converse(stream, how):
    request = b""
    while b"\r\n\r\n" not in request:
        more = stream.recv(4096)
        if not more:
            return
        request += more
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"
    if how == "status":
        stream.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    elif how == "redirect":
        stream.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")
    elif how == "body":
        stream.sendall(head + b"all ill!")
    elif how == "slow":
        stream.sendall(head)
        for octet in b"all well":
            time.sleep(0.5)
            stream.sendall(bytes([octet]))
    elif how == "hang":
        time.sleep(30)
    elif how == "flood":
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            stream.sendall(b"x" * 65536)
    elif how != "close":
        stream.sendall(head + b"all well")


def serve(kind, listener, contexts):
    def one(stream):
        try:
            how = does(kind)
            if contexts:
                stream = contexts["wrong" if how == "wrong-name" else "good"].wrap_socket(stream, server_side=True)
            with stream:
                converse(stream, how)
        except OSError:
            pass

    while True:
        stream, _ = listener.accept()
        threading.Thread(target=one, args=(stream,), daemon=True).start()


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


def context(name):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(os.path.join(folder, name + ".pem"))
    return made


ports, contexts = {}, {"good": context("good"), "wrong": context("wrong")}
for kind, tls in [("http", None), ("https", contexts)]:
    listener = listen()
    ports[kind] = listener.getsockname()[1]
    threading.Thread(target=serve, args=(kind, listener, tls), daemon=True).start()

# TCP alone: `down` closes the listener, anything else opens it again on the same port.
tcp = listen()
ports["tcp"] = tcp.getsockname()[1]
# A queue that is full: the kernel lets further connections hang.
full = socket.socket()
full.bind(("127.0.0.1", 0))
full.listen(0)
ports["full"] = full.getsockname()[1]
fill = []
for _ in range(4):
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", ports["full"]))
    fill.append(filler)

health = None
try:
    import grpc
    from concurrent import futures
    from grpc_health.v1 import health as health_of, health_pb2, health_pb2_grpc

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    health = health_of.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    ports["grpc"] = server.add_insecure_port("127.0.0.1:0")
    server.start()
except ImportError:
    pass

with open(os.path.join(folder, "ports.new"), "w") as out:
    json.dump(ports, out)
os.rename(os.path.join(folder, "ports.new"), os.path.join(folder, "ports"))

while True:
    time.sleep(0.1)
    if does("tcp") == "down" and tcp is not None:
        tcp.close()
        tcp = None
    elif does("tcp") != "down" and tcp is None:
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(("127.0.0.1", ports["tcp"]))
        tcp.listen(64)
    if tcp is not None:
        tcp.setblocking(False)
        try:
            tcp.accept()[0].close()
        except BlockingIOError:
            pass
    if health is not None:
        states = health_pb2.HealthCheckResponse
        serving = states.SERVING if does("grpc") == "well" else states.NOT_SERVING
        health.set("pay.v1.Pay", serving)
