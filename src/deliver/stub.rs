//! A misbehaving receiver for tests: answers each request as its script says.
//!
//! Test only. Speaks just enough HTTP/1.1 over loopback.

#![expect(clippy::disallowed_methods, reason = "a stub that is slow on purpose")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

mod request;

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Status(u16),
    /// With header lines.
    With(u16, &'static str),
    /// One header byte at a time, for ever.
    SlowHeader,
    /// A body that drips for ever.
    SlowBody,
    /// A body of this many bytes.
    Huge(u64),
    /// Bytes that are not HTTP.
    Garbage,
    /// Takes the request and says nothing.
    Hang,
    /// Takes the connection and shuts it.
    Close,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) answered: u16,
}

#[derive(Clone)]
pub(super) struct Stub {
    pub(super) address: SocketAddr,
    pub(super) requests: Arc<Mutex<Vec<Request>>>,
    pub(super) sent_bytes: Arc<std::sync::atomic::AtomicU64>,
}

impl Stub {
    /// Answers the n-th request with `script(n)`.
    pub(super) async fn start(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            sent_bytes: Arc::default(),
        };
        let (own, script) = (stub.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, script) = (own.clone(), Arc::clone(&script));
                tokio::spawn(async move { own.serve(stream, &*script).await });
            }
        });
        stub
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    async fn serve(
        &self,
        mut stream: TcpStream,
        script: &(dyn Fn(usize) -> Answer + Send + Sync),
    ) -> Option<()> {
        loop {
            let (head, body) = request::read(&mut stream).await?;
            let headers = head.lines().filter_map(|line| line.split_once(": "));
            let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
            let headers = headers.collect();
            let answer = {
                let mut requests = self.requests.lock().unwrap();
                let answer = script(requests.len());
                let answered = match answer {
                    Answer::Status(status) | Answer::With(status, _) => status,
                    Answer::SlowHeader
                    | Answer::SlowBody
                    | Answer::Huge(_)
                    | Answer::Garbage
                    | Answer::Hang
                    | Answer::Close => 0,
                };
                requests.push(Request {
                    headers,
                    body,
                    answered,
                });
                answer
            };
            self.reply(&mut stream, answer).await?;
        }
    }

    async fn reply(&self, stream: &mut TcpStream, answer: Answer) -> Option<()> {
        let ok = "HTTP/1.1 200 OK\r\n";
        match answer {
            Answer::Status(status) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()
            }
            Answer::With(status, lines) => {
                let head = format!("HTTP/1.1 {status} X\r\n{lines}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()
            }
            Answer::SlowHeader => loop {
                stream.write_all(b"H").await.ok()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            },
            Answer::SlowBody => {
                let head = format!("{ok}content-length: 1000000\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                loop {
                    stream.write_all(b"x").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Answer::Huge(bytes) => {
                let head = format!("{ok}content-length: {bytes}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                let chunk = vec![b'x'; 16 * 1024];
                let mut left = bytes;
                while left > 0 {
                    let n = left.min(chunk.len() as u64);
                    stream
                        .write_all(&chunk[..usize::try_from(n).unwrap()])
                        .await
                        .ok()?;
                    self.sent_bytes
                        .fetch_add(n, std::sync::atomic::Ordering::Relaxed);
                    left -= n;
                }
                Some(())
            }
            Answer::Garbage => {
                stream
                    .write_all(b"\x16\x03\x01\x00\xff\x00garbage\r\n\r\n")
                    .await
                    .ok()?;
                None
            }
            Answer::Hang => std::future::pending().await,
            Answer::Close => None,
        }
    }
}
