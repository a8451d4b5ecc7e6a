//! Promise: a history of 10,000 series takes a sample of each in every second on a part of one core, and a series costs
//! some tens of kilobytes a day.
//!
//! Not criterion's loop: what counts is the processor time of a day's worth and the size of what is left, so a run writes
//! a stretch once, in the batches of the writer, and prints figures. `SERIES` and `MINUTES` in the environment change the
//! size. Demand is a day's rhythm with noise, seen once a second, as the control loop hands it over; one series in ten
//! is a latency, with its sketch.

use floodway::store::sqlite::samples::sealed_before;
use floodway::store::sqlite::{File, Purpose};
use floodway::store::{Keep, Level, Observation, Pending, Record, SeriesName};
use std::time::Instant;

/// Seconds between batches, as the writer has them.
const BATCH: i64 = 5;
/// A Monday.
const START: i64 = 1_795_392_000;

fn size(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Processor seconds of this thread.
fn spent() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, which writes nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Resident octets of the process.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    pages * 4096.0
}

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64 - 0.5
    }
}

fn main() {
    let (n_series, n_minutes) = (size("SERIES", 10_000), size("MINUTES", 65));
    let dir = tempfile::tempdir().expect("a folder for the file");
    let path = dir.path().join("history.db");
    let file = File::open(&path, Purpose::Write).expect("a new file opens");
    let name = |i: usize| match i % 10 {
        0 => format!("pop/p{i}.pop.example.com./latency-p95-ms"),
        _ => format!("group/g{i}.example.com./demand-rps"),
    };
    let names: Vec<SeriesName> = (0..n_series).map(|i| name(i).parse().expect("a name")).collect();
    let (mut noise, keep) = (Noise(1), Keep::default());
    let before = resident();
    let (mut gather, mut write, mut seal, mut most_batch, mut n_samples) = (0.0, 0.0, 0.0, 0.0f64, 0u64);
    let begun = Instant::now();
    let end = START + 60 * n_minutes as i64;
    for batch in (START..end).step_by(BATCH as usize) {
        let mut pending = Pending::default();
        for second in batch..batch + BATCH {
            let day = (second as f64 / 86_400.0 * std::f64::consts::TAU).sin();
            let sample = |(i, series): (usize, &SeriesName)| {
                let level = if i % 10 == 0 { 40.0 } else { 1000.0 + i as f64 };
                let value = f64::from((level * (1.0 + 0.4 * day + 0.1 * noise.next())) as f32);
                Observation { series: series.clone(), at: second as f64 + 0.2, value }
            };
            let samples: Vec<_> = names.iter().enumerate().map(sample).collect();
            n_samples += samples.len() as u64;
            let from = spent();
            pending.take(Record::Samples(samples), &keep, second, |why, n| panic!("{n} dropped: {why:?}"));
            gather += spent() - from;
        }
        let from = spent();
        let sealed = sealed_before(batch + BATCH);
        file.whole(|file| pending.minutes.iter().try_for_each(|(series, minutes)| file.add(series, minutes, sealed)))
            .expect("a batch is written");
        most_batch = most_batch.max(spent() - from);
        write += spent() - from;
        let from = spent();
        while batch % 60 == 0 && file.whole(|file| file.seal(250, sealed)).expect("an hour is packed") {}
        seal += spent() - from;
    }
    let total = gather + write + seal;
    println!("{n_series} series, {n_minutes} minutes, a sample a second: {n_samples} samples");
    println!("samples per processor second: {:.0}", n_samples as f64 / total);
    println!("processor share at that rate: {:.3} of a core", total / (60 * n_minutes) as f64);
    println!("  gather {gather:.2} s, write {write:.2} s, pack {seal:.2} s; longest batch {most_batch:.3} s");
    println!("by the clock, samples made included: {:.1} s", begun.elapsed().as_secs_f64());
    println!(
        "memory grown by {:.1} MB, {:.0} octets a series",
        (resident() - before) / 1e6,
        (resident() - before) / n_series as f64
    );

    // What a day leaves: every minute of it is packed.
    file.whole(|file| {
        while file.seal(250, i64::MAX)? {}
        Ok::<_, floodway::store::sqlite::Error>(())
    })
    .expect("all is packed");
    file.compact().expect("the file is whole");
    let octets = |name: &SeriesName| {
        let extents = file.extents(name).expect("it is read");
        let minutes = extents.iter().find(|e| e.level == Level::Minute).map_or(0, |e| e.octets);
        (minutes as f64, extents.iter().map(|e| e.octets).sum::<u64>() as f64)
    };
    for (what, name) in [("demand", &names[1]), ("latency with sketch", &names[0])] {
        let (minutes, all) = octets(name);
        let day = 1440.0 / n_minutes as f64;
        println!(
            "{what}: {:.1} KB a series and day at 1m, {:.1} KB with all levels",
            minutes * day / 1e3,
            all * day / 1e3
        );
    }
    println!(
        "file: {:.1} KB a series and day",
        file.size().expect("it has a size") as f64 / n_series as f64 * 1440.0 / n_minutes as f64 / 1e3
    );
    let from = spent();
    let read = floodway::store::recent(&file, &names[1], START, end, 60).expect("it is read");
    println!("recent minutes read: {} in {:.2} ms", read.len(), 1e3 * (spent() - from));
}
