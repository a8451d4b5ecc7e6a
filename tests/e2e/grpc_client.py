"""Reports one sample and asks for the state, knowing the services by reflection alone.

    grpc_client.py ADDRESS

Exit status 0 when health says SERVING, the sample is accepted, a false one is refused with its reason, and the
state names the POPs.
"""
import sys
import time

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(sys.argv[1])
health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
assert health.status == health_pb2.HealthCheckResponse.SERVING, health

pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
message = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName("floodway.v1." + name))
Sample, Directive = message("Sample"), message("Directive")
StateRequest, StateResponse = message("StateRequest"), message("StateResponse")

state = channel.unary_unary(
    "/floodway.v1.Steering/State", StateRequest.SerializeToString, StateResponse.FromString
)(StateRequest(), timeout=5)
assert len(state.pops) >= 3, state
pop = state.pops[0].name
group = next(g.name for g in state.groups if any(m.pop == pop for m in g.members))

good = Sample(seq=1, pop=pop, group=group, time=time.time(), window_seconds=10, requests=500, errors=1)
false = Sample(seq=2, pop=pop, group=group, time=time.time(), window_seconds=10, requests=5, errors=7)
report = channel.stream_stream("/floodway.v1.Telemetry/Report", Sample.SerializeToString, Directive.FromString)
accepted, refused = 0, []
for said in report(iter([good, false]), timeout=10):
    accepted += said.accepted.count if said.HasField("accepted") else 0
    refused += [said.refused.text] if said.HasField("refused") else []
assert accepted == 1 and len(refused) == 1, (accepted, refused)
print(f"accepted {accepted}; refused: {refused[0]}")
