"""Queries out of a seed: names near and far of those in the zones, every type, flag and form of EDNS."""

import random
import struct
from dataclasses import dataclass, field

from message import TYPES, name_text, type_text

COMMON = [TYPES[t] for t in ("A", "AAAA", "MX", "NS", "SOA", "TXT", "CNAME", "SRV", "HTTPS", "SVCB", "DS", "PTR", "DNAME", "CAA")]
META = [TYPES[t] for t in ("ANY", "AXFR", "IXFR", "OPT", "TSIG", "TKEY", "MAILA", "MAILB", "NXNAME", "NSEC", "RRSIG", "DNSKEY", "NSEC3")]
ODD_LABELS = [b"a", b"b", b"*", b"www", b"x" * 63, b"\0", b".", b"\\", b" ", b"\xff" * 3, b"_tcp", b"-", b"**", b"ns", b"in-addr"]
FAR_NAMES = [[], [b"com"], [b"org"], [b"arpa"], [b"invalid"], [b"net"], [b"example"], [b"localhost"], [b"xexample", b"com"],
             [b"example", b"com", b"com"], [b"in-addr", b"arpa"], [b"192", b"in-addr", b"arpa"], [b"version", b"bind"],
             [b"id", b"server"], [b"hostname", b"bind"], [b"a" * 63] * 3 + [b"b" * 61]]


@dataclass
class Query:
    """A query and what the explanations go by."""
    labels: list
    qtype: int
    qclass: int = 1
    opcode: int = 0
    flags: int = 0
    edns: dict = None           # size, version, flags, options; None: no OPT
    oddity: str = ""            # how the message was bent; empty: it is well-formed
    stream: bool = False
    wire: bytes = field(default=b"", repr=False)

    @property
    def name(self):
        return b"".join(bytes([len(l)]) + l for l in self.labels) + b"\0"

    def option(self, code):
        """The data of an option, the first if it stands there twice; None without."""
        return next((data for c, data in self.edns["options"] if c == code), None) if self.edns else None

    def __str__(self):
        text = f"{name_text(self.name)} {'' if self.qclass == 1 else f'class {self.qclass} '}{type_text(self.qtype)}"
        if self.opcode:
            text += f" opcode={self.opcode}"
        if self.flags:
            text += f" flags={self.flags:04x}"
        if self.edns:
            options = " ".join(f"{code}={data.hex()}" for code, data in self.edns["options"])
            text += f" edns={self.edns['version']} size={self.edns['size']} flags={self.edns['flags']:04x} {options}".rstrip()
        return text + (f" [{self.oddity}]" if self.oddity else "") + (" by stream" if self.stream else "")


class Generator:
    """`owners`: labels of every owner in the zones. `types_at`: name in lower case → types there."""

    def __init__(self, seed, owners, types_at):
        self.random, self.owners, self.types_at = random.Random(seed), owners, types_at

    def next(self):
        r = self.random
        labels = self.name()
        query = Query(labels, self.qtype(labels))
        if r.random() < 0.01:
            query.qclass = r.choice([0, 2, 3, 4, 254, 255, 257, r.randrange(65536)])
        if r.random() < 0.008:
            query.opcode = r.randrange(1, 16)
        query.flags = r.choice([0, 0, 0, 0x100, 0x100, 0x120, 0x110, 0x20, 0x40, 0x80, 0x200, 0x400, r.randrange(0x800) & 0x7f0])
        query.edns = self.edns() if r.random() < 0.6 else None
        query.stream = query.qtype != TYPES["AXFR"] and r.random() < 0.03
        query.wire = compose(query)
        if not query.stream and r.random() < 0.02:
            self.bend(query)
        return query

    #----------- Names --------------------------------------------------------

    def name(self):
        r = self.random
        if r.random() < 0.02:
            labels = list(r.choice(FAR_NAMES))
        else:
            labels = list(r.choice(self.owners))
        for _ in range(r.choices([0, 1, 2], [60, 33, 7])[0]):
            labels = r.choices(
                [self.below, self.above, self.beside, self.starred, self.bent_label, self.filled],
                [40, 20, 15, 10, 10, 5])[0](labels)
        if r.random() < 0.3:
            labels = [bytes(o ^ 0x20 if chr(o).isalpha() and o < 128 and r.random() < 0.5 else o for o in l) for l in labels]
        while sum(len(l) + 1 for l in labels) > 254:
            labels.pop(0)
        return labels

    def label(self):
        r = self.random
        if r.random() < 0.2:
            return bytes(r.randrange(256) for _ in range(r.randrange(1, 20)))
        owner = r.choice(self.owners)
        return r.choice(owner) if owner and r.random() < 0.4 else r.choice(ODD_LABELS)

    def below(self, labels):
        return [self.label() for _ in range(self.random.choices([1, 2, 5], [80, 15, 5])[0])] + labels

    def above(self, labels):
        return labels[self.random.randrange(len(labels) + 1):] if self.random.random() < 0.5 else labels[1:]

    def beside(self, labels):
        return [self.label()] + labels[1:]

    def starred(self, labels):
        if not labels:
            return labels
        i = self.random.randrange(len(labels))
        return labels[:i] + [b"*"] + labels[i + self.random.randrange(2):]

    def bent_label(self, labels):
        if not labels:
            return labels
        i, r = self.random.randrange(len(labels)), self.random
        label = bytearray(labels[i])
        label[r.randrange(len(label))] = r.randrange(256)
        return labels[:i] + [bytes(label)] + labels[i + 1:]

    def filled(self, labels):
        """As long as names may be, or one octet less."""
        room = 254 - self.random.randrange(2) - sum(len(l) + 1 for l in labels)
        while room > 1:
            n = min(63, room - 1)
            n -= 1 if room - 1 - n == 1 else 0
            labels, room = [b"f" * n] + labels, room - 1 - n
        return labels

    #----------- Types and EDNS -----------------------------------------------

    def qtype(self, labels):
        r = self.random
        here = self.types_at.get(b"".join(bytes([len(l)]) + l for l in labels).lower())
        kind = r.random()
        if here and kind < 0.4:
            return r.choice(here)
        if kind < 0.8:
            return r.choice(COMMON)
        if kind < 0.93:
            return r.choice(sorted(TYPES.values()))
        return r.choice(META) if kind < 0.98 else r.randrange(65536)

    def edns(self):
        r = self.random
        options = []
        if r.random() < 0.4:
            for _ in range(r.choices([1, 2, 3], [85, 10, 5])[0]):
                options.append(self.edns_option())
        return {
            "size": r.choice([0, 511, 512, 513, 1000, 1220, 1232, 1232, 1400, 4096, 65535]),
            "version": r.choices([0, 1, r.randrange(256)], [95, 4, 1])[0],
            "flags": r.choices([0, 0x8000, 0x4000, 0x8001, r.randrange(65536)], [50, 40, 3, 3, 4])[0],
            "options": options,
        }

    def edns_option(self):
        r = self.random
        kind = r.randrange(10)
        if kind < 4:
            return 8, self.subnet()
        if kind < 6:
            return 3, b""
        if kind < 7:
            return 9, b""
        if kind < 8:
            return r.choice([11, 12, 13, 15]), bytes(r.choice([0, 2, 40]))
        return r.choice([4, 5, 20, 100, 4096, 26946, 65001, 65535]), bytes(r.randrange(256) for _ in range(r.randrange(12)))

    def subnet(self):
        r = self.random
        family, bits, octets = r.choice([(1, 32, b"\xcb\0\x71\x05"), (2, 128, bytes.fromhex("20010db80001000200030004"
                                                                                          "00050006"))])
        source = r.choice([0, 8, 16, 20, 24, 25, 32, 48, 56, 64, 128])
        source = min(source, bits)
        address = bytearray(octets[:(source + 7) // 8])
        if source % 8 and address:
            address[-1] &= 0xff << (8 - source % 8) & 0xff
        data = struct.pack(">HBB", family, source, 0) + address
        # RFC 7871 section 7.1.2: forms that a query must not have.
        kind = r.random()
        if kind < 0.05:
            return data + b"\1"
        if kind < 0.08:
            return data[:-1]
        if kind < 0.10:
            return data[:3] + b"\x18" + data[4:]
        if kind < 0.12:
            return struct.pack(">HBB", r.choice([0, 3, 99]), source, 0) + address
        if kind < 0.14:
            return struct.pack(">HBB", family, bits + 1, 0) + octets
        return struct.pack(">HBB", 0, 0, 0) if kind < 0.16 else data

    #----------- Messages that break a rule -----------------------------------

    def bend(self, query):
        r, wire = self.random, bytearray(query.wire)
        question_end = 12 + len(query.name) + 4
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 9, 4) + b"\xc0\0\2\1"
        kinds = {
            "an octet too many": lambda: wire.append(0),
            "cut short": lambda: wire.__delitem__(slice(r.randrange(12, len(wire)), None)),
            "no question": lambda: (wire.__delitem__(slice(12, question_end)), wire.__setitem__(5, 0)),
            "a question that is not there": lambda: wire.__setitem__(5, 2),
            "two questions": lambda: (wire.__setitem__(slice(question_end, question_end), wire[12:question_end]),
                                      wire.__setitem__(5, 2)),
            "an answer": lambda: (wire.__setitem__(slice(question_end, question_end), record), wire.__setitem__(7, 1)),
            "an authority": lambda: (wire.__setitem__(slice(question_end, question_end), record), wire.__setitem__(9, 1)),
            "an additional": lambda: (wire.__setitem__(slice(question_end, question_end), record),
                                      wire.__setitem__(11, wire[11] + 1)),
            "a pointer to itself": lambda: wire.__setitem__(slice(12, question_end - 4), b"\xc0\x0c"),
            "a label of unknown kind": lambda: wire.__setitem__(12, 0x40 | wire[12] & 0x3f),
            "two OPT": lambda: (wire.extend(opt({"size": 1232, "version": 0, "flags": 0, "options": []}) * 2),
                                wire.__setitem__(11, wire[11] + 2)),
            "OPT with an owner": lambda: (wire.extend(b"\1a" + opt({"size": 1232, "version": 0, "flags": 0, "options": []})),
                                          wire.__setitem__(11, wire[11] + 1)),
            "an option cut short": lambda: (wire.extend(b"\0\0\x29\4\xd0\0\0\0\0\0\5\0\3\0\4\0"),
                                            wire.__setitem__(11, wire[11] + 1)),
            "a response": lambda: wire.__setitem__(2, wire[2] | 0x80),
            "counts beyond the end": lambda: wire.__setitem__(11, 200),
        }
        query.oddity = r.choice(list(kinds))
        kinds[query.oddity]()
        query.wire = bytes(wire)


def opt(edns):
    options = b"".join(struct.pack(">HH", code, len(data)) + data for code, data in edns["options"])
    return b"\0" + struct.pack(">HHBBHH", 41, edns["size"], 0, edns["version"], edns["flags"], len(options)) + options


def compose(query):
    head = struct.pack(">6H", 0, query.opcode << 11 | query.flags, 1, 0, 0, 1 if query.edns else 0)
    wire = head + query.name + struct.pack(">HH", query.qtype, query.qclass)
    return wire + (opt(query.edns) if query.edns else b"")
