//! From `floodway.toml` to keys, rules and settings: who has a part in which zone.
//!
//! Like the sections of the house these are read anew by a reload.

use crate::cli::config::Config;
use crate::exchange::access::Prefixes;
use crate::exchange::rules::{Grant, Outbound, Owners, Rules, UpdateGrant, ZoneRules};
use crate::transfer::settings::{self, Catalog, JOURNAL_ROOM, SerialRule, Server, Settings, Tls};
use crate::wire::Name;
use crate::wire::tsig::{Algorithm, Key, Keys};
use crate::zone::rdata::parse_type;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The port of DNS, and of DNS over TLS (RFC 7858 section 3.1, RFC 9103 section 7.1).
const PORTS: (u16, u16) = (53, 853);
/// Least octets of a secret: RFC 8945 section 8 wants as many as the hash has; less than half of the shortest is a mistake.
const LEAST_SECRET: usize = 16;
/// Most transfers in at a time that can be set.
const MOST_INBOUND: usize = 1000;
/// Likewise out: each holds a version of its zone.
const MOST_OUTBOUND: usize = 1000;

//----------- Sections -------------------------------------------------------

/// `[[tsig]]`: a key that other servers and clients share with this one (RFC 8945).
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TsigKey {
    /// Its name, the same on both sides.
    pub name: String,
    /// `hmac-sha256` (default), `hmac-sha384` or `hmac-sha512`.
    #[serde(default = "default_algorithm")]
    pub algorithm: String,
    /// The secret in base 64.
    #[serde(default)]
    pub secret: Option<String>,
    /// A file with nothing but the secret, in base 64.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Least bits of a MAC that are taken, for clients that truncate. Default: all.
    #[serde(default)]
    pub least_mac_bits: Option<usize>,
}

fn default_algorithm() -> String {
    Algorithm::Sha256.name().to_string()
}

impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TsigKey({} {} …)", self.name, self.algorithm)
    }
}

/// `[transfer]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Transfer {
    /// Most transfers that come in at a time; default 16.
    pub inbound: usize,
    /// Most transfers that go out at a time; default 64. More are SERVFAIL, and asked for again.
    pub outbound: usize,
    /// Most of them to one client; default 16.
    pub outbound_per_client: usize,
}

impl Default for Transfer {
    fn default() -> Transfer {
        let Outbound { all, per_client } = Outbound::default();
        Transfer { inbound: 16, outbound: all, outbound_per_client: per_client }
    }
}

/// `[zone."example.com."]`; `[zone."*"]` is for all that have no table of their own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Zone {
    /// `file` (default), `unixtime` or `date-counter`.
    pub serial: Serial,
    /// Who may transfer it.
    pub allow_transfer: Vec<From>,
    /// Whether it leaves over TLS alone. Default no.
    pub transfer_over_tls: bool,
    /// Secondaries to tell of changes.
    pub notify: Vec<Endpoint>,
    /// Servers that it comes from, in the order in which they are asked; default none: it has a file.
    pub primaries: Vec<Endpoint>,
    /// Who else may say that it has changed; the primaries may.
    pub allow_notify: Vec<From>,
    /// Octets of differences to remember for incremental transfers. Default 1 MiB; 0: none.
    pub journal_size: Option<usize>,
    /// `producer` or `consumer` of a catalog (RFC 9432).
    pub catalog: Option<CatalogRole>,
    /// Who may change what by UPDATE.
    pub update: Vec<Update>,
}

impl Zone {
    /// The files that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.primaries.iter_mut().chain(&mut self.notify).filter_map(|endpoint| match endpoint {
            Endpoint::Full { ca, .. } => ca.as_mut(),
            Endpoint::Addr(_) => None,
        })
    }
}

/// Serial rules by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are those of the setting")]
pub enum Serial {
    #[default]
    File,
    Unixtime,
    DateCounter,
}

/// Roles of a catalog by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are those of the setting")]
pub enum CatalogRole {
    Producer,
    Consumer,
}

/// Who may: a prefix, or a prefix and a key, or a key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a prefix such as \"192.0.2.0/24\", or { from = [prefixes], key = \"name\" }"
)]
#[allow(missing_docs, reason = "the fields are those of the setting")]
pub enum From {
    Prefix(String),
    #[serde(rename_all = "kebab-case")]
    Both {
        from: Option<Vec<String>>,
        key: Option<String>,
    },
}

/// Another server: an address, with a port if it is not the usual one, or that with a key or TLS.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected an address such as \"192.0.2.1\", or { addr, key, tls = \"name in the certificate\", ca = \"file\" }"
)]
#[allow(missing_docs, reason = "the fields are those of the setting")]
pub enum Endpoint {
    Addr(String),
    #[serde(rename_all = "kebab-case")]
    Full {
        addr: String,
        key: Option<String>,
        tls: Option<String>,
        ca: Option<PathBuf>,
    },
}

/// `[[zone."example.com.".update]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Update {
    /// The key that must have signed.
    pub key: String,
    /// From where; left out: from anywhere.
    #[serde(default)]
    pub from: Option<Vec<String>>,
    /// Names relative to the zone: `www` that one, `*.dyn` all below, `@` the apex, `**` all; `_acme-challenge.*` all whose
    /// first label that is.
    pub names: Vec<String>,
    /// Types; left out: all.
    #[serde(default)]
    pub types: Option<Vec<String>>,
}

//----------- read -----------------------------------------------------------

/// Everything that the file says of other servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peers {
    /// The keys.
    pub keys: Keys,
    /// Who may.
    pub rules: Rules,
    /// What is to be done.
    pub settings: Settings,
}

/// Reads it; what is wrong goes to `wrong`, section and reason.
pub fn read(config: &Config, wrong: &mut dyn FnMut(&str, String)) -> Peers {
    let mut keys: Vec<Key> = Vec::new();
    for key in &config.tsig {
        match read_key(key) {
            Ok(made) if keys.iter().any(|other| other.name == made.name) => {
                wrong("tsig", format!("two keys are called {}", made.name));
            }
            Ok(made) => keys.push(made),
            Err(why) => wrong("tsig", format!("{}: {why}", key.name)),
        }
    }
    let mut reader = Reader { keys: Keys::new(keys), authorities: HashMap::new() };
    let (mut everywhere, mut rules, mut zones) = (Default::default(), Vec::new(), BTreeMap::new());
    for (name, table) in &config.zone {
        let apex = if name == "*" { Ok(Name::root()) } else { name.parse::<Name>().map_err(|e| e.to_string()) };
        let read = apex.and_then(|apex| Ok((reader.rules(table, &apex)?, reader.settings(table)?, apex)));
        match read {
            Ok((of_zone, settings, _)) if name == "*" => {
                if settings.catalog.is_some() || !settings.primaries.is_empty() {
                    wrong("zone.\"*\"", "catalog and primaries are for single zones".into());
                }
                everywhere = (of_zone, Arc::new(settings));
            }
            Ok((of_zone, settings, apex)) => {
                rules.push((apex.clone(), of_zone));
                if zones.insert(apex, Arc::new(settings)).is_some() {
                    wrong(&format!("zone.{name:?}"), "there is another table for this zone".into());
                }
            }
            Err(why) => wrong(&format!("zone.{name:?}"), why),
        }
    }
    let inbound = config.transfer.inbound;
    if !(1..=MOST_INBOUND).contains(&inbound) {
        wrong("transfer", format!("inbound = {inbound}: 1 to {MOST_INBOUND}"));
    }
    let Transfer { outbound, outbound_per_client: of_one, .. } = config.transfer;
    if !(1..=MOST_OUTBOUND).contains(&outbound) {
        wrong("transfer", format!("outbound = {outbound}: 1 to {MOST_OUTBOUND}"));
    }
    if !(1..=outbound).contains(&of_one) {
        wrong("transfer", format!("outbound-per-client = {of_one}: 1 to outbound, {outbound}"));
    }
    let (mut general, everywhere): (ZoneRules, _) = everywhere;
    // The zones of a catalog have no table, and come from where the catalog does.
    let is_consumer = |(apex, _): &&(Name, ZoneRules)| {
        zones.get(apex).is_some_and(|of_zone: &Arc<settings::ZoneSettings>| of_zone.catalog == Some(Catalog::Consumer))
    };
    general.notify.extend(rules.iter().filter(is_consumer).flat_map(|(_, of_zone)| of_zone.notify.iter().cloned()));
    Peers { keys: reader.keys, rules: Rules::new(general, rules), settings: Settings { everywhere, zones, inbound } }
}

fn read_key(key: &TsigKey) -> Result<Key, String> {
    let name = key.name.parse::<Name>().map_err(|e| e.to_string())?;
    let algorithm: Algorithm = key.algorithm.parse()?;
    let text = match (&key.secret, &key.secret_file) {
        (Some(text), None) => text.clone(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?,
        _ => return Err("give either secret or secret-file; `floodway keygen tsig` makes one".into()),
    };
    let secret = STANDARD.decode(text.trim()).map_err(|_| "the secret is not in base 64".to_string())?;
    if secret.len() < LEAST_SECRET {
        return Err(format!(
            "the secret has {} octets; at least {LEAST_SECRET}, and {} are best",
            secret.len(),
            algorithm.mac_len()
        ));
    }
    let mut made = Key::new(name, algorithm, &secret);
    if let Some(bits) = key.least_mac_bits {
        let (least, most) = (10.max(algorithm.mac_len() / 2) * 8, algorithm.mac_len() * 8);
        if !(least..=most).contains(&bits) || !bits.is_multiple_of(8) {
            return Err(format!(
                "least-mac-bits = {bits}: a multiple of 8 from {least} to {most} (RFC 8945 section 5.2.2.1)"
            ));
        }
        made.least_mac = bits / 8;
    }
    Ok(made)
}

/// Reads tables, with what they share.
struct Reader {
    keys: Keys,
    authorities: HashMap<PathBuf, Arc<rustls::ClientConfig>>,
}

impl Reader {
    fn key(&self, text: &str) -> Result<Arc<Key>, String> {
        let name = text.parse::<Name>().map_err(|e| format!("key {text:?}: {e}"))?;
        let key = self.keys.get(name.as_wire());
        key.cloned().ok_or_else(|| format!("key {text:?} is in no [[tsig]]"))
    }

    fn grant(&self, from: &From) -> Result<Grant, String> {
        match from {
            From::Prefix(text) => Ok(Grant { from: Some(Prefixes::parse(&[text])?), key: None }),
            From::Both { from: None, key: None } => {
                Err("an empty table would let everybody in; write \"0.0.0.0/0\" and \"::/0\"".into())
            }
            From::Both { from, key } => Ok(Grant {
                from: from.as_ref().map(|texts| Prefixes::parse(texts)).transpose()?,
                key: key.as_ref().map(|key| self.key(key)).transpose()?.map(|key| key.name.clone()),
            }),
        }
    }

    fn rules(&mut self, table: &Zone, apex: &Name) -> Result<ZoneRules, String> {
        let mut notify: Vec<Grant> =
            table.allow_notify.iter().map(|from| self.grant(from)).collect::<Result<_, _>>()?;
        for primary in &table.primaries {
            let server = self.server(primary)?;
            let from = Some(Prefixes::new([server.addr.ip().into()]));
            notify.push(Grant { from, key: server.key.map(|key| key.name.clone()) });
        }
        Ok(ZoneRules {
            transfer: table.allow_transfer.iter().map(|from| self.grant(from)).collect::<Result<_, _>>()?,
            only_over_tls: table.transfer_over_tls,
            notify,
            update: table.update.iter().map(|update| self.update(update, apex)).collect::<Result<_, _>>()?,
        })
    }

    fn update(&self, update: &Update, apex: &Name) -> Result<UpdateGrant, String> {
        let types = update.types.as_ref().map(|types| {
            types
                .iter()
                .map(|text| parse_type(text).ok_or_else(|| format!("{text:?} is no type")))
                .collect::<Result<_, _>>()
        });
        Ok(UpdateGrant {
            key: self.key(&update.key)?.name.clone(),
            from: update.from.as_ref().map(|texts| Prefixes::parse(texts)).transpose()?,
            names: update.names.iter().map(|text| owners(text, apex)).collect::<Result<_, _>>()?,
            types: types.transpose()?,
        })
    }

    fn settings(&mut self, table: &Zone) -> Result<settings::ZoneSettings, String> {
        let mut servers = |of: &[Endpoint]| of.iter().map(|one| self.server(one)).collect::<Result<Vec<_>, _>>();
        let (primaries, notify) = (servers(&table.primaries)?, servers(&table.notify)?);
        let journal_room = table.journal_size.unwrap_or(JOURNAL_ROOM);
        if !primaries.is_empty() && !table.update.is_empty() {
            return Err("a zone with primaries is changed there; update is for zones with a file".into());
        }
        if !primaries.is_empty() && table.serial != Serial::File {
            return Err("a zone with primaries has their serial".into());
        }
        let catalog = match (table.catalog, primaries.is_empty()) {
            (Some(CatalogRole::Consumer), true) => {
                return Err("a consumer's catalog comes from primaries; name them".into());
            }
            (Some(CatalogRole::Producer), false) => {
                return Err("a producer's catalog is made here, and has no primaries".into());
            }
            (role, _) => {
                role.map(|role| if role == CatalogRole::Consumer { Catalog::Consumer } else { Catalog::Producer })
            }
        };
        if let Some(no_use) = notify.iter().find(|server| server.tls.is_some()) {
            return Err(format!("notify {}: NOTIFY goes over UDP, without TLS", no_use.addr));
        }
        Ok(settings::ZoneSettings {
            serial: match table.serial {
                Serial::File => SerialRule::File,
                Serial::Unixtime => SerialRule::UnixTime,
                Serial::DateCounter => SerialRule::DateCounter,
            },
            journaled: journal_room > 0 && !table.allow_transfer.is_empty(),
            journal_room,
            leaves: !table.allow_transfer.is_empty() || !notify.is_empty(),
            is_sealed: false,
            updated: !table.update.is_empty(),
            primaries,
            notify,
            catalog,
        })
    }

    fn server(&mut self, endpoint: &Endpoint) -> Result<Server, String> {
        let (addr, key, tls, ca) = match endpoint {
            Endpoint::Addr(addr) => (addr, None, None, None),
            Endpoint::Full { addr, key, tls, ca } => (addr, key.as_ref(), tls.as_ref(), ca.as_ref()),
        };
        let port = if tls.is_some() { PORTS.1 } else { PORTS.0 };
        let with_port = addr.parse::<SocketAddr>().or_else(|_| addr.parse::<IpAddr>().map(|ip| (ip, port).into()));
        let addr = with_port
            .map_err(|_| format!("{addr:?} is no address; \"192.0.2.1\" or \"[2001:db8::1]:5353\" would be one"))?;
        let tls = match (tls, ca) {
            (None, None) => None,
            (Some(name), Some(ca)) => Some(self.tls(name, ca)?),
            _ => return Err(format!("{addr}: tls (a name) and ca (a file with the authorities) go together")),
        };
        Ok(Server { addr, key: key.map(|key| self.key(key)).transpose()?, tls })
    }

    fn tls(&mut self, name: &str, ca: &Path) -> Result<Tls, String> {
        let name =
            ServerName::try_from(name.to_string()).map_err(|_| format!("tls = {name:?} is no name of a server"))?;
        if let Some(config) = self.authorities.get(ca) {
            return Ok(Tls { name, config: config.clone(), ca: ca.to_path_buf() });
        }
        let of_file = |e: String| format!("ca {}: {e}", ca.display());
        let mut roots = rustls::RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca).map_err(|e| of_file(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| of_file(e.to_string()))?;
            roots.add(certificate).map_err(|e| of_file(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(of_file("no certificate in it".into()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        // RFC 9103 section 7.1 asks for TLS 1.3, and section 7.2 for this token.
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(|e| e.to_string())?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"dot".to_vec()];
        let config = Arc::new(config);
        self.authorities.insert(ca.to_path_buf(), config.clone());
        Ok(Tls { name, config, ca: ca.to_path_buf() })
    }
}

/// Names that an update may touch, out of text; see [`Update::names`].
fn owners(text: &str, apex: &Name) -> Result<Owners, String> {
    let name = |text: &str| Name::parse(text, apex).map_err(|e| format!("name {text:?}: {e}"));
    if text == "**" {
        return Ok(Owners::Within(apex.clone()));
    }
    if let Some(label) = text.strip_suffix(".*") {
        let one = label.parse::<Name>().ok().filter(|name| name.n_labels() == 1);
        let one = one.ok_or_else(|| format!("name {text:?}: one label stands before \".*\""))?;
        return Ok(Owners::Label(one.labels().next().unwrap_or_default().into()));
    }
    match text.strip_prefix("*.") {
        Some(rest) => name(rest).map(Owners::Within),
        None => name(text).map(Owners::Exactly),
    }
}

/// Says which tables are for zones that are not served.
pub fn idle<'p>(peers: &'p Peers, is_served: impl Fn(&Name) -> bool + 'p) -> impl Iterator<Item = String> + 'p {
    let idle = peers
        .settings
        .zones
        .iter()
        .filter(move |(apex, of)| of.primaries.is_empty() && of.catalog.is_none() && !is_served(apex));
    idle.map(|(apex, _)| format!("[zone.\"{apex}\"] is no zone of this server; a zone without a file needs primaries"))
}

#[cfg(test)]
mod tests;
