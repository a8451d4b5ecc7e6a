//! Loading a zone of 1,000,000 names, each with an A record, in no order, and reading its file again after a change:
//! CPU seconds, and octets of memory a name.
//!
//! The zone is the one that the peers are measured with: about 29 octets a line, names that are a permutation of 32-bit
//! numbers. Run it by `cargo bench --bench zone_load [names]`.

use std::fmt::Write;

use floodway::masterfile::{Report, Scanner, Sources, no_includes};
use floodway::wire::Name;
use floodway::zone::load;

fn main() {
    let n = std::env::args().skip(1).find_map(|a| a.parse().ok());
    // `cargo test --benches` comes without `--bench`: then it is only seen to work.
    let n: u64 = n.unwrap_or(if std::env::args().any(|a| a == "--bench") { 1_000_000 } else { 1000 });
    let text = big_zone(n);
    let origin: Name = "bench.example.".parse().expect("this is a name");
    println!("{n} names, {:.1} MB of text", text.len() as f64 / 1e6);

    let (mut sources, mut report, mut includes) = (Sources::default(), Report::default(), no_includes);
    let copy = text.clone();
    let start = cpu_secs();
    let mut scanner = Scanner::new(&mut sources, &mut includes, "big.zone", copy, &origin, &mut report);
    let mut n_entries = 0u64;
    while scanner.next_entry(&mut report).is_some() {
        n_entries += 1;
    }
    println!("scan alone: {:.3} CPU s ({n_entries} entries)", cpu_secs() - start);
    drop(sources);

    let path = std::env::temp_dir().join(format!("floodway-bench-{}.zone", std::process::id()));
    std::fs::write(&path, changed(&text, 1)).expect("there is room for temporary files");
    trim();
    // The text is the loader's to hold, so it counts before and not after.
    let before = status("VmRSS:") as f64 - text.len() as f64;
    let start = cpu_secs();
    let mut includes = no_includes;
    let read = load::read("big.zone", text, &origin, &mut includes, &mut report).expect("the zone is sound");
    let zone = read.zone;
    let secs = cpu_secs() - start;
    print!("{report}");
    let names = zone.n_names() as f64;
    println!("load: {secs:.3} CPU s, {:.0} ns a name", secs * 1e9 / names);
    println!("zone: {:.1} octets a name", zone.memory_bytes() as f64 / names);
    trim();
    let (after, peak) = (status("VmRSS:") as f64, status("VmHWM:") as f64);
    println!(
        "process: {:.1} octets a name more than before, {:.0} MB at the most",
        (after - before) / names,
        peak / 1e6
    );
    let Some(mut outline) = read.outline else { return };
    println!("remembered of the file: {:.2} octets a name", outline.memory_bytes() as f64 / names);

    let mut zone = zone;
    let mut all = Vec::new();
    for round in 2..12 {
        let start = cpu_secs();
        let octets = std::fs::read(&path).expect("it was written");
        let again = load::reread(&octets, &zone, &outline).expect("little has changed");
        drop(octets);
        let n_changed = again.n_changed;
        (zone, outline) = (again.zone.expect("a record has changed"), again.outline.expect("there is one"));
        all.push(cpu_secs() - start);
        assert!(n_changed <= 3, "the SOA and a record or two");
        let text = std::fs::read_to_string(&path).expect("it was written");
        std::fs::write(&path, changed(&text, round)).expect("there is room for temporary files");
    }
    let _ = std::fs::remove_file(&path);
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    println!("a changed record and the serial: {median:.3} CPU s, {:.3} of the load", median / secs);
    trim();
    println!("process after it: {:.1} octets a name more than before", (status("VmRSS:") as f64 - before) / names);
}

/// The text with another serial and another address in its middle.
fn changed(text: &str, round: usize) -> String {
    let middle = text.len() / 2;
    let line = middle + text[middle..].find('\n').expect("it has lines") + 1;
    let end = line + text[line..].find('\n').expect("it has lines");
    let owner = text[line..end].split(' ').next().expect("a line has words");
    let head = text[..line].replacen(&format!("example. {round} 7200"), &format!("example. {} 7200", round + 1), 1);
    format!("{head}{owner} IN A 192.0.2.{round}{}", &text[end..])
}

fn big_zone(n: u64) -> String {
    let mut text = String::from(
        "$ORIGIN bench.example.\n$TTL 300\n\
         @ IN SOA ns1.bench.example. hostmaster.bench.example. 1 7200 1800 1209600 300\n\
         @ IN NS ns1.bench.example.\nns1 IN A 192.0.2.1\nchanged IN A 192.0.2.201\n",
    );
    for i in 0..n {
        let k = (i * 2_654_435_761) & 0xffff_ffff;
        let _ = writeln!(text, "n{k:08x} IN A 10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255);
    }
    text.shrink_to_fit();
    text
}

/// Gives free memory back: what the allocator keeps of a load's own tables would be used again, not held.
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call only gives free memory back.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn cpu_secs() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the one `timespec` that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A figure of this process in octets.
fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}
