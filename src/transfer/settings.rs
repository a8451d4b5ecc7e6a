//! What the operator wants of zones that others have a part in.

use crate::wire::Name;
use crate::wire::tsig::Key;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Octets of differences that are remembered of a zone, where nothing is said. Our choice: some ten thousand records.
pub const JOURNAL_ROOM: usize = 1 << 20;

//----------- Settings -------------------------------------------------------

/// The settings of all zones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// For zones without settings of their own.
    pub everywhere: Arc<ZoneSettings>,
    /// By apex.
    pub zones: BTreeMap<Name, Arc<ZoneSettings>>,
    /// Most transfers that come in at a time.
    pub inbound: usize,
}

impl Settings {
    /// Those of a zone.
    pub fn of(&self, apex: &Name) -> &Arc<ZoneSettings> {
        self.zones.get(apex).unwrap_or(&self.everywhere)
    }
}

/// Zones of catalogs with the settings that they have from there.
pub type Members = BTreeMap<Name, Arc<ZoneSettings>>;

/// The settings of one zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneSettings {
    /// Which serial the zone gets when it changes.
    pub serial: SerialRule,
    /// Whether what changes is remembered, for incremental transfers.
    pub journaled: bool,
    /// How many octets of that.
    pub journal_room: usize,
    /// Whether others are to have the zone: they may fetch it, or are told of it.
    pub leaves: bool,
    /// Whether the zone is signed here and has serials of its own above these ([`crate::transfer::seal`]).
    pub is_sealed: bool,
    /// Whether updates may come.
    pub updated: bool,
    /// Whence the zone comes; empty: from its file.
    pub primaries: Vec<Server>,
    /// Whom to tell that it has changed.
    pub notify: Vec<Server>,
    /// What it says of other zones.
    pub catalog: Option<Catalog>,
}

impl Default for ZoneSettings {
    fn default() -> ZoneSettings {
        ZoneSettings {
            serial: SerialRule::File,
            journaled: false,
            journal_room: JOURNAL_ROOM,
            leaves: false,
            is_sealed: false,
            updated: false,
            primaries: Vec::new(),
            notify: Vec::new(),
            catalog: None,
        }
    }
}

/// Which serial a zone gets when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SerialRule {
    /// What its file says; an update, or a new signature, adds one.
    #[default]
    File,
    /// Seconds since 1970, or one more than before if that is not more.
    UnixTime,
    /// `YYYYMMDDnn`: the day in UTC and a counter; one more than before if that is not more.
    DateCounter,
}

/// What a catalog zone is to this server (RFC 9432).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalog {
    /// It lists the zones of this server's own files, and is made here.
    Producer,
    /// It comes from elsewhere, and every zone that it lists is fetched from its own primaries.
    Consumer,
}

/// Another server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it is.
    pub addr: SocketAddr,
    /// Signs what is sent to it, and must sign what comes from it.
    pub key: Option<Arc<Key>>,
    /// Spoken with over TLS (RFC 9103).
    pub tls: Option<Tls>,
}

/// How another server shows that it is the right one.
#[derive(Clone)]
pub struct Tls {
    /// The name that its certificate must be for.
    pub name: ServerName<'static>,
    /// The authorities that it may come from.
    pub config: Arc<ClientConfig>,
    /// The file of those, which tells two settings apart.
    pub ca: std::path::PathBuf,
}

impl PartialEq for Server {
    fn eq(&self, other: &Server) -> bool {
        let tls = |server: &Server| server.tls.as_ref().map(|tls| (tls.name.clone(), tls.ca.clone()));
        (self.addr, &self.key, tls(self)) == (other.addr, &other.key, tls(other))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?} {})", self.name, self.ca.display())
    }
}
