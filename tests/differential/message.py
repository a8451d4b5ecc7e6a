"""DNS messages, read into values that can be compared: sections as RRsets, names in full, nothing left out.

Written for this test alone and apart from the server's own reader, so that a mistake would have to be made twice.
"""

import struct
from dataclasses import dataclass, field

TYPES = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10, "WKS": 11, "PTR": 12,
    "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19, "ISDN": 20, "RT": 21, "NSAP": 22,
    "SIG": 24, "KEY": 25, "PX": 26, "GPOS": 27, "AAAA": 28, "LOC": 29, "NXT": 30, "SRV": 33, "NAPTR": 35, "KX": 36,
    "CERT": 37, "A6": 38, "DNAME": 39, "OPT": 41, "APL": 42, "DS": 43, "SSHFP": 44, "IPSECKEY": 45, "RRSIG": 46,
    "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52, "SMIMEA": 53, "HIP": 55,
    "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63, "SVCB": 64, "HTTPS": 65, "SPF": 99,
    "NID": 104, "L32": 105, "L64": 106, "LP": 107, "EUI48": 108, "EUI64": 109, "NXNAME": 128, "TKEY": 249, "TSIG": 250,
    "IXFR": 251, "AXFR": 252, "MAILB": 253, "MAILA": 254, "ANY": 255, "URI": 256, "CAA": 257,
}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
          9: "NOTAUTH", 16: "BADVERS", 23: "BADCOOKIE"}

# RDATA with names: octets before the first, how many, and whether they may be compressed (RFC 3597 section 4).
NAMES = {2: (0, 1, 1), 3: (0, 1, 1), 4: (0, 1, 1), 5: (0, 1, 1), 6: (0, 2, 1), 7: (0, 1, 1), 8: (0, 1, 1), 9: (0, 1, 1),
         12: (0, 1, 1), 14: (0, 2, 1), 15: (2, 1, 1), 17: (0, 2, 0), 18: (2, 1, 0), 21: (2, 1, 0), 26: (2, 2, 0),
         33: (6, 1, 0), 36: (2, 1, 0), 39: (0, 1, 0), 64: (2, 1, 0), 65: (2, 1, 0), 107: (2, 1, 0)}


def type_text(number):
    return TYPE_NAMES.get(number, f"TYPE{number}")


def name_text(wire):
    """A name in wire form as master-file text."""
    if wire == b"\0":
        return "."
    text, at = "", 0
    while wire[at]:
        for octet in wire[at + 1:at + 1 + wire[at]]:
            special = chr(octet) in '.\\"();@$'
            text += f"\\{chr(octet)}" if special else chr(octet) if 0x20 < octet < 0x7f else f"\\{octet:03d}"
        text, at = text + ".", at + 1 + wire[at]
    return text


class Malformed(Exception):
    """A message that breaks the rules, and how."""


@dataclass
class Opt:
    size: int
    version: int
    flags: int
    options: list


@dataclass
class Message:
    """`answer`: RRsets in order of appearance. `authority`, `additional`: RRsets without order. An RRset is
    (owner, type, class, ttl) with its sorted RDATA."""
    head: dict
    question: bytes
    answer: list
    authority: dict
    additional: dict
    opt: Opt = None
    tsig: bool = False
    length: int = 0

    def rrsets(self, section):
        return dict(getattr(self, section))


def read_name(wire, at, compressed=True):
    """The name at an offset, letters as they are, and the offset after it."""
    name, end, limit = b"", None, at
    while True:
        if at >= len(wire):
            raise Malformed("a name runs past the end")
        length = wire[at]
        if length == 0:
            break
        if length < 64:
            name += wire[at:at + 1 + length]
            at += 1 + length
        elif length >= 0xc0 and compressed:
            if at + 2 > len(wire):
                raise Malformed("a pointer runs past the end")
            target = (length & 0x3f) << 8 | wire[at + 1]
            end = at + 2 if end is None else end
            if target >= limit:
                raise Malformed("a pointer does not point back")
            at = limit = target
        else:
            raise Malformed("a label of unknown kind" if length < 0xc0 else "a pointer where none may be")
        if len(name) > 254:
            raise Malformed("a name is too long")
    return name + b"\0", at + 1 if end is None else end


def read_rdata(wire, rtype, at, end):
    """RDATA with names in full and in lower case."""
    if rtype not in NAMES:
        return wire[at:end]
    skip, n_names, compressed = NAMES[rtype]
    rdata, at = wire[at:at + skip], at + skip
    for _ in range(n_names):
        name, at = read_name(wire, at, compressed)
        rdata += name.lower()
    if at > end:
        raise Malformed("RDATA ends within a name")
    return rdata + wire[at:end]


def read(wire):
    """Reads a reply whole; raises Malformed where it breaks a rule."""
    if len(wire) < 12:
        raise Malformed("shorter than a header")
    _, flags, qd, *counts = struct.unpack(">6H", wire[:12])
    head = {"qr": flags >> 15, "opcode": flags >> 11 & 15, "aa": flags >> 10 & 1, "tc": flags >> 9 & 1,
            "rd": flags >> 8 & 1, "ra": flags >> 7 & 1, "z": flags >> 6 & 1, "ad": flags >> 5 & 1, "cd": flags >> 4 & 1,
            "rcode": flags & 15}
    at = 12
    for _ in range(qd):
        _, at = read_name(wire, at)
        at += 4
    message = Message(head, wire[12:at], [], {}, {}, length=len(wire))
    sections = [{}, message.authority, message.additional]
    for section, count in zip(sections, counts):
        for _ in range(count):
            owner, at = read_name(wire, at)
            if at + 10 > len(wire):
                raise Malformed("a record runs past the end")
            rtype, rclass, ttl, length = struct.unpack(">HHIH", wire[at:at + 10])
            at, end = at + 10, at + 10 + length
            if end > len(wire):
                raise Malformed("RDATA runs past the end")
            if rtype == 41:
                if message.opt or section is not message.additional or owner != b"\0":
                    raise Malformed("OPT twice, not in the additional section, or not at the root")
                message.opt = Opt(rclass, ttl >> 16 & 255, ttl & 0xffff, read_options(wire[at:end]))
                head["rcode"] |= ttl >> 24 << 4
            elif rtype == 250:
                message.tsig = True
            else:
                key = (owner.lower(), rtype, rclass, ttl)
                section.setdefault(key, []).append(read_rdata(wire, rtype, at, end))
            at = end
    if at != len(wire):
        raise Malformed("octets after the last record")
    for section in sections:
        for key, rdatas in section.items():
            section[key] = tuple(sorted(rdatas))
    message.answer = list(sections[0].items())
    return message


def read_options(rdata):
    options, at = [], 0
    while at < len(rdata):
        code, length = struct.unpack(">HH", rdata[at:at + 4])
        options.append((code, rdata[at + 4:at + 4 + length]))
        at += 4 + length
    return options


def show(message):
    """A message on a few lines."""
    if message is None:
        return "    (no reply)"
    if isinstance(message, Malformed):
        return f"    (malformed: {message})"
    head = message.head
    flags = " ".join(f for f in ("aa", "tc", "rd", "ra", "z", "ad", "cd") if head[f])
    lines = [f"    {RCODES.get(head['rcode'], head['rcode'])} {flags}  {message.length} octets"
             + ("" if message.question else ", no question") + (", TSIG" if message.tsig else "")]
    for section in ("answer", "authority", "additional"):
        for (owner, rtype, _, ttl), rdatas in message.rrsets(section).items():
            for rdata in rdatas[:4]:
                lines.append(f"    {section[:5]} {name_text(owner)} {ttl} {type_text(rtype)} {show_rdata(rtype, rdata)}")
            if len(rdatas) > 4:
                lines.append(f"    {section[:5]} … {len(rdatas)} records")
    if message.opt:
        options = " ".join(f"{code}={data.hex()}" for code, data in message.opt.options)
        lines.append(f"    OPT size {message.opt.size} version {message.opt.version} flags {message.opt.flags:04x} {options}")
    return "\n".join(lines)


def show_rdata(rtype, rdata):
    if rtype == 1:
        return ".".join(map(str, rdata))
    if rtype in NAMES and NAMES[rtype][1] == 1:
        skip = NAMES[rtype][0]
        end = read_name(rdata, skip, False)[1]
        return " ".join(filter(None, [rdata[:skip].hex(), name_text(rdata[skip:end]), rdata[end:].hex()]))
    return rdata[:40].hex() + ("…" if len(rdata) > 40 else "")
