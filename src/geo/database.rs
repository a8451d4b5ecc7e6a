//! The operator's GeoIP files, opened and checked.
//!
//! Bytes come in; nothing here touches a disk. A file is read whole once when it is opened, every
//! network and every record of it, so that whatever is wrong with it is found before it serves.

use crate::geo::place::{Lenses, Paths, Place};
use crate::geo::runs::{Address, Run, push};
use crate::geo::tree::{Tree, embedded_v4};
use maxminddb::{MaxMindDbError, Reader};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

//----------- Databases ------------------------------------------------------

/// Several files at once, in order: for each field the first file that knows it wins.
#[derive(Debug, Default)]
pub struct Databases {
    /// The files.
    pub files: Vec<Database>,
}

impl Databases {
    /// Opens files given as (name for messages, bytes). No file at all is allowed: then nothing is known.
    ///
    /// # Errors
    /// One [`Error`] per file that is refused.
    pub fn open(files: Vec<(String, Vec<u8>)>, paths: &Paths) -> Result<Databases, Vec<Error>> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (name, bytes) in files {
            match Database::open(&name, &bytes, paths) {
                Ok(file) => good.push(file),
                Err(e) => bad.push(e),
            }
        }
        if bad.is_empty() { Ok(Databases { files: good }) } else { Err(bad) }
    }

    /// The database that comes with Floodway, alone.
    pub fn embedded() -> Databases {
        Databases::open(vec![("embedded".into(), crate::geo::embedded().to_vec())], &Paths::default())
            .expect("a test opens the embedded database")
    }

    /// Everything the files together say of an address, completed from the table of countries; `None` where
    /// they say nothing. An IPv6 address that stands for an IPv4 address is looked up as that.
    pub fn place(&self, addr: IpAddr) -> Option<Place> {
        let place = self.files.iter().filter_map(|file| file.place(addr)).fold(Place::default(), |p, q| p.or(q));
        (!place.is_empty()).then(|| place.completed())
    }
}

//----------- Database -------------------------------------------------------

/// One file.
pub struct Database {
    /// The name it was given.
    pub name: String,
    /// What the file calls itself, such as `GeoLite2-City`.
    pub kind: String,
    /// Unix seconds at which it was built.
    pub build_epoch: u64,
    /// Networks in it, both families, aliases not counted.
    pub n_networks: usize,
    /// Its distinct records.
    pub places: Vec<Place>,
    place_of_offset: HashMap<u32, u32>,
    reader: Reader<Arc<[u8]>>,
    bytes: Arc<[u8]>,
    data_len: usize,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?}, {}, {} networks)", self.name, self.kind, self.n_networks)
    }
}

impl Database {
    /// Opens one file.
    ///
    /// # Errors
    /// [`Error`] when it is broken, empty, or says nothing that [`Paths`] lead to.
    pub fn open(name: &str, bytes: &[u8], paths: &Paths) -> Result<Database, Error> {
        let refuse = |reason| Error { name: name.to_string(), reason };
        let broken = |e: MaxMindDbError| refuse(Reason::Broken(e.to_string()));
        if bytes.is_empty() {
            return Err(refuse(Reason::Empty));
        }
        let bytes: Arc<[u8]> = bytes.into();
        let reader = Reader::from_source(bytes.clone()).map_err(broken)?;
        let meta = reader.metadata().clone();
        let mut file = Database {
            name: name.to_string(),
            kind: meta.database_type,
            build_epoch: meta.build_epoch,
            n_networks: 0,
            places: Vec::new(),
            place_of_offset: HashMap::new(),
            data_len: data_len(&bytes, meta.node_count, meta.record_size),
            reader,
            bytes,
        };
        // The tree first: the crate's own check walks it without a bound on shared nodes.
        let records = file.records().map_err(|e| refuse(Reason::Broken(e.to_string())))?;
        // That check also wants a type and a description, which good files of some makers lack.
        let meta = file.reader.metadata();
        if !meta.database_type.is_empty() && !meta.description.is_empty() {
            match file.reader.verify() {
                // Not broken, only larger than the check cares to go; every record is read below all the same.
                Ok(()) | Err(MaxMindDbError::ResourceLimit { .. }) => {}
                Err(e) => return Err(broken(e)),
            }
        }
        file.read_places(&records, &Lenses::new(paths)).map_err(broken)?;
        match (records.is_empty(), file.places.iter().all(Place::is_empty)) {
            (true, _) => Err(refuse(Reason::NoNetworks)),
            (false, true) => Err(refuse(Reason::NothingUsable { kind: file.kind })),
            (false, false) => Ok(file),
        }
    }

    /// Every distinct record, as (data offset, an address that has it), by offset; counts the networks.
    fn records(&mut self) -> Result<Vec<(u32, IpAddr)>, crate::geo::tree::BadTree> {
        let (mut seen, mut n_networks) = (HashMap::new(), 0);
        self.tree().leaves::<u32>(|start, _, offset| {
            if let Some(offset) = offset {
                n_networks += 1;
                seen.entry(offset).or_insert(IpAddr::V4(Ipv4Addr::from_bits(start)));
            }
        })?;
        self.tree().leaves::<u128>(|start, _, offset| {
            if let Some(offset) = offset {
                n_networks += 1;
                seen.entry(offset).or_insert(IpAddr::V6(Ipv6Addr::from_bits(start)));
            }
        })?;
        self.n_networks = n_networks;
        let mut records: Vec<_> = seen.into_iter().collect();
        records.sort_unstable();
        Ok(records)
    }

    fn read_places(&mut self, records: &[(u32, IpAddr)], lenses: &Lenses) -> Result<(), MaxMindDbError> {
        for &(offset, addr) in records {
            let place = lenses.place(&self.reader.lookup(addr)?)?;
            self.place_of_offset.insert(offset, self.places.len() as u32);
            self.places.push(place);
        }
        Ok(())
    }

    pub(crate) fn tree(&self) -> Tree<'_> {
        let meta = self.reader.metadata();
        Tree {
            bytes: &self.bytes,
            n_nodes: meta.node_count,
            record_bits: meta.record_size,
            ip_version: meta.ip_version,
            data_len: self.data_len,
        }
    }

    /// What this file says of an address.
    pub fn place(&self, addr: IpAddr) -> Option<&Place> {
        let addr = plain(addr);
        if addr.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        let offset = self.reader.lookup(addr).ok()?.offset()?;
        let idx = *self.place_of_offset.get(&u32::try_from(offset).ok()?)?;
        Some(&self.places[idx as usize])
    }

    /// One family cut into runs; an id is 0 where the file knows nothing, otherwise 1 + the position in
    /// [`Database::places`].
    pub(crate) fn runs<A: Address>(&self) -> Vec<Run<A>> {
        let (mut runs, mut last) = (Vec::new(), (None, 0));
        self.tree()
            .leaves::<A>(|start, _, offset| {
                if last.0 != offset {
                    let idx = offset.and_then(|o| self.place_of_offset.get(&o));
                    last = (offset, idx.map_or(0, |i| i + 1));
                }
                push(&mut runs, start, last.1);
            })
            .expect("the tree was walked when the file was opened");
        runs
    }
}

/// An IPv6 address that stands for an IPv4 address, as that; others as they are.
pub(crate) fn plain(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V6(v6) => embedded_v4(v6.to_bits()).map_or(addr, |(v4, _)| IpAddr::V4(Ipv4Addr::from_bits(v4))),
        IpAddr::V4(_) => addr,
    }
}

/// Octets between the tree with its 16 octets of separation and the last metadata marker.
fn data_len(bytes: &[u8], n_nodes: u32, record_bits: u16) -> usize {
    const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
    let end = bytes.windows(MARKER.len()).rposition(|w| w == MARKER).unwrap_or(bytes.len());
    end.saturating_sub(n_nodes as usize * usize::from(record_bits) / 4 + 16)
}

//----------- Error ----------------------------------------------------------

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The name the file was given.
    pub name: String,
    /// What is wrong.
    pub reason: Reason,
}

/// See [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No octets at all.
    Empty,
    /// No MMDB file, or a damaged one.
    Broken(String),
    /// A sound file without a network.
    NoNetworks,
    /// A sound file about something else.
    NothingUsable {
        /// What the file calls itself.
        kind: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Empty => f.write_str("the file is empty; expected a MaxMind DB (.mmdb) file"),
            Reason::Broken(what) => write!(f, "not a sound MaxMind DB file: {what}"),
            Reason::NoNetworks => f.write_str("the file holds no networks"),
            Reason::NothingUsable { kind } => write!(
                f,
                "no record of this {kind:?} file holds a country, coordinates or AS number under a known name; \
                 lookup paths can be configured"
            ),
        }
    }
}

impl std::error::Error for Error {}
