//! Endpoints that misbehave in every way HTTP and TLS allow, and fast ones beside them: many on one port, told
//! apart by their paths.
//!
//! Believes every signature (`receiver` is for those). What it notes are times and bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How an endpoint answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// With a header line.
    With(u16, &'static str),
    /// A header that drips, a byte every 100 ms, for ever.
    SlowLoris,
    /// A body of this many bytes.
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
    /// Bytes of an answer that the sender's system took.
    pub given: u64,
}

type Scripts = BTreeMap<String, Vec<Answer>>;

/// See the module's text. Ends with its owner.
pub struct Stub {
    port: u16,
    scripts: Arc<Mutex<Scripts>>,
    taken: Arc<Mutex<BTreeMap<String, Vec<Taken>>>>,
    _runtime: Runtime,
}

impl Stub {
    /// An endpoint without a script answers 200.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let stub = Self {
            port: listener.local_addr().unwrap().port(),
            scripts: Arc::default(),
            taken: Arc::default(),
            _runtime: runtime,
        };
        let (scripts, taken) = (Arc::clone(&stub.scripts), Arc::clone(&stub.taken));
        stub._runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (scripts, taken) = (Arc::clone(&scripts), Arc::clone(&taken));
                tokio::spawn(async move { serve(stream, &scripts, &taken).await });
            }
        });
        stub
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
    let listener = stub
        ._runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    stub._runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let garbage: Vec<u8> = (0..60_000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
            stream.write_all(&garbage).await.ok();
        }
    });
    format!("https://{address}/hook")
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
            let chunk = vec![b'x'; 16 << 10];
            while *given < bytes {
                *given += stream.write(&chunk).await.ok()? as u64;
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

/// The path's last word, and the request.
async fn read(stream: &mut TcpStream) -> Option<(String, Taken)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let header = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let length: usize = header("content-length").map_or(0, |v| v.parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let path = head.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
    let taken = Taken {
        id: header("webhook-id").unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: SystemTime::now(),
        stayed: None,
        given: 0,
    };
    Some((path, taken))
}
