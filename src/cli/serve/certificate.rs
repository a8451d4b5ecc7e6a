//! Follows the files of the certificate, and has them read again when one of them changes.

use crate::transport::Certificate;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How often it is looked whether other files stand under the names. Looking is better than listening here: files are
/// renamed, links are turned (certbot, Kubernetes), folders are replaced, and a renewal has weeks of time.
const BEAT: Duration = Duration::from_secs(2);

/// A certificate that expires sooner is worth a word when it is read.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads the files again, keeps what there is if they cannot be used, and says which in the log.
pub(super) fn reload(certificate: &Certificate, why: &str) {
    let cert = certificate.files().cert.display();
    match certificate.reload() {
        Ok(true) => {
            tracing::info!("certificate {cert} read again ({why}): new connections are shown it");
            say_expiry(certificate);
        }
        Ok(false) => {}
        Err(e) => tracing::error!("certificate refused ({why}), the one before stays: {e}"),
    }
}

/// Warns if the certificate expires soon, or has expired.
pub(super) fn say_expiry(certificate: &Certificate) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = certificate.expires() - now.as_secs() as i64;
    let cert = certificate.files().cert.display();
    match left {
        ..0 => tracing::warn!("certificate {cert} has expired: clients that check it turn away"),
        _ if left < SOON.as_secs() as i64 => tracing::warn!("certificate {cert} expires in {} h", left / 3600),
        _ => {}
    }
}

/// Reloads once both files have stood still for a beat after a change: they are seldom replaced in one step.
pub(super) fn watch(runtime: &Runtime, certificate: Arc<Certificate>) -> JoinHandle<()> {
    let mut taken = certificate.files().stamp();
    runtime.spawn(async move {
        let mut seen = taken;
        loop {
            tokio::time::sleep(BEAT).await;
            let files = certificate.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || files.files().stamp()).await else { return };
            if now == seen && now != taken {
                taken = now;
                let certificate = certificate.clone();
                let _ = tokio::task::spawn_blocking(move || reload(&certificate, "a file changed")).await;
            }
            seen = now;
        }
    })
}
