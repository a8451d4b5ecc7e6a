//! Compiles the protobuf files of `src/telemetry/proto`, without `protoc`.

use std::path::PathBuf;

const PROTO_ROOT: &str = "src/telemetry/proto";
const FILES: [&str; 3] = ["floodway/v1/telemetry.proto", "floodway/v1/steering.proto", "floodway/v1/events.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, [PROTO_ROOT])?;
    std::fs::write(out.join("floodway.descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
