use super::*;

#[test]
fn every_key_is_optional() {
    assert_eq!(Config::parse("", "x"), Ok(Config::default()));
    let c = Config::parse("[listen]\nthreads = 3\n[geoip]\nfiles = [\"a.mmdb\"]\n", "x").unwrap();
    assert_eq!((c.n_threads(), c.listen.grpc.port(), c.geoip.files.len()), (3, 5301, 1));
}

#[test]
fn unknown_keys_are_refused_by_name_and_place() {
    let e = Config::parse("[listen]\n\nthread = 3\n", "floodway.toml").unwrap_err();
    assert!(e.starts_with("floodway.toml:3:1: error: unknown field `thread`"), "{e}");
    let e = Config::parse("[listen]\ndns = [\"nowhere\"]\n", "f").unwrap_err();
    assert!(e.starts_with("f:2:"), "{e}");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let check = |text: &str, says: &str| {
        let e = Config::parse(text, "f").unwrap().check().unwrap_err();
        assert!(e.contains(says), "{e}");
    };
    check("[listen]\ntls = [\"127.0.0.1:853\"]\n", "[listen] tls needs a certificate");
    check("[listen]\nquic = [\"127.0.0.1:853\"]\n", "[listen] quic needs a certificate");
    check("[listen]\nstream-threads = 0\n", "1 to 256");
    check("[tcp]\nidle-seconds = 0\n", "1 to 6000");
    check("[https]\npath = \"dns-query\"\n", "a path from the root");
    check("[proxy]\nfrom = [\"192.0.2.0/33\"]\n", "no address and no prefix");
    check("[tcp]\nconnections = 0\n", "[tcp] connections = 0: 1 to 1000000");
    check("[tcp]\nper-client = 0\n", "[tcp] per-client = 0");
    check("[tcp]\nfast-open = 65536\n", "at most 65535");
    check("[grpc]\nmax-connections = 0\n", "[grpc] max-connections = 0");
    check("[grpc]\nmax-streams = 0\n", "[grpc] max-streams = 0");
    check("[grpc]\nsamples-per-second = nan\n", "[grpc] samples-per-second = NaN: at least 1");
    check("[cookies]\nenabled = false\nrequired = true\n", "required without enabled");
    check("[listen]\ndns = [\"127.0.0.1:53\", \"127.0.0.1:53\"]\n", "127.0.0.1:53 over UDP is taken by dns");
    check("[listen]\nadmin = \"127.0.0.1:5300\"\n", "admin: 127.0.0.1:5300 over TCP is taken by dns");
    check("[listen]\ngrpc = \"127.0.0.1:5302\"\n", "admin: 127.0.0.1:5302 over TCP is taken by grpc");
    check("[store]\npath = \"/var/history.db\"\n", "the name of a file in the state folder");
    check("[store]\npath = \"../history.db\"\n", "[store] path = \"../history.db\": the name of a file");
    check("[store]\npath = \"\"\n", "the name of a file");
    check("[store.keep]\nplans = 0\n", "[store.keep] plans = 0: 1 to 36500 days");
    check("[store.keep]\nminutes = 500\n", "minutes = 500 is more than five-minutes = 180");
    check("[forecast]\ncpu-seconds-per-minute = 0\n", "[forecast] cpu-seconds-per-minute = 0");
    check("[forecast]\ncpu-seconds-per-minute = nan\n", "cpu-seconds-per-minute = NaN");
    check("[forecast]\nmemory-megabytes = 1\n", "[forecast] memory-megabytes = 1");
    check("[forecast]\nalert-accuracy = 75\n", "[forecast] alert-accuracy = 75: a share");
    check("[events]\nroom = 0\n", "[events] room = 0: 1 to 100000");
    check("[events]\nannouncer-share = 0\n", "[events] announcer-share = 0");
    check("[events]\nannouncer-share = nan\n", "announcer-share = NaN");
    check("[events]\nannouncer-share = 50\n", "announcer-share = 50");
    check("[probe]\nplace = \"a b\"\n", "[probe] place = \"a b\"");
    check("[probe]\nsource = [\"192.0.2.1\", \"192.0.2.2\"]\n", "at most one address of each family");
    check("[probe]\nper-second = 0\n", "[probe] per-second = 0: 0.1 to");
    check("[probe]\nper-second = nan\n", "per-second = NaN");
    check("[probe]\nconcurrent = 0\n", "[probe] concurrent = 0");
    let both = "[listen]\ntls = [\"127.0.0.1:853\"]\nquic = [\"127.0.0.1:853\"]\n[tls]\ncert = \"c\"\nkey = \"k\"\n";
    assert_eq!(Config::parse(both, "f").unwrap().check(), Ok(()), "one is over TCP, the other over UDP");
    let c = Config::parse("[proxy]\nfrom = [\"192.0.2.0/24\", \"2001:db8::1\"]\n", "f").unwrap();
    assert_eq!(c.proxy.nets().unwrap()[1].to_string(), "2001:db8::1/128");
}

#[test]
fn relative_paths_belong_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.toml");
    std::fs::write(&file, "[zones]\ndir = \"z\"\n[state]\ndir = \"/s\"\n").unwrap();
    let c = Config::read(Some(&file)).unwrap();
    assert_eq!(c.zones.dir, dir.path().join("z"));
    assert_eq!(c.state.dir, Path::new("/s"));
}
