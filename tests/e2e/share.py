"""Asks one name for many clients and prints the share of the answers that gave an address.

    share.py PORT NAME PREFIX/LENGTH N ADDRESS

Sends N A queries (at most 10,000) to 127.0.0.1:PORT, each with the client subnet of a /24 drawn from the prefix.
"""
import ipaddress
import random
import socket
import struct
import sys

port, name, net, n, address = sys.argv[1:]
net, rnd = ipaddress.ip_network(net), random.Random(1)
wanted = ipaddress.ip_address(address).packed
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(2)
sock.connect(("127.0.0.1", int(port)))
qname = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"
given = 0
for i in range(min(int(n), 10_000)):
    subnet = rnd.randrange(int(net.network_address), int(net.broadcast_address)).to_bytes(4, "big")[:3]
    ecs = struct.pack(">HHHBB", 8, 7, 1, 24, 0) + subnet
    opt = struct.pack(">BHHIH", 0, 41, 1232, 0, len(ecs)) + ecs
    sock.send(struct.pack(">HHHHHH", i, 0, 1, 0, 0, 1) + qname + struct.pack(">HH", 1, 1) + opt)
    reply = sock.recv(4096)
    assert reply[:2] == struct.pack(">H", i) and reply[3] & 15 == 0, reply
    given += wanted in reply[len(qname) + 16 :]
print(f"{given / min(int(n), 10_000):.4f}")
