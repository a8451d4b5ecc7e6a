//! Which settings a running server does not read anew, so that nobody believes in a change that has done nothing.

use crate::cli::config::{Config, Listen};
use std::net::SocketAddr;

/// The sections of `file`, as it stands now, that differ from what the process runs with and that only a restart or a
/// takeover puts to work.
pub fn changed(running: &Config, file: &Config) -> Vec<&'static str> {
    // What a reload reads anew, and where the file is, is not compared.
    let Config {
        listen,
        zones,
        geoip,
        state,
        store,
        forecast,
        events,
        probe,
        grpc,
        admin,
        tcp,
        rate_limit,
        xdp,
        server,
        tls,
        https,
        proxy,
        dnstap,
        log,
        identity: _,
        cookies: _,
        ecs: _,
        access: _,
        debug: _,
        tsig: _,
        transfer: _,
        zone: _,
        dnssec: _,
        file: _,
    } = file;
    let sections = [
        ("listen", running.listen == with_ports(listen, &running.listen)),
        ("zones", running.zones == *zones),
        ("geoip", running.geoip == *geoip),
        ("state", running.state == *state),
        ("store", running.store == *store),
        ("forecast", running.forecast == *forecast),
        ("events", running.events == *events),
        ("probe", running.probe == *probe),
        ("grpc", running.grpc == *grpc),
        ("admin", running.admin == *admin),
        ("tcp", running.tcp == *tcp),
        ("rate-limit", running.rate_limit == *rate_limit),
        ("xdp", running.xdp == *xdp),
        ("server", running.server == *server),
        ("tls", running.tls == *tls),
        ("https", running.https == *https),
        ("proxy", running.proxy == *proxy),
        ("dnstap", running.dnstap == *dnstap),
        ("log", running.log == *log),
    ];
    sections.into_iter().filter(|(_, is_same)| !is_same).map(|(section, _)| section).collect()
}

/// `wanted` with the ports of `had` where any port is asked for: a successor has put the real ones in.
fn with_ports(wanted: &Listen, had: &Listen) -> Listen {
    let mut filled = wanted.clone();
    let fill = |wanted: &mut SocketAddr, had: &SocketAddr| {
        if wanted.port() == 0 && wanted.ip() == had.ip() {
            *wanted = *had;
        }
    };
    let lists = [
        (&mut filled.dns, &had.dns),
        (&mut filled.tls, &had.tls),
        (&mut filled.https, &had.https),
        (&mut filled.http, &had.http),
        (&mut filled.quic, &had.quic),
    ];
    for (wanted, had) in lists {
        wanted.iter_mut().zip(had).for_each(|(wanted, had)| fill(wanted, had));
    }
    fill(&mut filled.grpc, &had.grpc);
    fill(&mut filled.admin, &had.admin);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_leaves_as_it_was_is_named() {
        let check = |running: &str, file: &str, expected: &[&str]| {
            let [running, file] = [running, file].map(|toml| Config::parse(toml, "x").unwrap());
            assert_eq!(changed(&running, &file), expected);
        };
        check("", "", &[]);
        check("", "[geoip]\nfiles = [\"a.mmdb\"]\n[log]\nfilter = \"debug\"", &["geoip", "log"]);
        check("", "[rate-limit]\nper-second = 9\n[tcp]\nper-client = 9", &["tcp", "rate-limit"]);
        check("", "[identity]\nnsid = \"a\"\n[access]\nallow-query = []", &[]);
        check("[listen]\ndns = [\"127.0.0.1:99\"]", "[listen]\ndns = [\"127.0.0.1:0\"]", &[]);
        check("[listen]\ndns = [\"127.0.0.1:99\"]", "[listen]\ndns = [\"127.0.0.1:98\"]", &["listen"]);
    }
}
