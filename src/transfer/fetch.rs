//! One transfer in: a connection to a primary, its SOA, and what is newer there.

use crate::answer::dealings::Look;
use crate::transfer::intake::{Intake, Outcome};
use crate::transfer::settings::Server;
use crate::wire::records::{Soa, is_newer};
use crate::wire::tsig::{Seal, Watch};
use crate::wire::walk::{self, Section};
use crate::wire::{Name, Rcode, rtype};
use crate::zone::Zone;
use crate::zone::diff::{Difference, soa_of};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longest time to connect and shake hands.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence of a primary.
const SILENCE: Duration = Duration::from_secs(15);
/// Longest time for it all: a primary that drips must not hold a place for ever.
const ALL: Duration = Duration::from_secs(3600);

/// What a look at a primary came to.
pub enum Fetched {
    /// There is nothing newer.
    Current,
    /// The zone; and what led to it from the copy there was, if it came so.
    Zone(Arc<Zone>, Option<Vec<Difference>>),
}

/// Seconds since 1970.
pub fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

/// Why there is nothing from a primary.
#[derive(Debug)]
pub struct Failure {
    /// What it counts as.
    pub look: Look,
    /// For people.
    pub text: String,
}

impl Failure {
    fn new(look: Look, text: impl ToString) -> Failure {
        Failure { look, text: text.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What nobody says otherwise of is that the answer is none.
impl<T: Into<String>> From<T> for Failure {
    fn from(text: T) -> Failure {
        Failure { look: Look::Malformed, text: text.into() }
    }
}

/// Asks one primary, and takes what is newer than `copy`.
///
/// # Errors
/// [`Failure`].
pub async fn fetch(server: &Server, apex: &Name, copy: Option<Arc<Zone>>) -> Result<Fetched, Failure> {
    let all = async {
        let connected = timeout(CONNECT, TcpStream::connect(server.addr)).await;
        let stream = connected.map_err(|_| Failure::new(Look::TimedOut, "no connection in time"))?;
        let stream = stream.map_err(|e| Failure::new(Look::Unreachable, e))?;
        let _ = stream.set_nodelay(true);
        match &server.tls {
            None => converse(Box::new(stream), server, apex, copy).await,
            Some(tls) => {
                let connector = TlsConnector::from(tls.config.clone());
                let shaken = timeout(CONNECT, connector.connect(tls.name.clone(), stream)).await;
                let shaken = shaken.map_err(|_| Failure::new(Look::TimedOut, "no handshake in time"))?;
                let stream = shaken.map_err(|e| Failure::new(Look::Tls, format!("TLS: {e}")))?;
                converse(Box::new(stream), server, apex, copy).await
            }
        }
    };
    timeout(ALL, all).await.map_err(|_| Failure::new(Look::TimedOut, "it takes too long"))?
}

/// Anything that messages come over.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

async fn converse(
    mut stream: Box<dyn Wire>,
    server: &Server,
    apex: &Name,
    copy: Option<Arc<Zone>>,
) -> Result<Fetched, Failure> {
    let stream = &mut *stream;
    let has = copy.as_ref().and_then(|zone| soa_of(zone));
    if let Some((_, _, soa)) = &has {
        let mut answer = ask(stream, server, apex, rtype::SOA, None).await?;
        let message = answer.next(stream).await?;
        let found = walk::records(&message).flatten().find(|r| r.section == Section::Answer && r.rtype == rtype::SOA);
        let theirs = found.and_then(|r| Soa::parse(r.rdata)).ok_or("it has no SOA of this zone")?;
        if !is_newer(theirs.serial, soa.serial) {
            return Ok(Fetched::Current);
        }
    }
    if let (Some(copy), Some((ttl, rdata, soa))) = (&copy, &has) {
        match transfer(stream, server, apex, rtype::IXFR, Some((*ttl, rdata)), Some(soa.serial)).await {
            Ok(Outcome::Current) => return Ok(Fetched::Current),
            Ok(Outcome::Whole(builder)) => return finish(*builder),
            Ok(Outcome::Differences(chain)) => {
                let apply = |zone: Result<Arc<Zone>, String>, diff: &Difference| {
                    diff.apply(&*zone?).map(Arc::new).map_err(|e| e.to_string())
                };
                match chain.iter().fold(Ok(copy.clone()), apply) {
                    Ok(zone) => return Ok(Fetched::Zone(zone, Some(chain))),
                    Err(e) => tracing::info!("IXFR of {apex} from {}: {e}; it is fetched whole", server.addr),
                }
            }
            // RFC 1995 section 4: who does not know it is asked for the whole.
            Err(e) => tracing::info!("IXFR of {apex} from {}: {e}; it is fetched whole", server.addr),
        }
    }
    match transfer(stream, server, apex, rtype::AXFR, None, None).await? {
        Outcome::Whole(builder) => finish(*builder),
        _ => Err("it sent differences where the whole was asked for".into()),
    }
}

fn finish(builder: crate::zone::Builder) -> Result<Fetched, Failure> {
    let zone = builder.finish();
    if let Some((owner, _)) = zone.oversized().first() {
        return Err(format!("the records of {owner} do not fit into any message").into());
    }
    match zone.rrset(zone.apex(), rtype::SOA) {
        Some(soa) if soa.n == 1 => Ok(Fetched::Zone(Arc::new(zone), None)),
        _ => Err("the zone has no SOA, or several".into()),
    }
}

async fn transfer(
    stream: &mut dyn Wire,
    server: &Server,
    apex: &Name,
    qtype: u16,
    soa: Option<(u32, &[u8])>,
    has: Option<u32>,
) -> Result<Outcome, Failure> {
    let mut answer = ask(stream, server, apex, qtype, soa).await?;
    let mut intake = Intake::new(apex, has);
    loop {
        let message = answer.next(stream).await?;
        if intake.take(&message)? {
            break;
        }
    }
    if answer.watch.as_ref().is_some_and(|watch| !watch.is_settled()) {
        return Err(Failure::new(Look::Signature, "its last message is not signed"));
    }
    intake.finish().ok_or_else(|| "it ended early".into())
}

/// An answer that is awaited.
struct Answer {
    id: u16,
    watch: Option<Watch>,
}

/// Composes a question; `soa`: TTL and RDATA of the SOA that goes into the authority section of an IXFR.
pub fn compose(id: u16, opcode: u8, apex: &Name, qtype: u16, soa: Option<(u32, &[u8], usize)>) -> Vec<u8> {
    let mut out = vec![0; 12];
    out[..2].copy_from_slice(&id.to_be_bytes());
    // NOTIFY has AA set (RFC 1996 section 3.7).
    out[2] = opcode << 3 | if opcode == 4 { 0x04 } else { 0 };
    out[5] = 1;
    out.extend_from_slice(apex.as_wire());
    out.extend_from_slice(&qtype.to_be_bytes());
    out.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
    if let Some((ttl, rdata, section)) = soa {
        out[7 + 2 * section] = 1;
        out.extend([0xc0, 12]);
        out.extend_from_slice(&rtype::SOA.to_be_bytes());
        out.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
        out.extend_from_slice(&ttl.to_be_bytes());
        out.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        out.extend_from_slice(rdata);
    }
    out
}

/// Signs a question, if the server has a key; with it, what watches the answer.
pub fn sign(message: &mut Vec<u8>, server: &Server) -> Option<Watch> {
    let key = server.key.as_ref()?;
    let (mut seal, len) = (Seal::request(key.clone()), message.len());
    message.resize(len + seal.record_len(), 0);
    seal.append(message, len, unix_secs());
    Watch::of(&seal, key)
}

/// An id that nobody can foresee.
pub fn random_id() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u16
}

async fn ask(
    stream: &mut dyn Wire,
    server: &Server,
    apex: &Name,
    qtype: u16,
    soa: Option<(u32, &[u8])>,
) -> Result<Answer, Failure> {
    let id = random_id();
    let mut message = compose(id, 0, apex, qtype, soa.map(|(ttl, rdata)| (ttl, rdata, 1)));
    let watch = sign(&mut message, server);
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let sent = timeout(SILENCE, async {
        stream.write_all(&framed).await?;
        stream.flush().await
    });
    let sent = sent.await.map_err(|_| Failure::new(Look::TimedOut, "it does not read"))?;
    sent.map_err(|e| Failure::new(Look::Unreachable, e))?;
    Ok(Answer { id, watch })
}

impl Answer {
    /// Reads the next message, and believes it if it is signed as it must be.
    async fn next(&mut self, stream: &mut dyn Wire) -> Result<Vec<u8>, Failure> {
        let read = timeout(SILENCE, async {
            let mut head = [0; 2];
            stream.read_exact(&mut head).await?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(head))];
            stream.read_exact(&mut message).await?;
            Ok::<_, io::Error>(message)
        });
        let message = read.await.map_err(|_| Failure::new(Look::TimedOut, "it is silent"))?;
        let message = message.map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => Failure::new(Look::Unreachable, "the connection was closed in the middle"),
            _ => Failure::new(Look::Unreachable, e),
        })?;
        if message.len() < 12 || message[..2] != self.id.to_be_bytes() || message[2] & 0xf8 != 0x80 {
            return Err("something came that is no answer".into());
        }
        let rcode = message[3] & 0x0f;
        if let Some(watch) = &mut self.watch {
            let watched = watch.take(&message, unix_secs());
            watched.map_err(|e| match rcode {
                0 => Failure::new(Look::Signature, e),
                _ => Failure::new(Look::Signature, format!("{}; {e}", Rcode::text(rcode.into()))),
            })?;
        }
        if rcode != 0 {
            return Err(Failure::new(Look::Refused, Rcode::text(rcode.into())));
        }
        Ok(message)
    }
}
