"""Mixed questions through a validating resolver: static, steered for clients everywhere, negative, wildcard, DNAME, delegations.

    mixed.py PORT COUNT SEED [STOP]

Asks at least COUNT questions, and goes on until the file STOP exists, 64 in flight. Every reply must be authenticated (AD), but for
those below the unsigned delegation, which must not be; none may fail or be missing. Prints one line with what was asked and what
was wrong, a line with how often a client's answer changed, and for every steered question the answers that were seen.
"""
import collections, os, random, selectors, socket, struct, sys, time

A, MX, TXT, AAAA, DS, DNSKEY, HTTPS, SOA = 1, 15, 16, 28, 43, 48, 65, 6
STEERED = [("www", A), ("www", AAAA), ("api", A), ("api", AAAA), ("beta", A), ("", A), ("", AAAA), ("x.img", A), ("docs", A),
           ("www", HTTPS), ("hint", HTTPS)]
KINDS = {
    "static": [("", MX), ("", SOA), ("", DNSKEY), ("mail", AAAA), ("nrt.web", A)],
    "steered": STEERED,
    "negative": [("?", A), ("?", AAAA), ("?.b.ent", A), ("ent", A), ("www", TXT), ("beta", TXT)],
    "wildcard": [("?.wild", TXT), ("?.wild", A), ("alias", MX), ("alias", A), ("?.img", TXT)],
    "DNAME": [("x.old", A), ("?.old", A)],
    "delegation": [("safe", DS), ("x.safe", A), ("?.safe", A), ("lab", DS)],
    "unsigned": [("x.lab", A), ("?.lab", A)],
}
# Places of the built-in database: 24 cities, a /27 each.
PREFIXES = [bytes(p) + bytes([32 * i + 5]) for p in ((192, 0, 2), (198, 51, 100), (203, 0, 113)) for i in range(8)]
WINDOW, TIMEOUT, TRIES = 64, 3.0, 3
# Most questions a second: moves and rollovers take their time, and the resolver is to see all of it.
PACE = 300


def message(number, name, qtype, prefix):
    question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\0" + struct.pack("!HH", qtype, 1)
    option = struct.pack("!HHHBB", 8, 4 + len(prefix), 1, 32, 0) + prefix
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, len(option)) + option
    return struct.pack("!HHHHHH", number, 0x0120, 1, 0, 0, 1) + question + opt


def skip(m, at):
    while m[at] and m[at] < 0xC0:
        at += m[at] + 1
    return at + (2 if m[at] else 1)


def answers(m):
    """RDATA of the answer, RRSIGs left out."""
    at, found = skip(m, 12) + 4, []
    for _ in range(struct.unpack("!H", m[6:8])[0]):
        at = skip(m, at)
        rtype, _, _, length = struct.unpack("!HHIH", m[at:at + 10])
        if rtype == A:
            found.append(socket.inet_ntop(socket.AF_INET, m[at + 10:at + 14]))
        elif rtype == AAAA:
            found.append(socket.inet_ntop(socket.AF_INET6, m[at + 10:at + 26]))
        elif rtype != 46:
            found.append(f"type {rtype}, {length} octets")
        at += 10 + length
    return tuple(sorted(found))


def main():
    port, count, rng = int(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    stop = sys.argv[4] if len(sys.argv) > 4 else None
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    wait = selectors.DefaultSelector()
    wait.register(sock, selectors.EVENT_READ)
    kinds = list(KINDS)
    flying, free = {}, list(range(65536))
    asked, bad, last = collections.Counter(), collections.Counter(), {}
    seen, moves, n, began = collections.defaultdict(set), 0, 0, time.monotonic()
    while True:
        is_over = n >= count and (stop is None or os.path.exists(stop))
        if is_over and not flying:
            break
        now = time.monotonic()
        while not is_over and len(flying) < WINDOW and n < (now - began) * PACE + WINDOW:
            kind = rng.choice(kinds)
            label, qtype = rng.choice(KINDS[kind])
            name = ".".join(filter(None, [label.replace("?", "n%d" % rng.randrange(10**6)), "example.com"]))
            number, prefix = free.pop(rng.randrange(len(free))), rng.choice(PREFIXES)
            query = message(number, name, qtype, prefix)
            flying[number] = [kind, label, qtype, prefix, query, now, TRIES]
            sock.send(query)
            asked[kind] += 1
            n += 1
        for number, one in list(flying.items()):
            if now - one[5] > TIMEOUT:
                one[5], one[6] = now, one[6] - 1
                if one[6] == 0:
                    bad[(one[1], one[2], "no reply")] += 1
                    del flying[number]
                else:
                    sock.send(one[4])
        wait.select(0.01)
        while True:
            try:
                reply = sock.recv(65535)
            except BlockingIOError:
                break
            number, flags = struct.unpack("!HH", reply[:4])
            if number not in flying:
                continue
            kind, label, qtype, prefix = flying.pop(number)[:4]
            free.append(number)
            rcode, is_authentic = flags & 15, bool(flags & 0x20)
            if rcode not in (0, 3) or is_authentic == (kind == "unsigned"):
                bad[(label, qtype, f"rcode {rcode}", "AD" if is_authentic else "no AD")] += 1
            elif (label, qtype) in STEERED:
                found = answers(reply)
                seen[label, qtype].add(found)
                moves += last.get((label, qtype, prefix), found) != found
                last[label, qtype, prefix] = found
    said = ", ".join(f"{asked[kind]} {kind}" for kind in kinds)
    print(f"{n} questions in {time.monotonic() - began:.0f} s ({said}): {sum(bad.values())} wrong {bad.most_common(5)}")
    print(f"moved {moves}")
    for (label, qtype), sets in sorted(seen.items()):
        print(f"seen {label or '@'} {qtype} {len(sets)}", *("+".join(one) or "-" for one in sorted(sets)))
    sys.exit(bool(bad))


main()
