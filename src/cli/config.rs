//! `floodway.toml`: where this process listens and where its files are.
//!
//! Every key is optional and unknown keys are refused. Policies decide what is answered; this file
//! only places the process. Relative paths are relative to the file they stand in, or to the working
//! directory when there is no file.

use crate::cli::dnssec::config::Dnssec;
use crate::cli::house;
use crate::cli::peers;
use crate::cli::settled;
use crate::control;
use crate::events;
use crate::geo;
use crate::probe;
use crate::store;
use crate::telemetry;
use crate::transport;
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

//----------- Config ---------------------------------------------------------

/// The file that is read when `--config` is not given and it exists in the working directory.
pub const DEFAULT_FILE: &str = "floodway.toml";

/// Most UDP threads per address: each has a socket and a page of every counter.
const MAX_THREADS: usize = 256;

/// Longest idle time, in seconds: what edns-tcp-keepalive can tell is a little more (RFC 7828 section 3.1).
const IDLE_MAX: u64 = 6000;

/// Most of anything that is counted by one: more than the descriptors of a process (our choice).
const MAX_LIMIT: usize = 1_000_000;

/// Longest queue of connections that bring data in their SYN: the kernel caps it at `somaxconn`, 16 bits of old.
const MAX_FAST_OPEN: usize = 65_535;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// `[listen]`.
    pub listen: Listen,
    /// `[zones]`.
    pub zones: Zones,
    /// `[geoip]`.
    pub geoip: GeoIp,
    /// `[state]`.
    pub state: StateDir,
    /// `[store]`.
    pub store: store::Config,
    /// `[forecast]`.
    pub forecast: control::foresight::Config,
    /// `[events]`.
    pub events: events::Config,
    /// `[probe]`.
    pub probe: probe::Config,
    /// `[grpc]`.
    pub grpc: telemetry::listen::Config,
    /// `[admin]`.
    pub admin: Admin,
    /// `[tcp]`.
    pub tcp: Tcp,
    /// `[rate-limit]`.
    pub rate_limit: transport::rate::Config,
    /// `[server]`.
    pub server: Identity,
    /// `[tls]`; without it nothing is encrypted.
    pub tls: Option<transport::certificate::Files>,
    /// `[https]`.
    pub https: Https,
    /// `[proxy]`.
    pub proxy: Proxy,
    /// `[dnstap]`.
    pub dnstap: transport::tap::Config,
    /// `[xdp]`.
    pub xdp: transport::xdp::Config,
    /// `[log]`.
    pub log: Log,
    /// `[identity]`.
    pub identity: house::Identity,
    /// `[cookies]`.
    pub cookies: house::Cookies,
    /// `[ecs]`.
    pub ecs: house::Ecs,
    /// `[access]`.
    pub access: house::Access,
    /// `[debug]`.
    pub debug: house::Debug,
    /// `[[tsig]]`.
    pub tsig: Vec<peers::TsigKey>,
    /// `[transfer]`.
    pub transfer: peers::Transfer,
    /// `[zone."…"]`.
    pub zone: BTreeMap<String, peers::Zone>,
    /// `[dnssec]`.
    pub dnssec: Dnssec,
    /// Where this was read from, to be read again; `None`: the defaults.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Sockets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Listen {
    /// UDP and TCP addresses for DNS; port 0 takes a free one. Default `127.0.0.1:5300`: unprivileged
    /// and loopback, so that a first run neither needs rights nor shows itself to anyone.
    pub dns: Vec<SocketAddr>,
    /// DNS over TLS (RFC 7858, usually port 853); default none. Needs `[tls]`, as `https` and `quic` do.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS (RFC 8484, usually port 443), HTTP/2 and 1.1; default none.
    pub https: Vec<SocketAddr>,
    /// Whether HTTP/3 is served on the UDP ports of the same numbers; default yes.
    pub http3: bool,
    /// DNS over HTTP without TLS, for a proxy that has it; default none.
    pub http: Vec<SocketAddr>,
    /// DNS over QUIC (RFC 9250, usually port 853); default none.
    pub quic: Vec<SocketAddr>,
    /// UDP threads; 0 (default) is one per core.
    pub threads: usize,
    /// Threads for connections of every kind; default 1.
    pub stream_threads: usize,
    /// gRPC for telemetry and steering; default `127.0.0.1:5301`.
    pub grpc: SocketAddr,
    /// HTTP for metrics and state; default `127.0.0.1:5302`.
    pub admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Listen {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Listen {
            dns: vec![loopback(5300)],
            tls: Vec::new(),
            https: Vec::new(),
            http3: true,
            http: Vec::new(),
            quic: Vec::new(),
            threads: 0,
            stream_threads: 1,
            grpc: loopback(5301),
            admin: loopback(5302),
        }
    }
}

impl Listen {
    /// Finds an address that two services would listen on.
    fn check(&self) -> Result<(), String> {
        let (udp, tcp, neither) = ("UDP", "TCP", "");
        let h3 = if self.http3 { udp } else { neither };
        let lists = [
            ("dns", &self.dns[..], [udp, tcp]),
            ("tls", &self.tls, [tcp, neither]),
            ("https", &self.https, [tcp, h3]),
            ("http", &self.http, [tcp, neither]),
            ("quic", &self.quic, [udp, neither]),
            ("grpc", std::slice::from_ref(&self.grpc), [tcp, neither]),
            ("admin", std::slice::from_ref(&self.admin), [tcp, neither]),
        ];
        let mut taken = HashMap::new();
        for (key, addrs, protocols) in lists {
            for addr in addrs.iter().filter(|addr| addr.port() != 0) {
                for protocol in protocols.into_iter().filter(|protocol| !protocol.is_empty()) {
                    if let Some(other) = taken.insert((*addr, protocol), key) {
                        return Err(format!("[listen] {key}: {addr} over {protocol} is taken by {other}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where zones and policies are.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Zones {
    /// Folder of `*.zone` and `*.policy`; default `zones`.
    pub dir: PathBuf,
    /// Whether a change in the folder reloads by itself; default yes.
    pub watch: bool,
}

impl Default for Zones {
    fn default() -> Zones {
        Zones { dir: "zones".into(), watch: true }
    }
}

/// GeoIP databases.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeoIp {
    /// MMDB files, the first that knows a thing decides it; none (default): the small one built in.
    pub files: Vec<PathBuf>,
    /// Where the databases keep each field, for layouts that are not known: `country = ["geo.cc"]`, …
    pub paths: geo::Paths,
}

/// Where the process keeps what survives a restart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateDir {
    /// Folder, made when needed; default `state`.
    pub dir: PathBuf,
}

impl Default for StateDir {
    fn default() -> StateDir {
        StateDir { dir: "state".into() }
    }
}

/// The admin listener beyond its address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Admin {
    /// Allows an address that is not loopback; the listener has no authentication of its own.
    pub allow_remote: bool,
}

/// Limits of connections, whatever is spoken on them; `transport` has the reasons of the defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tcp {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one client (IPv4 address or IPv6 /56).
    pub per_client: usize,
    /// Seconds that a connection may wait for a query.
    pub idle_seconds: u64,
    /// Connections of each listener that may bring data in their SYN (TCP Fast Open, RFC 7413); 0, the default, for none.
    pub fast_open: usize,
}

impl Default for Tcp {
    fn default() -> Tcp {
        let limits = transport::Config::default();
        Tcp {
            connections: limits.max_connections,
            per_client: limits.max_per_client,
            idle_seconds: limits.pace.idle.as_secs(),
            fast_open: limits.fast_open,
        }
    }
}

/// DNS over HTTPS beyond its addresses.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Https {
    /// The path of queries; default `/dns-query`.
    pub path: String,
}

impl Default for Https {
    fn default() -> Https {
        Https { path: transport::Config::default().path }
    }
}

/// Proxies in front, such as dnsdist.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Addresses and prefixes of proxies that put a PROXY header (version 2) before everything they send, over UDP and
    /// TCP; it is required of them and refused from others. Default none.
    pub from: Vec<String>,
}

impl Proxy {
    /// The prefixes.
    ///
    /// # Errors
    /// A text for people, for what is neither an address nor a prefix.
    pub fn nets(&self) -> Result<Vec<IpNet>, String> {
        let net = |text: &String| {
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            net.ok_or_else(|| {
                format!("[proxy] from: {text:?} is no address and no prefix; `192.0.2.0/24` would be one")
            })
        };
        self.from.iter().map(net).collect()
    }
}

/// Who the process is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// User to become once the ports are taken, for a process that root starts; default: stays who it is.
    pub user: Option<String>,
    /// Group likewise; default: the user's own.
    pub group: Option<String>,
}

/// What goes to standard error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `tracing` filter such as `info` or `floodway=debug`; the environment's `FLOODWAY_LOG` wins. Default `info`.
    pub filter: String,
    /// `text` (default) or `json`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Log {
        Log { filter: "info".into(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

impl Config {
    /// Reads `file`, or [`DEFAULT_FILE`] where it exists, or takes the defaults.
    ///
    /// # Errors
    /// A text for people, with file, line and column where the fault has them.
    pub fn read(file: Option<&Path>) -> Result<Config, String> {
        let path = match file {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => {
                let mut config = Config::default();
                config.place(Path::new(""));
                return Ok(config);
            }
        };
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut config = Config::parse(&text, &path.display().to_string())?;
        config.place(path.parent().unwrap_or(Path::new("")));
        config.file = Some(path.to_path_buf());
        config.check().map_err(|e| format!("{}: error: {e}", path.display()))?;
        Ok(config)
    }

    /// Reads the text of a file called `name`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, name: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|e| {
            let before = &text[..e.span().map_or(0, |s| s.start)];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let quoted = text.lines().nth(line - 1).unwrap_or("");
            format!("{name}:{line}:{column}: error: {}\n  {quoted}", e.message())
        })
    }

    /// What types cannot say.
    fn check(&self) -> Result<(), String> {
        if self.listen.dns.is_empty() {
            return Err(
                "[listen] dns is empty: nothing would be answered; `dns = [\"127.0.0.1:5300\"]` would do".into()
            );
        }
        if self.listen.threads > MAX_THREADS {
            return Err(format!("[listen] threads = {}: at most {MAX_THREADS}", self.listen.threads));
        }
        if self.server.group.is_some() && self.server.user.is_none() {
            return Err("[server] group without user: name the user, too".into());
        }
        self.store.check()?;
        self.forecast.check()?;
        self.events.check()?;
        self.probe.check()?;
        crate::cli::forecast::clock::daylight(&self.forecast.zone).map_err(|e| format!("[forecast] zone: {e}"))?;
        self.dnstap.check()?;
        self.xdp.check()?;
        self.rate_limit.check()?;
        self.dnssec.check()?;
        if !(1..=MAX_THREADS).contains(&self.listen.stream_threads) {
            return Err(format!("[listen] stream-threads = {}: 1 to {MAX_THREADS}", self.listen.stream_threads));
        }
        if !(1..=IDLE_MAX).contains(&self.tcp.idle_seconds) {
            return Err(format!("[tcp] idle-seconds = {}: 1 to {IDLE_MAX}", self.tcp.idle_seconds));
        }
        if !self.https.path.starts_with('/') || self.https.path.contains(['?', '#', '{', '%', ' ']) {
            return Err(format!("[https] path = {:?}: a path from the root, such as `/dns-query`", self.https.path));
        }
        let listen = &self.listen;
        let encrypted = [("tls", &listen.tls), ("https", &listen.https), ("quic", &listen.quic)];
        if let (None, Some((key, _))) = (&self.tls, encrypted.iter().find(|(_, addrs)| !addrs.is_empty())) {
            return Err(format!(
                "[listen] {key} needs a certificate: name `cert` and `key` in [tls] (`floodway keygen tls` makes a pair for tests)"
            ));
        }
        self.proxy.nets()?;
        self.listen.check()?;
        self.check_limits()
    }

    /// Limits that would turn everybody away, and settings that contradict each other.
    fn check_limits(&self) -> Result<(), String> {
        let at_least_one = [
            ("[tcp] connections", self.tcp.connections),
            ("[tcp] per-client", self.tcp.per_client),
            ("[grpc] max-connections", self.grpc.max_connections),
            ("[grpc] max-streams", self.grpc.max_streams),
        ];
        for (key, n) in at_least_one {
            if !(1..=MAX_LIMIT).contains(&n) {
                return Err(format!("{key} = {n}: 1 to {MAX_LIMIT}"));
            }
        }
        let rate = self.grpc.samples_per_second;
        if !(rate.is_finite() && rate >= 1.0) {
            return Err(format!("[grpc] samples-per-second = {rate}: at least 1"));
        }
        if self.tcp.fast_open > MAX_FAST_OPEN {
            return Err(format!("[tcp] fast-open = {}: at most {MAX_FAST_OPEN}; 0 for none", self.tcp.fast_open));
        }
        if self.cookies.required && !self.cookies.enabled {
            return Err("[cookies] required without enabled: nobody could have a cookie".into());
        }
        Ok(())
    }

    /// Makes relative paths relative to `base`.
    fn place(&mut self, base: &Path) {
        let mut all = vec![&mut self.zones.dir, &mut self.dnssec.keys];
        // systemd's folder, where the state has no other (`StateDirectory=` in a unit).
        match (std::env::var_os("STATE_DIRECTORY"), self.state == StateDir::default()) {
            (Some(dir), true) => self.state.dir = dir.into(),
            _ => all.push(&mut self.state.dir),
        }
        all.extend(&mut self.geoip.files);
        all.extend(self.events.dir.iter_mut().chain(&mut self.probe.ca));
        if let Some(tls) = &mut self.tls {
            all.extend([&mut tls.cert, &mut tls.key]);
        }
        all.extend(self.dnstap.socket.iter_mut().chain(&mut self.dnstap.file));
        all.extend(&mut self.cookies.secret_file);
        all.extend(self.tsig.iter_mut().filter_map(|key| key.secret_file.as_mut()));
        all.extend(self.zone.values_mut().flat_map(peers::Zone::files));
        if let Some(tls) = &mut self.grpc.tls {
            all.extend([&mut tls.cert, &mut tls.key, &mut tls.client_ca]);
        }
        for path in all {
            *path = base.join(&path);
        }
    }

    /// These settings with the sections that a reload reads anew as they stand in the file now; and the other sections that
    /// have changed in it.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_again(&self) -> Result<(Config, Vec<&'static str>), String> {
        let Some(file) = &self.file else { return Ok((self.clone(), Vec::new())) };
        let there = Config::read(Some(file))?;
        let changed = settled::changed(self, &there);
        let Config { identity, cookies, ecs, access, debug, tsig, transfer, zone, dnssec, .. } = there;
        Ok((Config { identity, cookies, ecs, access, debug, tsig, transfer, zone, dnssec, ..self.clone() }, changed))
    }

    /// Number of UDP threads: as configured, or one per core.
    pub fn n_threads(&self) -> usize {
        match self.listen.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
