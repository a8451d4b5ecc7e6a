//! Every socket that a server listens on: opened here, by systemd, or by the process that ran before.

use crate::admin;
use crate::cli::config::Config;
use crate::cli::serve::listeners;
use crate::cli::serve::takeover::Estate;
use crate::telemetry::listen;
use crate::transport::bind::Given;
use crate::transport::{self, passing};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use tokio::runtime::Runtime;

/// Sockets that are open and not yet served.
pub(super) struct Sockets {
    pub(super) dns: transport::Bound,
    pub(super) grpc: listen::Bound,
    pub(super) http: admin::http::Bound,
}

impl Sockets {
    /// Takes what `given` has and opens the rest. `estate`: of the server that gives, if it is a takeover.
    ///
    /// # Errors
    /// The first address that cannot be had, or may not be listened on; in a takeover, one that is answered at now and
    /// would not be any more.
    pub(super) fn open(
        runtime: &Runtime,
        config: &Config,
        mut given: Given,
        estate: Option<&Estate>,
    ) -> Result<Sockets, String> {
        let (grpc, http) = (given.listener(config.listen.grpc), given.listener(config.listen.admin));
        let dns = listeners::config(config)?;
        let dns = transport::Bound::with(dns, &mut given).map_err(|e| e.to_string())?;
        let grpc = listen::Bound::bind(config.listen.grpc, &config.grpc, grpc);
        let grpc = runtime.block_on(grpc).map_err(|e| e.to_string())?;
        let http = admin::http::Bound::bind(config.listen.admin, config.admin.allow_remote, http);
        let http = runtime.block_on(http).map_err(|e| e.to_string())?;
        for (addr, protocol) in given.left() {
            if estate.is_some_and(|estate| estate.is_asked_at(addr)) {
                return Err(format!(
                    "the running server answers at {addr} over {protocol} and [listen] does not name it: not taken over, \
                     it goes on; a restart gives an address up"
                ));
            }
            tracing::warn!(
                "a socket was handed over that [listen] does not name, and is closed: {addr} over {protocol}"
            );
        }
        Ok(Sockets { dns, grpc, http })
    }

    /// Copies of all, to hand over one day.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn copies(&self) -> Result<Vec<OwnedFd>, String> {
        let dns = self.dns.endpoints().iter().flat_map(|(_, e)| e.descriptors());
        let all = dns.chain([self.grpc.as_fd(), self.http.as_fd()]);
        all.map(|fd| fd.try_clone_to_owned()).collect::<Result<_, _>>().map_err(|e| format!("descriptors: {e}"))
    }

    /// Where gRPC is, and HTTP.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn addrs(&self) -> Result<(SocketAddr, SocketAddr), String> {
        Ok((self.grpc.local_addr().map_err(|e| e.to_string())?, self.http.local_addr()))
    }
}

/// The sockets that systemd has opened, if it has.
///
/// # Errors
/// Something that cannot be served.
pub(super) fn from_systemd() -> Result<Given, String> {
    let sockets = passing::from_systemd().and_then(Given::new);
    sockets.map_err(|e| format!("the sockets that systemd hands over cannot be used: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// A takeover with another configuration once ended the service at an address; a socket of systemd's is only closed.
    #[test]
    fn a_takeover_leaves_no_address_behind() {
        let runtime = Runtime::new().unwrap();
        let toml = "[listen]\ndns = [\"127.0.0.1:0\"]\ngrpc = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nthreads = 1";
        let config = Config::parse(toml, "x").unwrap();
        let estate = r#"{"version":1,"sockets":1,"dns":[],"grpc":"127.0.0.1:5301","admin":"127.0.0.1:5302"}"#;
        let estate: Estate = serde_json::from_str(estate).unwrap();
        let open = |estate| {
            let given = Given::new([UdpSocket::bind("127.0.0.1:0").unwrap().into()]).unwrap();
            Sockets::open(&runtime, &config, given, estate).map(|_| ())
        };
        let refused = open(Some(&estate)).unwrap_err();
        assert!(refused.starts_with("the running server answers at 127.0.0.1:"), "{refused}");
        assert_eq!(open(None), Ok(()));
    }
}
