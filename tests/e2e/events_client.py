"""Announces, lists, cancels and reports an event, knowing the service by reflection alone.

    events_client.py ADDRESS

Exit status 0 when a dry run leaves nothing, an announcement is listed and can be cancelled, an outcome is taken, and what makes
no sense is refused with what would do.
"""
import sys
import time

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(sys.argv[1])
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
message = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName("floodway.v1." + name))


def call(method, request, response, **fields):
    stub = channel.unary_unary(
        f"/floodway.v1.Events/{method}", message(request).SerializeToString, message(response).FromString
    )
    return stub(message(request)(**fields), timeout=10)


def refused(says, method, request, response, **fields):
    try:
        call(method, request, response, **fields)
    except grpc.RpcError as e:
        assert says in e.details(), (says, e.details())
        return
    raise AssertionError(f"{method} {fields} was taken")


announce = ("Announce", "AnnounceRequest", "AnnounceResponse")
event = dict(id="crm-7", group="web.example.com", start=time.time() + 7200, kind="push", recipients=1e6, click_rate=0.02,
             requests_per_click=5, send_seconds=300, announcer="crm")
listed = lambda: {e.id: e for e in call("List", "ListRequest", "ListResponse").events}

said = call(*announce, announcement=event, dry_run=True)
assert said.group == "web.example.com." and 0 < said.requests < 2e5 and said.curve[3].q90 > said.curve[3].q50, said
assert "crm-7" not in listed()
call(*announce, announcement=event)
for _ in range(50):
    if "crm-7" in listed():
        break
    time.sleep(0.1)
assert listed()["crm-7"].phase in ("planned", "waiting"), listed()
call("Cancel", "CancelRequest", "CancelResponse", id="crm-7", by="crm", reason="rain")
call("ReportOutcome", "ReportOutcomeRequest", "ReportOutcomeResponse", id="crm-7", requests=0)
for _ in range(50):
    if listed()["crm-7"].cancelled:
        break
    time.sleep(0.1)
assert listed()["crm-7"].cancelled == "crm: rain", listed()
refused("no announcement", *announce)
refused("is no group", *announce, announcement={**event, "group": "nowhere"})
refused("in one way", *announce, announcement={**event, "peak": 5.0})
refused("another announcer", *announce, announcement={**event, "announcer": "somebody else"})
refused("400 days", *announce, announcement={**event, "start": float("nan")})
refused("no event has this id", "Cancel", "CancelRequest", "CancelResponse", id="none")
refused("a number from 0 on", "ReportOutcome", "ReportOutcomeRequest", "ReportOutcomeResponse", id="crm-7", requests=-1.0)
print("announced, listed, cancelled, reported; nonsense refused")
