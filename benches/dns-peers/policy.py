#!/usr/bin/env python3
"""Turns the benchmark's neutral description of geo and weighted names (JSON) into a policy.

    policy.py geo.json > bench.example.policy

Geo names share one group, answered by the POP nearest to the client. Every weighted name has a group of its
own, because its weights are its own. The addresses are those of the names popNN in the zone file.
"""
import json
import sys


def site(pop):
    return f"site{pop['id']:02d}"


def member(pop):
    return f"pop{pop['id']:02d}"


def policy(geo):
    pops, ttl = geo["pops"], geo["ttl"]
    yield f"$ORIGIN {geo['zone']}."
    for p in pops:
        yield f"{site(p)} POP at={p['lat']},{p['lon']} capacity=1M"
    yield f"nearest.group GROUP steer=nearest ttl={ttl}"
    for p in pops:
        yield f"nearest.group MEMBER {member(p)} pop={site(p)}"
    for name in geo["geo_names"]:
        yield f"{name} STEER nearest.group"
    for name, weights in geo["weighted_names"].items():
        yield f"{name}.group GROUP steer=static pick=spread ttl={ttl}"
        for p, weight in zip(pops, weights):
            yield f"{name}.group MEMBER {member(p)} pop={site(p)} weight={weight}"
        yield f"{name} STEER {name}.group"


def main():
    with open(sys.argv[1]) as f:
        print("\n".join(policy(json.load(f))))


if __name__ == "__main__":
    main()
