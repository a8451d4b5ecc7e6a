//! Asks the server over DNS, as the world's resolvers do and as an observer does who wants to know what they would get.

use hickory_proto::op::{Edns, Message, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Longest wait for a reply on loopback.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks at an answer that is about to change.
const LOOK: Duration = Duration::from_millis(20);
/// How long an answer is looked at.
const LOOK_AT_MOST: Duration = Duration::from_secs(15);

//----------- Asker ----------------------------------------------------------

/// A stub resolver with one socket, one query at a time.
pub struct Asker {
    socket: UdpSocket,
    /// Queries so far.
    pub n_asked: u64,
}

impl Asker {
    /// A resolver that asks `server`.
    pub async fn to(server: SocketAddr) -> Result<Asker, String> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
        socket.connect(server).await.map_err(|e| format!("{server}: {e}"))?;
        Ok(Asker { socket, n_asked: 0 })
    }

    /// Asks for A records on behalf of a client's /24; addresses with their TTL.
    pub async fn ask(&mut self, name: &Name, client: Option<Ipv4Addr>) -> Result<Vec<(IpAddr, u32)>, String> {
        self.n_asked += 1;
        let id = self.n_asked as u16;
        let mut query = Message::query();
        query.metadata.id = id;
        query.metadata.op_code = OpCode::Query;
        query.add_query(Query::query(name.clone(), RecordType::A));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        if let Some(prefix) = client {
            edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(prefix.into(), 24, 0)));
        }
        query.set_edns(edns);
        let query = query.to_vec().map_err(|e| e.to_string())?;
        self.socket.send(&query).await.map_err(|e| format!("DNS: {e}"))?;
        let mut reply = [0; 4096];
        loop {
            let received = tokio::time::timeout(PATIENCE, self.socket.recv(&mut reply)).await;
            let n = received.map_err(|_| "DNS: no reply in two seconds")?.map_err(|e| format!("DNS: {e}"))?;
            let message = Message::from_vec(&reply[..n]).map_err(|e| format!("DNS: {e}"))?;
            if message.metadata.id == id {
                let addresses = message.answers.iter().filter_map(|r| match &r.data {
                    RData::A(a) => Some((IpAddr::V4(a.0), r.ttl)),
                    _ => None,
                });
                return Ok(addresses.collect());
            }
        }
    }
}

//----------- Observer -------------------------------------------------------

/// Looks at answers without keeping them.
#[derive(Clone, Debug)]
pub struct Observer {
    /// Whom it asks.
    pub server: SocketAddr,
    /// What for.
    pub name: String,
    /// Whether it asks by `dig`, an implementation that is not ours.
    pub by_dig: bool,
}

impl Observer {
    /// What each client would be given now; `None` for one that gets no address. Empty where the replies cannot be told apart,
    /// since some are missing.
    ///
    /// # Errors
    /// There is no `dig`, or the server does not answer.
    pub async fn look(&self, clients: &[Ipv4Addr]) -> Result<Vec<Option<IpAddr>>, String> {
        if self.by_dig {
            let (observer, clients) = (self.clone(), clients.to_vec());
            let looked = tokio::task::spawn_blocking(move || observer.dig(&clients)).await;
            return looked.map_err(|e| e.to_string())?;
        }
        let (mut asker, mut seen) = (Asker::to(self.server).await?, Vec::new());
        let name = self.name.parse().map_err(|e| format!("{}: {e}", self.name))?;
        for client in clients {
            seen.push(asker.ask(&name, Some(*client)).await?.first().map(|(address, _)| *address));
        }
        Ok(seen)
    }

    /// Seconds until a client's answer is another than `before`; `None` if it stays.
    pub async fn until_changed(&self, client: Ipv4Addr, before: IpAddr) -> Result<Option<f64>, String> {
        let began = Instant::now();
        while began.elapsed() < LOOK_AT_MOST {
            if self.look(&[client]).await?.first().is_some_and(|now| *now != Some(before)) {
                return Ok(Some(began.elapsed().as_secs_f64()));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(None)
    }

    /// One `dig` for all of them: a query a line on its standard input, and of each reply the question and the answer.
    fn dig(&self, clients: &[Ipv4Addr]) -> Result<Vec<Option<IpAddr>>, String> {
        let lines: String = clients.iter().map(|client| format!("{} A +subnet={client}/24\n", self.name)).collect();
        let mut dig = Command::new("dig");
        dig.arg(format!("@{}", self.server.ip())).args(["-p", &self.server.port().to_string()]);
        dig.args(["+noall", "+question", "+answer", "+tries=1", "+time=2", "-f", "-"]);
        dig.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = dig.spawn().map_err(|e| format!("dig: {e}; leave --dig out to do without"))?;
        let stdin = running.stdin.take();
        // What dig prints meanwhile waits in the pipe's other end, which is read below.
        let feeder = std::thread::spawn(move || {
            use std::io::Write;
            stdin.map_or(Ok(()), |mut stdin| stdin.write_all(lines.as_bytes()))
        });
        let out = running.wait_with_output().map_err(|e| format!("dig: {e}"))?;
        // A dig that went away early shows in what is missing.
        let _ = feeder.join();
        let seen = read_dig(&String::from_utf8_lossy(&out.stdout));
        Ok(if seen.len() == clients.len() { seen } else { Vec::new() })
    }
}

/// The first address of each reply that `dig +noall +question +answer` printed.
fn read_dig(text: &str) -> Vec<Option<IpAddr>> {
    let mut seen = Vec::new();
    for line in text.lines() {
        if line.starts_with(';') {
            // `;; …` is a remark, `;name class type` the question of the next reply.
            if !line.starts_with(";;") {
                seen.push(None);
            }
            continue;
        }
        let mut words = line.split_whitespace().skip(3);
        if let (Some("A"), Some(data), Some(last)) = (words.next(), words.next(), seen.last_mut()) {
            *last = last.or(data.parse().ok());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dig_prints_is_read_reply_by_reply() {
        let text = ";www.example.com.\t\tIN\tA\nwww.example.com.\t60\tIN\tA\t192.0.2.16\nwww.example.com.\t60\tIN\tA\t192.0.2.17\n\
                    ;; communications error\n;api.example.com. IN A\napi.example.com. 60 IN CNAME edge.example.net.\n\
                    ;www.example.com.\t\tIN\tA\nwww.example.com. 60 IN A 192.0.2.32\n";
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(read_dig(text), [address("192.0.2.16"), None, address("192.0.2.32")]);
        assert_eq!(read_dig(""), []);
    }
}
