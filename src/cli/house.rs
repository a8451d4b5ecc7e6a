//! From `floodway.toml` to the [`House`]: what the server says of itself, and whom it answers.
//!
//! Unlike the rest of the file, these sections are read anew by a reload.

use crate::cli::config::Config;
use crate::cli::peers::{self, Peers};
use crate::exchange::House;
use crate::exchange::access::{Access as Lists, Prefixes};
use crate::exchange::house::{self, ClientSubnets, DebugZone, MAX_NSID, Secret};
use crate::exchange::rules::Outbound;
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::wire::Name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

//----------- Sections -------------------------------------------------------

/// `[identity]`: what it says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Identity {
    /// What `version.bind` and `version.server` (CH TXT) say; `""`: REFUSED. Default `floodway`: which software it is
    /// helps those who call for help, which release it is helps attackers more.
    pub version: String,
    /// Which server this is, for NSID, `id.server` and `hostname.bind`: text, or hex digits after `0x`. Default `""`:
    /// not told, since the name of a machine is nobody's business until its operator says so.
    pub nsid: String,
    /// Longest reply over UDP and the size that OPT tells, 512 to 4,096 octets. Default 1,232 (RFC 9715).
    pub udp_size: u16,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { version: "floodway".into(), nsid: String::new(), udp_size: House::default().udp_size }
    }
}

/// `[cookies]` (RFC 7873, RFC 9018).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Cookies {
    /// Default yes.
    pub enabled: bool,
    /// Secrets, 32 hex digits a line, the one that makes cookies first, then the one before and the next: the same file
    /// on all servers of one address. Default none: a secret of this process alone.
    pub secret_file: Option<PathBuf>,
    /// Whether clients that know cookies must bring one over UDP. Default no.
    pub required: bool,
}

impl Default for Cookies {
    fn default() -> Cookies {
        Cookies { enabled: true, secret_file: None, required: false }
    }
}

/// `[ecs]`: whose client subnets count, and how much of them (RFC 7871).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Ecs {
    /// Resolvers whose option counts; left out: all.
    pub trusted: Option<Vec<String>>,
    /// Most bits of an IPv4 prefix that count, and longest scope. Default 32: what resolvers send, which is mostly 24.
    pub ipv4_bits: u8,
    /// The same for IPv6. Default 128: mostly 56 is sent.
    pub ipv6_bits: u8,
}

impl Default for Ecs {
    fn default() -> Ecs {
        Ecs { trusted: None, ipv4_bits: 32, ipv6_bits: 128 }
    }
}

/// `[access]`: who may ask.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Access {
    /// Who may ask for zones without a list of their own; left out: everybody.
    pub allow_query: Option<Vec<String>>,
    /// `[access.zones."internal.example."]`: lists that stand in place of the general one.
    pub zones: BTreeMap<String, ZoneAccess>,
}

/// Who may ask for one zone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZoneAccess {
    /// Prefixes and addresses; empty: nobody.
    pub allow_query: Vec<String>,
}

/// `[debug]`: the zone of class CH that explains answers and tells the server's state.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Debug {
    /// Its apex; `""`: there is none. Default `floodway.`
    pub zone: String,
    /// Who may ask. Default this machine alone.
    pub allow_query: Vec<String>,
}

impl Default for Debug {
    fn default() -> Debug {
        Debug { zone: "floodway.".into(), allow_query: vec!["127.0.0.0/8".into(), "::1".into()] }
    }
}

//----------- read -----------------------------------------------------------

/// Makes the house of what the file says. What is wrong goes into the report, and then there is none.
///
/// `before`: the house of the snapshot so far; a secret of this process alone is taken over from it, so that clients
/// keep their cookies.
pub fn read(config: &Config, before: Option<&House>, report: &mut Report) -> Option<House> {
    read_with_peers(config, before, report).map(|(house, _)| house)
}

/// As [`read`]; with it, what the file says of other servers.
pub fn read_with_peers(config: &Config, before: Option<&House>, report: &mut Report) -> Option<(House, Peers)> {
    let mut wrong = |section: &str, why: String| {
        let file = config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
        report.push(problem(file, Severity::Error, format!("[{section}] {why}")));
    };
    let mut lists = |section: &str, texts: &[String]| {
        Prefixes::parse(texts).unwrap_or_else(|why| {
            wrong(section, why);
            Prefixes::default()
        })
    };
    let everywhere = config.access.allow_query.as_ref().map(|texts| lists("access", texts));
    let trusted = config.ecs.trusted.as_ref().map(|texts| lists("ecs", texts));
    let debuggers = lists("debug", &config.debug.allow_query);
    let zones: Vec<(&String, Prefixes)> =
        config.access.zones.iter().map(|(apex, list)| (apex, lists("access.zones", &list.allow_query))).collect();
    let mut name = |section: &str, text: &str| match text.parse::<Name>() {
        Ok(name) => Some(name),
        Err(why) => {
            wrong(section, format!("{text:?}: {why}"));
            None
        }
    };
    let zones: Vec<_> =
        zones.into_iter().filter_map(|(apex, list)| Some((name("access.zones", apex)?, list))).collect();
    let debug = match config.debug.zone.as_str() {
        "" => None,
        apex => name("debug", apex).map(|apex| DebugZone { apex, access: debuggers }),
    };
    let nsid = nsid(&config.identity.nsid).unwrap_or_else(|why| {
        wrong("identity", why);
        Vec::new()
    });
    if config.identity.version.len() > 255 {
        wrong("identity", "version is longer than 255 octets, the most that one string of a TXT record holds".into());
    }
    if !(512..=4096).contains(&config.identity.udp_size) {
        wrong(
            "identity",
            format!("udp-size = {}: 512 to 4096 octets; 1232 is never fragmented", config.identity.udp_size),
        );
    }
    if config.ecs.ipv4_bits > 32 || config.ecs.ipv6_bits > 128 {
        wrong("ecs", "ipv4-bits goes up to 32 and ipv6-bits up to 128".into());
    }
    let cookies = cookies(&config.cookies, before).unwrap_or_else(|why| {
        wrong("cookies", why);
        None
    });
    let peers = peers::read(config, &mut wrong);
    let house = House {
        udp_size: config.identity.udp_size,
        idle_100ms: u16::try_from(config.tcp.idle_seconds * 10).unwrap_or(u16::MAX),
        version: config.identity.version.clone(),
        nsid,
        cookies,
        ecs: (config.ecs != Ecs::default()).then_some(ClientSubnets {
            trusted,
            ipv4_bits: config.ecs.ipv4_bits,
            ipv6_bits: config.ecs.ipv6_bits,
        }),
        access: Lists::new(everywhere, zones),
        debug,
        keys: peers.keys.clone(),
        rules: peers.rules.clone(),
        outbound: Outbound { all: config.transfer.outbound, per_client: config.transfer.outbound_per_client },
    };
    (!report.has_errors()).then_some((house, peers))
}

/// Says which lists are for zones that are not served, and where addresses are not those of clients.
pub fn warn_of_idle_lists(house: &House, zones: &crate::zone::ZoneSet, config: &Config, report: &mut Report) {
    let file = config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
    for apex in house.access.zones().filter(|apex| zones.zone(apex).is_none()) {
        let what = format!("[access.zones] {apex} is no zone of this server; the list guards nothing");
        report.push(problem(file, Severity::Warning, what));
    }
    if !config.listen.http.is_empty() && config.proxy.from.is_empty() {
        let what = "[listen] http without [proxy] from: all clients have the address of whatever takes their TLS off, in \
                    access lists, limits and steering; have it send a PROXY header and name it there";
        report.push(problem(file, Severity::Warning, what.into()));
    }
}

/// Text as it is, or octets as hex digits after `0x`.
fn nsid(text: &str) -> Result<Vec<u8>, String> {
    let octets = match text.strip_prefix("0x") {
        None => text.as_bytes().to_vec(),
        Some(hex) => {
            let octet = |i: usize| hex.get(i..i + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
            let octets: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(octet).collect();
            octets.ok_or_else(|| format!("nsid = {text:?}: pairs of hex digits follow 0x"))?
        }
    };
    match octets.len() {
        0..=MAX_NSID => Ok(octets),
        n => Err(format!("nsid has {n} octets; more than {MAX_NSID} would not fit into every reply")),
    }
}

fn cookies(config: &Cookies, before: Option<&House>) -> Result<Option<house::Cookies>, String> {
    if !config.enabled {
        return Ok(None);
    }
    let kept = before.and_then(|house| house.cookies.as_ref()).map(|cookies| cookies.secrets.clone());
    let secrets = match (&config.secret_file, kept) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            Secret::parse_all(&text).map_err(|e| format!("{}: {e}", file.display()))?
        }
        (None, Some(kept)) => kept,
        (None, None) => vec![random_secret().map_err(|e| format!("no random numbers from the system: {e}"))?],
    };
    Ok(Some(house::Cookies { secrets, required: config.required }))
}

fn random_secret() -> std::io::Result<Secret> {
    let mut octets = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(Secret(octets))
}

/// A problem of a file as a whole.
pub fn problem(file: &Path, severity: Severity, message: String) -> Diagnostic {
    let file = file.display().to_string().into();
    Diagnostic { severity, file, line: 0, column: 0, width: 0, text: String::new(), message, help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(toml: &str) -> Result<House, String> {
        let config = Config::parse(toml, "x").unwrap();
        let mut report = Report::default();
        read(&config, None, &mut report).ok_or_else(|| report.to_string())
    }

    #[test]
    fn the_house_is_what_the_file_says() {
        let plain = house("").unwrap();
        assert_eq!((plain.udp_size, plain.version.as_str(), plain.nsid.len()), (1232, "floodway", 0));
        assert_eq!(plain.debug.unwrap().access, Prefixes::loopback());
        assert!(plain.ecs.is_none(), "everybody's client subnets, all of them, without asking any list");
        assert_eq!(plain.cookies.unwrap().secrets.len(), 1);
        assert_eq!(plain.idle_100ms, 100);
        let said =
            house("[identity]\nnsid = \"0x00fF\"\nversion = \"\"\n[cookies]\nenabled = false\n[debug]\nzone = \"\"")
                .unwrap();
        assert_eq!((said.nsid, said.version, said.cookies, said.debug), (vec![0, 255], String::new(), None, None));
        let ecs = house("[ecs]\ntrusted = [\"192.0.2.0/24\"]").unwrap().ecs.unwrap();
        assert_eq!((ecs.trusts([192, 0, 2, 1].into()), ecs.trusts([192, 0, 3, 1].into())), (true, false));
        let access =
            house("[access]\nallow-query = []\n[access.zones.\"a.test\"]\nallow-query = [\"::/0\"]").unwrap().access;
        assert!(!access.admits_in_general([192, 0, 2, 1].into()) && access.zones().count() == 1);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (toml, expected) in [
            ("[identity]\nnsid = \"0xabc\"", "[identity] nsid = \"0xabc\": pairs of hex digits follow 0x"),
            ("[identity]\nudp-size = 100", "[identity] udp-size = 100: 512 to 4096 octets"),
            ("[ecs]\nipv4-bits = 33", "[ecs] ipv4-bits goes up to 32"),
            ("[access]\nallow-query = [\"here\"]", "[access] \"here\" is no prefix"),
            ("[access.zones.\"a..b\"]\nallow-query = []", "[access.zones] \"a..b\": "),
            ("[debug]\nzone = \"..\"", "[debug] \"..\": "),
            ("[cookies]\nsecret-file = \"/nowhere/secret\"", "[cookies] /nowhere/secret: "),
        ] {
            let said = house(toml).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    /// A secret of this process alone stays when the rest is read anew; a file's is the file's.
    #[test]
    fn a_reload_keeps_cookies_good() {
        let before = house("").unwrap();
        let read_again = |toml: &str| read(&Config::parse(toml, "x").unwrap(), Some(&before), &mut Report::default());
        assert_eq!(read_again("").unwrap().cookies, before.cookies);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "e5e973e5a6b2a43f48e7dc849e37bfcf\n").unwrap();
        let toml = format!("[cookies]\nsecret-file = {:?}", file.display().to_string());
        assert_eq!(read_again(&toml).unwrap().cookies.unwrap().secrets[0].0[..2], [0xe5, 0xe9]);
        assert_ne!(house("").unwrap().cookies, before.cookies, "another process has another");
    }
}
