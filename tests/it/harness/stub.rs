//! Endpoints that misbehave in every way HTTP and TLS allow, and fast ones beside them: many on one port, told
//! apart by their paths.
//!
//! Believes every signature (`receiver` is for those). What it notes are times and bytes.

#[path = "../../../src/deliver/stub/request.rs"]
mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::host::Host;

/// What of a long answer is sent at a time.
pub const CHUNK: u64 = 4 << 10;

/// How an endpoint answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// With a header line.
    With(u16, &'static str),
    /// A header that drips, a byte every 100 ms, for ever.
    SlowLoris,
    /// A body of this many bytes, of which the next come when all before them were read.
    Huge(u64),
    /// Takes the request and says nothing.
    Hang,
}

/// A request that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: String,
    pub body: serde_json::Value,
    pub at: SystemTime,
    /// How long the sender stayed, where the endpoint did not let it go.
    pub stayed: Option<Duration>,
    /// Bytes of a long answer: all but the last of them, a `CHUNK` at most, the sender has read.
    pub given: u64,
}

type Scripts = BTreeMap<String, Vec<Answer>>;

/// See the module's text. Ends with its owner.
pub struct Stub {
    port: u16,
    scripts: Arc<Mutex<Scripts>>,
    taken: Arc<Mutex<BTreeMap<String, Vec<Taken>>>>,
    host: Host,
}

impl Stub {
    /// An endpoint without a script answers 200.
    pub fn start() -> Self {
        let host = Host::start();
        let (scripts, taken) = (Arc::default(), Arc::default());
        let shared = (Arc::clone(&scripts), Arc::clone(&taken));
        let port = host.listen(move |stream| {
            let (scripts, taken) = shared.clone();
            async move { serve(stream, &scripts, &taken).await }
        });
        Self {
            port,
            scripts,
            taken,
            host,
        }
    }

    /// The n-th request to this endpoint is answered with the n-th of these, the last one from then on.
    pub fn script(&self, endpoint: &str, answers: &[Answer]) {
        let mut scripts = self.scripts.lock().unwrap();
        scripts.insert(endpoint.to_owned(), answers.to_vec());
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, endpoint: &str) -> String {
        format!("http://{}/{endpoint}", self.address())
    }

    /// What an endpoint has taken so far.
    pub fn taken(&self, endpoint: &str) -> Vec<Taken> {
        let taken = self.taken.lock().unwrap();
        taken.get(endpoint).cloned().unwrap_or_default()
    }

    /// Endpoints that have taken anything.
    pub fn endpoints(&self) -> Vec<String> {
        self.taken.lock().unwrap().keys().cloned().collect()
    }
}

/// A port that answers a TLS hello with what is none.
pub fn no_tls(stub: &Stub) -> String {
    let port = stub.host.listen(|mut stream| async move {
        let garbage: Vec<u8> = (0..60_000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
        stream.write_all(&garbage).await.ok();
    });
    format!("https://127.0.0.1:{port}/hook")
}

async fn serve(
    mut stream: TcpStream,
    scripts: &Mutex<Scripts>,
    taken: &Mutex<BTreeMap<String, Vec<Taken>>>,
) -> Option<()> {
    stream.set_nodelay(true).ok();
    loop {
        let (endpoint, request) = read(&mut stream).await?;
        let (at, number) = (request.at, {
            let mut taken = taken.lock().unwrap();
            let own = taken.entry(endpoint.clone()).or_default();
            own.push(request);
            own.len() - 1
        });
        let script = scripts.lock().unwrap().get(&endpoint).cloned();
        let script = script.unwrap_or_else(|| vec![Answer::Status(200)]);
        let answer = script[number.min(script.len() - 1)];
        let mut given = 0;
        let goes_on = reply(&mut stream, answer, &mut given).await;
        if let Some(own) = taken.lock().unwrap().get_mut(&endpoint) {
            own[number].given = given;
            let held = !matches!(answer, Answer::Status(_) | Answer::With(..));
            own[number].stayed = held.then(|| at.elapsed().unwrap_or_default());
        }
        goes_on?;
    }
}

/// Answers; `None` once the sender has gone or is let go.
async fn reply(stream: &mut TcpStream, answer: Answer, given: &mut u64) -> Option<()> {
    match answer {
        Answer::Status(status) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()
        }
        Answer::With(status, line) => {
            let head = format!("HTTP/1.1 {status} X\r\n{line}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()
        }
        Answer::SlowLoris => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nx-slow: ")
                .await
                .ok()?;
            loop {
                stream.write_all(b"x").await.ok()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Answer::Huge(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            let chunk = vec![b'x'; CHUNK as usize];
            while *given < bytes {
                *given += stream.write(&chunk).await.ok()? as u64;
                all_is_read(stream).await?;
            }
            Some(())
        }
        Answer::Hang => {
            // Until the sender has enough of it.
            while stream.read(&mut [0; 1024]).await.ok()? > 0 {}
            None
        }
    }
}

/// Waits until the sender's process has read what was sent, not only its system taken it; `None` once it has
/// closed the connection.
async fn all_is_read(stream: &TcpStream) -> Option<()> {
    let (own, other) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    loop {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let waits = waiting(&sockets, other.port(), own.port())?;
        let under_way = waiting(&sockets, own.port(), other.port())?;
        if waits.1 == 0 && under_way.0 == 0 {
            return Some(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Bytes that were not taken by the other side, and not read by this one, of the connection between these
/// ports, while it is open.
fn waiting(sockets: &str, from: u16, to: u16) -> Option<(u64, u64)> {
    const OPEN: &str = "01";
    let (from, to) = (format!(":{from:04X}"), format!(":{to:04X}"));
    sockets.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (words.next()?, words.next()?);
        let is_it = local.ends_with(&from) && remote.ends_with(&to) && words.next()? == OPEN;
        let (sent, received) = words.next().filter(|_| is_it)?.split_once(':')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(sent)?, number(received)?))
    })
}

/// The path's last word, and the request.
async fn read(stream: &mut TcpStream) -> Option<(String, Taken)> {
    let (head, body) = request::read(stream).await?;
    let path = head.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
    let id = request::header(&head, "webhook-id").unwrap_or_default();
    let taken = Taken {
        id: id.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: SystemTime::now(),
        stayed: None,
        given: 0,
    };
    Some((path, taken))
}
