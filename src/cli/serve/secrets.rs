//! Follows the files of keys and certificates, and has them read again when one of them changes.

use crate::admin::Loads;
use crate::telemetry::tls::{self, Tls};
use crate::transport::{Certificate, certificate};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How often it is looked whether other files stand under the names. Looking is better than listening here: files are
/// renamed, links are turned (certbot, Kubernetes), folders are replaced, and a renewal has weeks of time.
const BEAT: Duration = Duration::from_secs(2);

/// A certificate that expires sooner is worth a word when it is read.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything that is shown in handshakes.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    /// `[tls]`: what the encrypted DNS services show.
    pub(super) dns: Option<Arc<Certificate>>,
    /// `[grpc.tls]`: what gRPC shows, and whom it believes.
    pub(super) grpc: Option<Arc<Tls>>,
}

/// Which files stand under the names: device, inode, size, and time of the last change in seconds and nanoseconds. A change
/// of owner or mode counts (`ctime`): it is what mends a key that could not be read.
type Stamp = Vec<Option<(u64, u64, u64, i64, i64)>>;

/// What the files hold now, found good, to be taken together with what else is loaded.
pub(super) struct Fresh {
    dns: Option<certificate::Next>,
    grpc: Option<tls::Next>,
}

impl Secrets {
    /// Reads the files again and changes nothing. All of them must be usable.
    ///
    /// # Errors
    /// A line for every pair that is not.
    pub(super) fn look(&self) -> Result<Fresh, Vec<String>> {
        let dns = self.dns.as_ref().map(|certificate| certificate.look()).transpose().map_err(|e| e.to_string());
        let grpc = self.grpc.as_ref().map(|tls| tls.look()).transpose().map_err(|e| e.to_string());
        match (dns, grpc) {
            (Ok(dns), Ok(grpc)) => Ok(Fresh { dns, grpc }),
            (dns, grpc) => Err(dns.err().into_iter().chain(grpc.err()).collect()),
        }
    }

    /// Shows what was read from now on, and says so in the log.
    pub(super) fn take(&self, fresh: Fresh, why: &str) {
        if let Some((certificate, next)) = self.dns.as_ref().zip(fresh.dns)
            && certificate.take(next)
        {
            let cert = certificate.files().cert.display();
            tracing::info!("certificate {cert} read again ({why}): new connections are shown it");
            say_expiry(certificate);
        }
        if let Some((tls, next)) = self.grpc.as_ref().zip(fresh.grpc)
            && tls.take(next)
        {
            let cert = tls.files().cert.display();
            tracing::info!("gRPC: {cert} and its key and authorities read again ({why})");
        }
    }

    /// Both in one, for files that changed by themselves; what cannot be used leaves what there is.
    fn follow(&self, loads: &Loads) {
        let fresh = self.look();
        let was_refused = loads.note_certificates(fresh.is_ok());
        match fresh {
            Ok(fresh) => {
                self.take(fresh, "a file changed");
                if was_refused {
                    tracing::info!("certificates and keys can be used again");
                }
            }
            Err(faults) => {
                let said = "certificate refused (a file changed), the one before stays";
                faults.iter().for_each(|e| tracing::error!("{said}: {e}"));
            }
        }
    }

    /// Reloads once all files have stood still for a beat after a change: they are seldom replaced in one step. `None` if
    /// there are none.
    pub(super) fn watch(self, runtime: &Runtime, loads: Arc<Loads>) -> Option<JoinHandle<()>> {
        self.dns.iter().for_each(|certificate| say_expiry(certificate));
        let paths = self.paths();
        if paths.is_empty() {
            return None;
        }
        let mut taken = stamp(&paths);
        Some(runtime.spawn(async move {
            let (mut seen, paths) = (taken.clone(), Arc::new(paths));
            loop {
                tokio::time::sleep(BEAT).await;
                let files = paths.clone();
                let Ok(now) = tokio::task::spawn_blocking(move || stamp(&files)).await else { return };
                if now == seen && now != taken {
                    taken.clone_from(&now);
                    let (secrets, loads) = (self.clone(), loads.clone());
                    let _ = tokio::task::spawn_blocking(move || secrets.follow(&loads)).await;
                }
                seen = now;
            }
        }))
    }

    fn paths(&self) -> Vec<PathBuf> {
        let dns = self.dns.iter().flat_map(|c| [&c.files().cert, &c.files().key]);
        let grpc = self.grpc.iter().flat_map(|t| [&t.files().cert, &t.files().key, &t.files().client_ca]);
        dns.chain(grpc).cloned().collect()
    }
}

/// Looks which files stand there now, links followed.
fn stamp(paths: &[PathBuf]) -> Stamp {
    let of =
        |path: &PathBuf| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
    paths.iter().map(of).collect()
}

/// Warns if the certificate expires soon, or has expired.
fn say_expiry(certificate: &Certificate) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = certificate.expires() - now.as_secs() as i64;
    let cert = certificate.files().cert.display();
    match left {
        ..0 => tracing::warn!("certificate {cert} has expired: clients that check it turn away"),
        _ if left < SOON.as_secs() as i64 => tracing::warn!("certificate {cert} expires in {} h", left / 3600),
        _ => {}
    }
}
