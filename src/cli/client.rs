//! Talking to a running server: where it is, how to trust it, and what to say when it does not answer.

use crate::cli::config::Config;
use crate::telemetry::listen::chain;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Time to connect, and for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

//----------- Server ---------------------------------------------------------

/// Which server to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct Server {
    /// gRPC address of a running server; alone: that of the configuration. `https://` or --tls-ca talk TLS.
    #[arg(long = "server", value_name = "ADDR", num_args = 0..=1, default_missing_value = "", env = "FLOODWAY_SERVER")]
    pub addr: Option<String>,
    /// Authority that signed the server's certificate (PEM).
    #[arg(long, value_name = "FILE", env = "FLOODWAY_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate to show to the server (PEM): a POP's name in it is the POP it may report for.
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "FLOODWAY_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "FLOODWAY_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
}

impl Server {
    /// Whether a running server was asked for.
    pub fn is_asked(&self) -> bool {
        self.addr.is_some()
    }

    /// Connects to the server that was named, else to the one of the configuration.
    ///
    /// # Errors
    /// A text for people that says what would do.
    pub async fn connect(&self, config: Option<&Path>) -> Result<Channel, String> {
        let addr = match self.addr.as_deref() {
            Some(addr) if !addr.is_empty() => addr.to_string(),
            _ => Config::read(config)?.listen.grpc.to_string(),
        };
        let addr = addr.trim_end_matches('/');
        let (addr, https) = match addr.split_once("://") {
            Some(("http", addr)) => (addr, false),
            Some(("https", addr)) => (addr, true),
            Some((scheme, _)) => return Err(format!("--server {scheme}://: only http:// and https:// are spoken")),
            None => (addr, false),
        };
        let tls = https || self.tls_ca.is_some() || self.tls_cert.is_some();
        let scheme = if tls { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{addr}"))
            .map_err(|_| format!("--server {addr}: not an address such as 127.0.0.1:5301"))?
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(PATIENCE * 2);
        if tls {
            let mut config = ClientTlsConfig::new();
            if let Some(ca) = &self.tls_ca {
                config = config.ca_certificate(Certificate::from_pem(read(ca)?));
            }
            if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
                config = config.identity(Identity::from_pem(read(cert)?, read(key)?));
            }
            endpoint = endpoint.tls_config(config).map_err(|e| format!("TLS: {}", chain(&e)))?;
        }
        endpoint.connect().await.map_err(|e| {
            let help = match tls {
                true => "does its certificate name this host, and did --tls-ca sign it?",
                false => "is it running (`floodway serve`)? Another address goes with --server",
            };
            format!("no Floodway server at {addr}: {}; {help}", chain(&e))
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The text for a call that failed.
pub fn failed(status: &tonic::Status) -> String {
    use tonic::Code;
    match status.code() {
        Code::Unimplemented => {
            "the server does not know this call: is that the gRPC port, and a Floodway of this version?".to_owned()
        }
        // TLS 1.3 tells a client without a good certificate only here.
        Code::Cancelled | Code::Unknown | Code::Unavailable if status.message().contains("transport") => {
            let why = std::error::Error::source(status).map(chain).unwrap_or_else(|| status.message().to_owned());
            format!(
                "the connection broke ({why}); is that the gRPC port? If the server wants certificates, give \
                 --tls-cert and --tls-key"
            )
        }
        _ => status.message().to_owned(),
    }
}

/// Runs one command's conversation.
///
/// # Errors
/// The conversation's own, or that the system gives no event loop.
pub fn block_on<T>(conversation: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("no event loop: {e}"))?.block_on(conversation)
}
