#![no_main]

#[path = "../../fixture/mod.rs"]
mod fixture;
#[path = "../../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| properties::edns(octets));
