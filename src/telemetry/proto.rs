//! The generated protobuf types and services of package `floodway.v1`.
//!
//! They stay in the gRPC files (`telemetry::grpc`, `admin::steering`, the clients in `cli`); everywhere
//! else the plain types are used. The meaning of every field is told in `proto/floodway/v1`.

#![allow(missing_docs, clippy::all)]

tonic::include_proto!("floodway.v1");

/// The compiled descriptors, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/floodway.descriptors.bin"));
