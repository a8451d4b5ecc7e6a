"""Every way in which Floodway and its peers may differ, and what lets ours be right.

A row takes the two messages and takes out of them exactly the difference that it explains; what is left must be equal.
"""

import copy
from collections import namedtuple

Row = namedtuple("Row", "name peers act")
ROWS = []


def row(name, peers="knot nsd bind"):
    def add(act):
        ROWS.append(Row(name, peers.split(), act))
        return act
    return add


def key(m):
    return m and (m.head, m.question, m.answer, m.authority, m.additional, m.opt, m.tsig)


def is_equal(pair):
    return not any(isinstance(m, Exception) for m in pair) and key(pair[0]) == key(pair[1])


def explain(query, peer, ours, theirs, whole=None):
    """Names of the rows that explain of the difference what can be, and what is left of it in words, "" if nothing is.
    `whole`: both replies by stream, where one of the two is truncated."""
    if ours is None or isinstance(theirs, Exception):
        # Silence of ours, and a message that cannot be read, have no excuse.
        return [], kind(ours, theirs)
    pair = [copy.deepcopy(ours), copy.deepcopy(theirs)]
    if is_equal(pair):
        return [], ""
    used = apply(query, peer, pair)
    if is_equal(pair) or not whole:
        return used, "" if is_equal(pair) else kind(*pair)
    pair = [copy.deepcopy(ours), copy.deepcopy(theirs)]
    why = truncation(query, peer, pair, whole)
    if not why:
        return [], "truncation: " + kind(*pair)
    pair = [copy.deepcopy(m) for m in whole]
    used = [why, *apply(query, peer, pair)]
    return used, "" if is_equal(pair) else "whole: " + kind(*pair)


def apply(query, peer, pair):
    """Takes out what the rows explain; which of them did."""
    used = []
    for row in ROWS:
        if is_equal(pair):
            break
        if peer in row.peers and row.act and row.act(query, pair):
            used.append(row.name)
    return used


def room(query):
    return min(max(query.edns["size"], 512), 1232) if query.edns else 512


#----------- Truncation -------------------------------------------------------


CUT = {
    "truncated alike": "What is left in is not to be used (RFC 2181 section 9).",
    "compressed less": """Compression is a choice (RFC 1035 section 4.1.4): names in RDATA end in a pointer to the apex, where peers
    point to nearer names, too. The reply of the peer must have more than half of what the limit allows.""",
    "glue or TC": """A referral has all glue of in-domain servers or TC (RFC 9471 section 3.1); the peer has neither.""",
    "truncated for less": """The peer sets TC where only optional data is missing (RFC 2181 section 9), or compresses less, BIND
    where the question's name has 255 octets.""",
}
ROWS.extend(Row(name, "knot nsd bind".split(), None) for name in CUT)


def truncation(query, peer, pair, whole):
    """Why one is truncated or both are, as a key of CUT; what they are truncated from is compared by stream."""
    ours, theirs = pair
    if not theirs or any(not isinstance(m, type(ours)) for m in whole):
        return None
    if ours.head["tc"] and theirs.head["tc"]:
        return "truncated alike"
    if ours.head["tc"]:
        lacks_glue = set(whole[0].additional) - set(theirs.additional)
        if whole[0].authority and not whole[0].head["aa"] and lacks_glue and peer != "knot":
            return "glue or TC"
        return "compressed less" if theirs.length > room(query) / 2 else None
    if ours.length > room(query) / 2 or peer == "bind" and len(query.name) > 250:
        return "truncated for less"
    return None


def table():
    """The rows, for people."""
    for row in ROWS:
        why = CUT.get(row.name) or row.act.__doc__
        yield f"{row.name} ({', '.join(row.peers)})\n    {' '.join(why.split())}"


#----------- Header and EDNS --------------------------------------------------


def same(pair):
    """The whole of the peer's reply is explained."""
    pair[1] = copy.deepcopy(pair[0])
    return True


def is_bare(m, *rcodes):
    return m and m.head["rcode"] in rcodes and not (m.answer or m.authority or m.additional)


@row("message not well-formed")
def malformed(query, pair):
    """What breaks a rule is FORMERR, with OPT where it could be read, and never silence (RFC 8906 sections 3 and 8.1, RFC
    6891 sections 6.1.1 and 7, RFC 9619 section 4); peers drop some, and overlook records and octets that have no place."""
    return query.oddity and query.oddity != "a response" and is_bare(pair[0], 1, 16) and same(pair)


@row("record beside the question", "nsd")
def additional_record(query, pair):
    """A record in the additional section that means nothing is passed over; NSD says FORMERR, or nothing."""
    return query.oddity == "an additional" and (pair[1] is None or is_bare(pair[1], 1)) and same(pair)


@row("opcode")
def opcodes(query, pair):
    """An opcode that is not served is NOTIMP, whatever follows the header (RFC 8906 section 3.1.4); peers answer NOTIFY and
    UPDATE with other errors, BIND takes a NOTIFY for a zone of its own, and some drop the rest."""
    taken = query.opcode == 4 and is_bare(pair[1], 0)
    error = taken or pair[1] is None or is_bare(pair[1], 1, 3, 4, 5, 9, 16)
    return query.opcode and is_bare(pair[0], 1, 4, 5, 9, 16) and error and same(pair)


@row("version before all else", "bind")
def version(query, pair):
    """A query of another EDNS version is BADVERS (RFC 6891 section 6.1.3); its options mean nothing known, so that there is
    nothing malformed about them."""
    return is_bare(pair[0], 16) and is_bare(pair[1], 1) and same(pair)


@row("question not for zones")
def meta_types(query, pair):
    """OPT, TSIG, NXNAME are no question's types, MAILA, MAILB and TKEY need what is not here; peers look them up like data.
    RFC 6891 section 6.1.1, RFC 8945 section 4.2, RFC 9824 section 3.5, RFC 1035 section 3.2.3, RFC 8906 section 3.1.3."""
    return query.qtype in (41, 250, 128, 249, 253, 254) and is_bare(pair[0], 1, 4) and same(pair)


@row("types that may be meta", "bind")
def meta_range(query, pair):
    """A type that nobody knows is data that is not here (RFC 8906 section 3.1.3), also in the range that RFC 6895 section 3.1
    sets aside for meta types; BIND says FORMERR there."""
    return 128 < query.qtype < 249 and is_bare(pair[1], 1) and same(pair)


@row("transfer not given")
def transfers(query, pair):
    """AXFR and IXFR: REFUSED by those who may not, NOTAUTH of what is no zone (RFC 5936 section 2.2.1); peers also say NOTIMP, FORMERR."""
    bare = is_bare(pair[1], 1, 4, 5, 9) or pair[1] and query.qtype == 251
    return query.qtype in (251, 252) and is_bare(pair[0], 5, 9) and bare and same(pair)


def subnets(query):
    return [data for code, data in query.edns["options"] if code == 8] if query.edns else []


def is_sound_subnet(data):
    if len(data) < 4:
        return False
    family, source, scope = data[0] << 8 | data[1], data[2], data[3]
    if family > 2 or source > (0, 32, 128)[family] or scope or len(data) != 4 + (source + 7) // 8:
        return False
    return not source % 8 or not data[-1] << source % 8 & 0xff


@row("subnet malformed")
def bad_subnet(query, pair):
    """A client subnet that is malformed, or there twice, is FORMERR (RFC 7871 sections 7.1.2 and 7.2.1); peers that do not
    know the option take it for any other, which RFC 6891 section 6.1.2 lets them."""
    found = subnets(query)
    return (len(found) > 1 or any(not is_sound_subnet(d) for d in found)) and is_bare(pair[0], 1) and same(pair)


@row("subnet told back")
def subnet_echo(query, pair):
    """An answer tells the scope, also 0 (RFC 7871 section 7.2.1); peers do not know the option, which section 7.2.2 lets
    them."""
    return strip(pair[0], {8}, unless_in=pair[1])


@row("options we do not have")
def their_options(query, pair):
    """EXPIRE (RFC 7314), extended errors (RFC 8914), NSID (RFC 5001), keepalive (RFC 7828): each is a server's choice."""
    return strip(pair[1], {3, 9, 11, 15}, unless_in=pair[0])


@row("options peers do not have")
def our_options(query, pair):
    """NSID, cookies, keepalive, padding and extended errors, likewise (RFC 5001, 7873, 7828, 7830, 8914)."""
    return strip(pair[0], {3, 10, 11, 12, 15}, unless_in=pair[1])


def strip(m, codes, unless_in):
    if not m or isinstance(m, Exception) or not m.opt:
        return False
    has = [] if not unless_in or isinstance(unless_in, Exception) or not unless_in.opt else [c for c, _ in unless_in.opt.options]
    kept = [(c, d) for c, d in m.opt.options if c not in codes or c in has]
    changed, m.opt.options = kept != m.opt.options, kept
    return changed


@row("class ANY")
def class_any(query, pair):
    """No answer could be authoritative for all classes (RFC 1035 section 6.2), so it is REFUSED; peers take it for IN."""
    return query.qclass == 255 and is_bare(pair[0], 5) and same(pair)


@row("other classes")
def other_classes(query, pair):
    """There are no zones of other classes: REFUSED (RFC 8906 section 3.1.4 asks for an error); BIND says NOTIMP or FORMERR, and
    limits the rate of class CHAOS by silence."""
    error = is_bare(pair[1], 1, 4, 5, 9) or pair[1] is None and query.qclass == 3
    return query.qclass not in (1, 255) and is_bare(pair[0], 5) and error and same(pair)


@row("class CHAOS")
def chaos(query, pair):
    """What a server says of itself in class CHAOS is its own (RFC 4892 section 3): version.bind, id.server and the like."""
    return query.qclass == 3 and query.labels and query.labels[-1].lower() in (b"bind", b"server", b"floodway") and same(pair)


@row("form of other options", "bind")
def bad_option(query, pair):
    """BIND also refuses options that only a reply has, or none, if their form is wrong; options that mean nothing in a
    query are passed over (RFC 6891 section 6.1.2)."""
    odd = query.edns and any(code in (11, 15) for code, _ in query.edns["options"])
    return odd and is_bare(pair[1], 1) and same(pair)


@row("question of an error")
def question_of_error(query, pair):
    """An error has the question where it could be read (RFC 8906 section 8.1 asks for no more than header and RCODE)."""
    ours, theirs = pair
    if isinstance(theirs, Exception) or not theirs or not theirs.head["rcode"] or ours.question == theirs.question:
        return False
    if ours.question and theirs.question:
        return False
    theirs.question = ours.question
    return True


@row("keepalive with a timeout")
def bad_keepalive(query, pair):
    """A query's keepalive has no timeout (RFC 7828 section 3.2.1), so one that has is FORMERR on a stream; Knot and NSD do not
    know the option."""
    bad = query.edns and any(code == 11 and data for code, data in query.edns["options"])
    return bad and is_bare(pair[0], 1) and same(pair)


@row("keepalive of another length", "bind")
def other_keepalive(query, pair):
    """How long a connection may be idle is the server's own (RFC 7828 section 3.3.2)."""
    if not all(m and not isinstance(m, Exception) and m.opt for m in pair):
        return False
    values = [[d for c, d in m.opt.options if c == 11] for m in pair]
    if values[0] == values[1] or [len(v) for v in values] != [1, 1]:
        return False
    pair[1].opt.options = [(c, values[0][0] if c == 11 else d) for c, d in pair[1].opt.options]
    return True


@row("RD of an error", "bind nsd")
def recursion_desired(query, pair):
    """RD is copied (RFC 1035 section 4.1.1), into errors as well."""
    ours, theirs = pair
    if not theirs or isinstance(theirs, Exception) or theirs.head["rcode"] in (0, 3) or theirs.head["rd"]:
        return False
    changed, theirs.head["rd"] = bool(ours.head["rd"]), ours.head["rd"]
    return changed and bool(query.wire[2] & 1)


@row("flags of the query come back", "nsd bind")
def copied_flags(query, pair):
    """AD, CD, RA and Z are clear, since nothing is validated and there is no recursion (RFC 1035 section 4.1.1, RFC 4035
    section 3.1.6), and so are AA and TC in an error; peers copy some."""
    changed = False
    for flag in ("ra", "z", "ad", "cd") + (("aa", "tc") if pair[0].head["rcode"] not in (0, 3) else ()):
        if pair[1] and not isinstance(pair[1], Exception) and pair[1].head[flag] and not pair[0].head[flag]:
            pair[1].head[flag], changed = 0, True
    return changed


@row("EDNS flags")
def edns_flags(query, pair):
    """DO is copied (RFC 3225 section 3), the others are zero (RFC 6891 section 6.1.4), in errors, too."""
    if not all(m and not isinstance(m, Exception) and m.opt for m in pair) or pair[0].opt.flags == pair[1].opt.flags:
        return False
    right = pair[0].opt.flags == (query.edns or {"flags": 0})["flags"] & 0x8000
    pair[1].opt.flags = pair[0].opt.flags
    return right


#----------- Answers ----------------------------------------------------------


@row("ANY is minimal")
def minimal_any(query, pair):
    """One RRset of those at the name (RFC 8482 section 4.1), be it an alias, which ANY matches and so does not follow (RFC
    1034 section 4.3.2 step 3a); peers give all, or another one, and follow what a DNAME makes."""
    ours, theirs = pair
    if query.qtype != 255 or not theirs or isinstance(theirs, Exception) or not ours.answer or ours.head["rcode"]:
        return False
    return bool(theirs.answer) and same(pair)


@row("DS below no delegation")
def ds_of_orphan(query, pair):
    """The parent answers for DS (RFC 4035 section 3.1.4.1), but not one that does not know of the child: its denial would deny
    the child (RFC 8020 section 2)."""
    orphan = query.name.lower() == b"\5alone\7example\3com\0"
    return orphan and query.qtype == 43 and pair[0].head["aa"] and pair[1] and not pair[1].answer and same(pair)


@row("name too long for a DNAME", "knot")
def too_long(query, pair):
    """YXDOMAIN comes with the DNAME alone (RFC 6672 section 2.2); Knot goes on with what it finds at
    the DNAME's target."""
    ours, theirs = pair
    return ours.head["rcode"] == 6 and theirs and theirs.answer[:len(ours.answer)] == ours.answer and same(pair)


@row("beside a CNAME")
def beside_cname(query, pair):
    """Types that may stand beside a CNAME are the alias's own, and it is not followed for them: SIG, KEY, RRSIG, NSEC (RFC
    2181 section 10.1, RFC 4034 sections 3 and 4); each peer has another list."""
    ours, theirs = pair
    if query.qtype not in (24, 25, 46, 47, 30, 50) or not theirs or isinstance(theirs, Exception):
        return False
    short, long = sorted((ours.answer, theirs.answer), key=len)
    return short != long and long[:len(short)] == short and all(map(is_alias, long)) and same(pair)


def is_alias(rrset):
    return rrset[0][1] in (5, 39)


@row("chains are followed", "knot nsd bind")
def longer_chain(query, pair):
    """Aliases are followed through all zones served, sixteen links (RFC 1034 section 4.3.2 step 3a, RFC 6672 section 3.2),
    and the RCODE is the last name's (RFC 6604 section 3); peers stop earlier, and the resolver asks on, or go round a loop
    until they have enough of it."""
    ours, theirs = pair
    if not theirs or isinstance(theirs, Exception) or not theirs.answer or len(theirs.answer) > len(ours.answer):
        return False
    n = len(theirs.answer)
    once = [(key, tuple(sorted(set(rdatas)))) for key, rdatas in theirs.answer]
    if sorted(ours.answer[:n]) != sorted(once) or not all(map(is_alias, theirs.answer)):
        return False
    is_shorter = n < len(ours.answer) or ours.authority or ours.additional
    return (is_shorter or theirs.head["rcode"] == 2 or once != theirs.answer) and same(pair)


@row("sibling glue")
def sibling_glue(query, pair):
    """A referral has all glue of servers within what is delegated, and of others what fits and the zone knows (RFC 9471
    sections 3.1 and 3.2). Peers may have more of the latter, by better compression, or less of either."""
    ours, theirs = pair
    if not theirs or isinstance(theirs, Exception) or theirs.authority != ours.authority:
        return False
    cuts = [owner for owner, rtype, _, _ in ours.authority if rtype == 2]
    more = [owner for owner, *_ in set(theirs.additional) - set(ours.additional)]
    if len(cuts) != 1 or any(is_below(name, cuts[0]) for name in more):
        return False
    if any(rtype not in (1, 28) for _, rtype, _, _ in set(theirs.additional) ^ set(ours.additional)):
        return False
    theirs.additional = ours.additional
    return True


def is_below(name, above):
    """Whether a name in wire form is within another."""
    while len(name) >= len(above):
        if name == above:
            return True
        name = name[1 + name[0]:]
    return False


@row("optional addresses")
def more_addresses(query, pair):
    """What the additional section holds beyond glue is a server's choice (RFC 1034 section 4.3.2 step 6, RFC 2181 section
    9), hosts of other zones among it. Where there is an answer, and all that differs is addresses, services or locators."""
    ours, theirs = pair
    if not theirs or isinstance(theirs, Exception) or not ours.answer or not ours.head["aa"]:
        return False
    both = [set(m.additional.items()) for m in pair]
    different = both[0] ^ both[1]
    if not different or any(rtype not in (1, 5, 28, 33, 64, 65, 105, 106, 19, 20) for (_, rtype, _, _), _ in different):
        return False
    theirs.additional = ours.additional
    return True


def kind(ours, theirs):
    """What differs, in a few words."""
    if ours is None or theirs is None or isinstance(ours, Exception) or isinstance(theirs, Exception):
        return f"{word(ours)} / {word(theirs)}"
    parts = [f"{k} {v}/{theirs.head[k]}" for k, v in ours.head.items() if v != theirs.head[k]]
    parts += [s for s in ("question", "answer", "authority", "additional") if getattr(ours, s) != getattr(theirs, s)]
    if ours.opt is None or theirs.opt is None:
        parts += ["OPT"] if ours.opt != theirs.opt else []
    else:
        parts += [f"OPT {k}" for k, v in vars(ours.opt).items() if v != vars(theirs.opt)[k]]
    return ", ".join(parts)


def word(m):
    return "silence" if m is None else str(m) if isinstance(m, Exception) else f"rcode {m.head['rcode']}"
