"""The zones of the test, in two worlds: those of a server that has no root zone, among them two that are made, one of RRsets
too big for datagrams and one of random names; and those of one that has. Also what the generator of queries knows of them."""

import random
import shutil
from pathlib import Path

from message import TYPES

APEX = {"SOA": "ns host 1 3600 600 86400 300", "NS": "ns"}


def write(world, folder):
    """Fills a folder with the zone files of a world."""
    for path in sorted((Path(__file__).parent / world).glob("*.zone")):
        shutil.copy(path, folder)
    if world == "root":
        return
    for apex, lines in (("example.net", big()), ("random.example", rambling(20260101))):
        head = [f"$ORIGIN {apex}.", "$TTL 300", *(f"@ {rtype} {rdata}" for rtype, rdata in APEX.items()), "ns A 192.0.2.3"]
        (folder / f"{apex}.zone").write_text("\n".join(head + lines) + "\n")


def big():
    """RRsets around the sizes at which replies are cut."""
    lines = []
    for n in (3, 4, 5, 10, 11, 12, 13, 40, 41, 600):
        text = "x" * 90
        lines += [f"txt{n} TXT \"{i:04d}{text}\"" for i in range(n)]
        lines += [f"alias{n} CNAME txt{n}"]
    lines += ["maxtxt TXT " + " ".join(f"\"{'t' * 255}\"" for _ in range(200))]
    for n in (20, 28, 29, 30, 70, 72, 74, 76, 200):
        lines += [f"a{n} A 192.0.{i // 250}.{i % 250}" for i in range(n)]
        lines += [f"aaaa{n} AAAA 2001:db8::{i:x}" for i in range(n // 2)]
    for n in (5, 10, 13, 20, 40):
        lines += [f"mx{n} MX {i} h{i}.mx{n}" for i in range(n)]
        lines += [f"h{i}.mx{n} A 192.0.2.{i}" for i in range(n)] + [f"h{i}.mx{n} AAAA 2001:db8::{i:x}" for i in range(n)]
        lines += [f"in{n} NS h{i}.in{n}" for i in range(n)] + [f"side{n} NS h{i}.glue{n}" for i in range(n)]
        lines += [f"both{n} NS h{i}.both{n}" for i in range(n // 2)] + [f"both{n} NS h{i}.glue{n}" for i in range(n // 2)]
        lines += [f"glue{n} NS h{i}.glue{n}" for i in range(n)]
        for domain, count in (("in", n), ("glue", n), ("both", n // 2)):
            lines += [f"h{i}.{domain}{n} A 192.0.2.{i}" for i in range(count)]
            lines += [f"h{i}.{domain}{n} AAAA 2001:db8::{i:x}" for i in range(count)]
        lines += [f"srv{n} SRV {i} 0 80 h{i}.mx{n}" for i in range(n)]
    return lines


def rambling(seed):
    """Random names of few labels, so that wildcards, cuts, DNAMEs, aliases and empty non-terminals meet."""
    r, taken, closed = random.Random(seed), {}, set()
    labels = ["a", "b", "c", "*", "d"]

    def name():
        return ".".join(r.choice(labels) for _ in range(r.randrange(1, 6)))

    def ancestors(owner):
        parts = owner.split(".")
        return [".".join(parts[i:]) for i in range(1, len(parts))]

    def target():
        kind = r.random()
        return name() if kind < 0.8 else f"{name()}.example.com." if kind < 0.9 else "www.example.org."

    lines = []
    while len(lines) < 400:
        owner, kind = name(), r.random()
        rtype = "A" if kind < 0.3 else "MX" if kind < 0.4 else "TXT" if kind < 0.5 else "CNAME" if kind < 0.7 \
            else "NS" if kind < 0.8 else "DNAME" if kind < 0.9 else "HTTPS"
        held = taken.get(owner, set())
        if any(a in closed for a in ancestors(owner)) and rtype != "A":
            continue
        below_dname = any("DNAME" in taken.get(a, ()) for a in ancestors(owner))
        has_below = any(o.endswith("." + owner) for o in taken)
        alone = rtype == "CNAME" and held or "CNAME" in held
        edge = rtype in ("NS", "DNAME") and (held - {rtype} or "*" in owner.split(".")[:1] or rtype == "DNAME" and held)
        if alone or edge or below_dname or rtype == "DNAME" and has_below or held & {"NS", "DNAME"} and rtype != "NS":
            continue
        taken.setdefault(owner, set()).add(rtype)
        if rtype in ("NS", "DNAME"):
            closed.add(owner)
        rdata = {"A": f"192.0.2.{r.randrange(256)}", "MX": f"{r.randrange(9)} {target()}", "TXT": f"\"{owner}\"",
                 "HTTPS": f"{r.randrange(2)} {target()}"}.get(rtype) or target()
        line = f"{owner} {rtype} {rdata}"
        if line not in lines:
            lines.append(line)
    return lines


def owners(folder):
    """Labels of every owner, each as often as it has types, and the types at each name in lower case."""
    found, types_at = [], {}
    for path in sorted(folder.glob("*.zone")):
        apex = labels_of(apex_of(path).rstrip("."))
        for line in path.read_text().splitlines():
            if not line.strip() or line[0] in ";$":
                continue
            words = line.split()
            owner = apex if words[0] == "@" else labels_of(words[0]) + apex
            rtype = next(w for w in words[1:] if not w.isdigit())
            number = TYPES.get(rtype) or int(rtype.removeprefix("TYPE"))
            types = types_at.setdefault(b"".join(bytes([len(l)]) + l for l in owner).lower(), [])
            if number not in types:
                types.append(number)
                found.append(owner)
    return found, types_at


def apex_of(path):
    """The origin that the first line of a zone says which does."""
    return next(line.split()[1] for line in path.read_text().splitlines() if line.startswith("$ORIGIN"))


def labels_of(text):
    """Labels of a name in master-file text."""
    labels, label, at = [], bytearray(), 0
    while at < len(text):
        if text[at] == ".":
            labels, label, at = labels + [bytes(label)], bytearray(), at + 1
        elif text[at] == "\\":
            digits = text[at + 1:at + 4]
            octet, width = (int(digits), 4) if digits.isdigit() else (ord(text[at + 1]), 2)
            label.append(octet)
            at += width
        else:
            label.append(ord(text[at]))
            at += 1
    return labels + [bytes(label)] if label else labels
