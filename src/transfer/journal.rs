//! What is kept on disk of a zone that others have a part in: one file, written at its end.
//!
//! ```text
//!   file      magic, then frames
//!   frame     length u32 | SipHash-2-4 of kind and body, u64 | kind u8 | body
//!   Base      serial u32 | of the file u64 | of the zone u64 | removed, added: the net of updates over the zone's file
//!   Load      of the file u64 | difference: the file has changed
//!   Update    difference: an UPDATE
//!   Whole     records: a part of a zone that came by transfer
//!   End       serial u32 | checked u64 | number of records u64: the parts before are a zone
//!   Fetched   checked u64 | difference that came by transfer
//!   Checked   checked u64: the primary has nothing newer
//! ```
//!
//! The journal of a zone that is signed here (`transfer::seal`) has Whole, End and Fetched, of the zone as it leaves.
//!
//! All numbers are big-endian; a difference is two lists, each behind its length. A frame counts once it is whole and its sum
//! is right: what was written when the power failed is cut off at the next start, and what was told to be done was synced
//! before, but for copies of others' zones: those can be fetched again, and ten thousand would wait minutes for a disk. `of the
//! file` and `of the zone` are [`digest`]s, by which it is seen that a file is the one that updates were made to.

use crate::wire::records::{Record, Records, Soa};
use crate::wire::{Name, rtype};
use crate::zone::Zone;
use crate::zone::diff::Difference;
use crate::zone::signed::Version;
use crate::zone::store::Node;
use siphasher::sip::SipHasher24;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"floodway zone 1\n";
/// Octets before a frame's body: length, sum, kind.
const HEAD: usize = 13;
/// Longest body. A difference may be as long as a zone; parts of a whole one are a MiB.
const MOST_BODY: u32 = 1 << 30;
/// Octets of the parts that a whole zone is written in.
const PART: usize = 1 << 20;
/// A journal is written anew when it is this many octets longer than what it must hold. Our choice: writing is then rare, and a
/// thousand zones waste a GiB at most.
const SLACK: u64 = 1 << 20;

//----------- Frame ----------------------------------------------------------

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Where a zone with a file stands.
    Base {
        /// The serial that is served.
        serial: u32,
        /// Of the zone as its file says it.
        of_file: u64,
        /// Of the zone as it is served.
        of_zone: u64,
        /// What updates have taken out of the file's zone.
        removed: Records,
        /// What they have put in.
        added: Records,
    },
    /// The file has changed.
    Load {
        /// Of the zone as the file says it now.
        of_file: u64,
        /// From the zone that was served to the one that is.
        diff: Difference,
    },
    /// An update.
    Update(Difference),
    /// A part of a zone from elsewhere.
    Whole(Records),
    /// The end of such a zone.
    End {
        /// Its serial.
        serial: u32,
        /// When the primary was asked, seconds since 1970.
        checked: u64,
        /// Records in the parts.
        n: u64,
    },
    /// What has changed in it.
    Fetched {
        /// As in `End`.
        checked: u64,
        /// From the version before.
        diff: Difference,
    },
    /// Nothing has.
    Checked(u64),
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Frame::Base { .. } => 1,
            Frame::Load { .. } => 2,
            Frame::Update(_) => 3,
            Frame::Whole(_) => 4,
            Frame::End { .. } => 5,
            Frame::Fetched { .. } => 6,
            Frame::Checked(_) => 7,
        }
    }

    /// Writes it to the end of `out`.
    pub fn compose(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEAD - 1]);
        out.push(self.kind());
        match self {
            Frame::Base { serial, of_file, of_zone, removed, added } => {
                out.extend(serial.to_be_bytes());
                out.extend(of_file.to_be_bytes());
                out.extend(of_zone.to_be_bytes());
                put_records(removed, out);
                put_records(added, out);
            }
            Frame::Load { of_file, diff } => {
                out.extend(of_file.to_be_bytes());
                put_difference(diff, out);
            }
            Frame::Update(diff) => put_difference(diff, out),
            Frame::Whole(records) => put_records(records, out),
            Frame::End { serial, checked, n } => {
                out.extend(serial.to_be_bytes());
                out.extend(checked.to_be_bytes());
                out.extend(n.to_be_bytes());
            }
            Frame::Fetched { checked, diff } => {
                out.extend(checked.to_be_bytes());
                put_difference(diff, out);
            }
            Frame::Checked(checked) => out.extend(checked.to_be_bytes()),
        }
        let len = (out.len() - start - HEAD) as u32;
        let sum = sum(&out[start + HEAD - 1..]);
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
        out[start + 4..start + 12].copy_from_slice(&sum.to_be_bytes());
    }

    /// Reads the frame at the head of `octets`, and its length; `None` if it is not whole, or not as it was written.
    pub fn parse(octets: &[u8]) -> Option<(Frame, usize)> {
        let head = octets.first_chunk::<HEAD>()?;
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        if len > MOST_BODY {
            return None;
        }
        let end = HEAD + len as usize;
        let told = u64::from_be_bytes(*head[4..12].first_chunk()?);
        let mut body = octets.get(HEAD..end)?;
        if told != sum(octets.get(HEAD - 1..end)?) {
            return None;
        }
        let rest = &mut body;
        let frame = match head[HEAD - 1] {
            1 => Frame::Base {
                serial: number::<4>(rest)? as u32,
                of_file: number::<8>(rest)?,
                of_zone: number::<8>(rest)?,
                removed: records(rest)?,
                added: records(rest)?,
            },
            2 => Frame::Load { of_file: number::<8>(rest)?, diff: difference(rest)? },
            3 => Frame::Update(difference(rest)?),
            4 => Frame::Whole(records(rest)?),
            5 => Frame::End { serial: number::<4>(rest)? as u32, checked: number::<8>(rest)?, n: number::<8>(rest)? },
            6 => Frame::Fetched { checked: number::<8>(rest)?, diff: difference(rest)? },
            7 => Frame::Checked(number::<8>(rest)?),
            _ => return None,
        };
        rest.is_empty().then_some((frame, end))
    }
}

fn sum(octets: &[u8]) -> u64 {
    // Against mishap, not malice: the key is nothing.
    let mut hasher = SipHasher24::new();
    hasher.write(octets);
    hasher.finish()
}

fn put_records(records: &Records, out: &mut Vec<u8>) {
    out.extend((records.as_octets().len() as u32).to_be_bytes());
    out.extend_from_slice(records.as_octets());
}

fn put_difference(diff: &Difference, out: &mut Vec<u8>) {
    put_records(&diff.removed, out);
    put_records(&diff.added, out);
}

fn number<const N: usize>(rest: &mut &[u8]) -> Option<u64> {
    let (head, tail) = rest.split_at_checked(N)?;
    *rest = tail;
    Some(head.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

fn records(rest: &mut &[u8]) -> Option<Records> {
    let len = number::<4>(rest)? as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Records::from_octets(head)
}

fn difference(rest: &mut &[u8]) -> Option<Difference> {
    let (removed, added) = (records(rest)?, records(rest)?);
    let serial = |records: &Records| Soa::parse(records.iter().next().filter(|r| r.rtype == rtype::SOA)?.rdata);
    Some(Difference { from: serial(&removed)?.serial, to: serial(&added)?.serial, removed, added })
}

//----------- digest ---------------------------------------------------------

/// A number that two zones have in common if their records are the same, whatever their order and serial.
pub fn digest(zone: &Zone) -> u64 {
    let mut digest = 0u64;
    for node in zone.nodes() {
        for rrset in node.rrsets() {
            for rdata in rrset.rdatas() {
                digest = digest.wrapping_add(of_record(node.relative_name(), rrset.rtype, rrset.ttl, &rdata));
            }
        }
    }
    digest
}

/// The digest after a difference, which must be one between two zones.
pub fn digest_after(before: u64, apex: &Name, diff: &Difference) -> u64 {
    let of = |record: Record<'_>| {
        let relative = record.owner.strip_suffix(apex.as_wire()).unwrap_or(record.owner);
        of_record(relative, record.rtype, record.ttl, record.rdata)
    };
    let without = diff.removed.iter().map(of).fold(before, u64::wrapping_sub);
    diff.added.iter().map(of).fold(without, u64::wrapping_add)
}

fn of_record(relative: &[u8], rtype: u16, ttl: u32, rdata: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(relative);
    hasher.write(&rtype.to_be_bytes());
    hasher.write(&ttl.to_be_bytes());
    match rtype {
        rtype::SOA => {
            let at = rdata.len().saturating_sub(20);
            hasher.write(&rdata[..at]);
            hasher.write(rdata.get(at + 4..).unwrap_or_default());
        }
        _ => hasher.write(rdata),
    }
    hasher.finish()
}

//----------- Journal --------------------------------------------------------

/// The file of one zone, open for writing at its end.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Octets of whole frames.
    len: u64,
    /// The same when it was opened or written anew.
    base_len: u64,
    /// Whether its name may not be on the disk yet.
    is_new: bool,
}

/// What is waited for when something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// That it is on the disk: nobody else has it.
    Disk,
    /// That the system has it: it outlives this process, and if the power fails it is fetched again.
    System,
}

impl Journal {
    /// Opens the file, made if need be, and hands every whole frame to `each`. What follows the last of them is cut off; how
    /// many octets that were comes with the journal.
    ///
    /// # Errors
    /// What the system says, or that the file is none of ours.
    pub fn open(path: &Path, mut each: impl FnMut(Frame)) -> io::Result<(Journal, u64)> {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut octets = Vec::new();
        file.read_to_end(&mut octets)?;
        if octets.len() < MAGIC.len() {
            // Cut off while it was made, or just made.
            file.set_len(0)?;
            rewind(&mut file, 0)?;
            file.write_all(MAGIC)?;
            let len = MAGIC.len() as u64;
            return Ok((Journal { path: path.into(), file, len, base_len: len, is_new: true }, 0));
        }
        let at = walk(&octets, &mut each)?;
        let (len, lost) = (at as u64, (octets.len() - at) as u64);
        if lost > 0 {
            file.set_len(len)?;
            file.sync_all()?;
        }
        rewind(&mut file, len)?;
        Ok((Journal { path: path.into(), file, len, base_len: len, is_new: true }, lost))
    }

    /// Opens the file, or reads it alone, and hands every whole frame to `each`. What is cut off is told in the log.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn read(path: &Path, only_reads: bool, each: impl FnMut(Frame)) -> io::Result<Option<Journal>> {
        if only_reads {
            return Journal::peek(path, each).map(|()| None);
        }
        let (journal, lost) = Journal::open(path, each)?;
        if lost > 0 {
            tracing::warn!("{}: {lost} octets of a change that was not committed are cut off", path.display());
        }
        Ok(Some(journal))
    }

    /// Hands every whole frame of a file to `each`, and leaves the file alone: another process may write to it.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn peek(path: &Path, mut each: impl FnMut(Frame)) -> io::Result<()> {
        match std::fs::read(path) {
            Ok(octets) if octets.len() < MAGIC.len() => Ok(()),
            Ok(octets) => walk(&octets, &mut each).map(drop),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Writes frames at the end; of what fails nothing stays.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, frames: &[Frame], care: Care) -> io::Result<()> {
        let mut octets = Vec::new();
        frames.iter().for_each(|frame| frame.compose(&mut octets));
        let written = self.file.write_all(&octets).and_then(|()| match care {
            Care::Disk => self.sync(),
            Care::System => Ok(()),
        });
        match written {
            Ok(()) => self.len += octets.len() as u64,
            Err(_) => {
                let _ = self.file.set_len(self.len);
                let _ = rewind(&mut self.file, self.len);
            }
        }
        written
    }

    /// Waits until all of it is on the disk, and its name.
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.is_new {
            sync_folder(&self.path)?;
        }
        self.is_new = false;
        Ok(())
    }

    /// Puts a file with these frames in the place of this one. At any moment there is the one or the other.
    ///
    /// # Errors
    /// What the system says; then the old file stays.
    pub fn rewrite(&mut self, frames: impl Iterator<Item = Frame>, care: Care) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&beside)?;
        let (mut octets, mut len) = (MAGIC.to_vec(), 0);
        for frame in frames {
            frame.compose(&mut octets);
            if octets.len() >= PART {
                file.write_all(&octets)?;
                len += octets.len() as u64;
                octets.clear();
            }
        }
        file.write_all(&octets)?;
        len += octets.len() as u64;
        if care == Care::Disk {
            file.sync_all()?;
        }
        std::fs::rename(&beside, &self.path)?;
        (self.file, self.len, self.base_len, self.is_new) = (file, len, len, true);
        if care == Care::Disk {
            self.sync()?;
        }
        Ok(())
    }

    /// Whether it has grown so much since it was written anew that it should be again. `room`: octets that the history may take.
    pub fn is_overgrown(&self, room: usize) -> bool {
        self.len >= self.base_len + room as u64 + SLACK
    }

    /// Octets of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == MAGIC.len() as u64
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Hands whole frames to `each`; where they end.
fn walk(octets: &[u8], each: &mut impl FnMut(Frame)) -> io::Result<usize> {
    if !octets.starts_with(MAGIC) {
        return Err(io::Error::other("this is no journal of this version"));
    }
    let mut at = MAGIC.len();
    while let Some((frame, len)) = Frame::parse(&octets[at..]) {
        each(frame);
        at += len;
    }
    Ok(at)
}

fn rewind(file: &mut File, to: u64) -> io::Result<()> {
    io::Seek::seek(file, io::SeekFrom::Start(to)).map(|_| ())
}

/// A name in a folder is on the disk once the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// One version of a zone in parts, as it leaves.
pub fn parts_of(version: Version<'_>) -> impl Iterator<Item = Frame> {
    in_parts(version.records(), version.zone.serial(), 0)
}

/// A zone in parts, as it is written whole.
pub fn parts(zone: &Zone, checked: u64) -> impl Iterator<Item = Frame> + '_ {
    let of_node = |node: Node<'_>| {
        let (owner, mut records) = ([node.relative_name(), zone.apex().as_wire()].concat(), Records::default());
        for rrset in node.rrsets() {
            let ttl = |rdata: &[u8]| node.ttl_of(&rrset, rdata);
            rrset.rdatas().for_each(|rdata| records.push(&owner, rrset.rtype, ttl(&rdata), [&rdata, b""]));
        }
        records
    };
    in_parts(zone.nodes().map(of_node), zone.serial(), checked)
}

/// The records of a zone, name by name, in parts and the end of them.
fn in_parts(mut names: impl Iterator<Item = Records>, serial: u32, checked: u64) -> impl Iterator<Item = Frame> {
    let (mut n, mut is_over) = (0, false);
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let mut part = Records::default();
        while part.as_octets().len() < PART
            && let Some(of_name) = names.next()
        {
            of_name.iter().for_each(|record| part.put(&record));
        }
        n += part.len() as u64;
        is_over = part.is_empty();
        Some(if is_over { Frame::End { serial, checked, n } } else { Frame::Whole(part) })
    })
}
