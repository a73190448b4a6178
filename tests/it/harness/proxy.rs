//! A network that fails on demand: a TCP proxy between tidegate and what it talks to, switched
//! while it runs.
//!
//! Loses no byte that it lets pass. What it holds back stands in the sockets, as behind a cable
//! that was pulled: when the fault is over it goes on, or the connection is reset.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::host::Host;

/// Kafka's number for a request for records.
const FETCH: [u8; 2] = [0, 1];
const BUFFER: usize = 64 << 10;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Everything comes this much later.
    Latency(Duration),
    /// Connections are reset, and new ones as soon as they stand.
    Reset,
    /// The other side of the connections there are is gone and has not said so; new ones work.
    HalfOpen,
    /// Nothing passes, in connections old or new.
    Blackhole,
    /// On the connections there are, the broker never hears a request for records; all else passes.
    NoFetch,
    /// The same, and the first new connection falls silent after one answer; those after it work.
    NoFetchThenMute,
}

#[derive(Clone, Copy)]
struct State {
    fault: Fault,
    /// The number of the first connection that is opened under this fault.
    fresh: u64,
}

impl State {
    /// The fault that this connection has.
    fn of(self, connection: u64) -> Fault {
        let is_fresh = connection >= self.fresh;
        match self.fault {
            Fault::HalfOpen | Fault::NoFetch if is_fresh => Fault::None,
            Fault::NoFetchThenMute if connection > self.fresh => Fault::None,
            Fault::NoFetchThenMute if !is_fresh => Fault::NoFetch,
            fault => fault,
        }
    }
}

/// See the module's text. Ends with its owner.
pub struct Proxy {
    port: u16,
    target: watch::Sender<Option<SocketAddr>>,
    state: watch::Sender<State>,
    opened: Arc<AtomicU64>,
    _host: Host,
}

impl Proxy {
    /// A proxy that listens, and connects once it has a target.
    pub fn start() -> Self {
        let none = State {
            fault: Fault::None,
            fresh: 0,
        };
        let (target, to) = watch::channel(None);
        let (state, seen) = watch::channel(none);
        let opened = Arc::new(AtomicU64::new(0));
        let (host, numbers) = (Host::start(), Arc::clone(&opened));
        let port = host.listen(move |client| {
            let number = numbers.fetch_add(1, Ordering::SeqCst);
            connect(number, client, to.clone(), seen.clone())
        });
        Self {
            port,
            target,
            state,
            opened,
            _host: host,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where connections go on to.
    pub fn to(&self, address: &str) {
        self.target.send_replace(Some(address.parse().unwrap()));
    }

    /// From now on, until the next call.
    pub fn set(&self, fault: Fault) {
        let fresh = self.opened();
        self.state.send_replace(State { fault, fresh });
    }

    /// Connections so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }
}

async fn connect(
    number: u64,
    client: TcpStream,
    mut to: watch::Receiver<Option<SocketAddr>>,
    mut seen: watch::Receiver<State>,
) {
    client.set_nodelay(true).ok();
    // In a black hole a connection stands, as far as the kernel's queue, and leads nowhere.
    seen.wait_for(|s| s.of(number) != Fault::Blackhole)
        .await
        .ok();
    let target = to.wait_for(Option::is_some).await.map(|t| *t);
    let Ok(Some(target)) = target else { return };
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    server.set_nodelay(true).ok();
    // Dropped without a word, both ends are reset.
    client.set_zero_linger().ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asks = pump(number, from_client, to_server, seen.clone(), true);
    let answers = pump(number, from_server, to_client, seen, false);
    // An end in one direction is the end: neither Kafka nor HTTP speaks on after it.
    tokio::select! { () = asks => {}, () = answers => {} }
}

/// One direction of a connection, to its end.
async fn pump(
    number: u64,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<State>,
    is_request: bool,
) {
    let (mut buffer, mut frames) = (vec![0; BUFFER], Frames::default());
    loop {
        let fault = seen.borrow_and_update().of(number);
        match fault {
            Fault::Reset => return,
            Fault::HalfOpen => return drop(seen.changed().await),
            Fault::Blackhole => match seen.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Fault::None | Fault::Latency(_) | Fault::NoFetch | Fault::NoFetchThenMute => {}
        }
        let read = tokio::select! {
            biased;
            changed = seen.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = from.read(&mut buffer) => read,
        };
        let Ok(length @ 1..) = read else { return };
        if let Fault::Latency(delay) = fault {
            tokio::time::sleep(delay).await;
        }
        let bytes = &buffer[..length];
        // Whoever speaks first decides: HTTP has no frames of Kafka's.
        let passing = if is_request && frames.is_kafka(bytes) {
            frames.cut(bytes, fault == Fault::NoFetch)
        } else {
            bytes.to_vec()
        };
        if to.write_all(&passing).await.is_err() {
            return;
        }
        if fault == Fault::NoFetchThenMute && !is_request {
            return drop(seen.changed().await);
        }
    }
}

/// Kafka's requests: a length of four bytes, then the kind of request in two.
#[derive(Default)]
struct Frames {
    kafka: Option<bool>,
    rest: Vec<u8>,
}

impl Frames {
    fn is_kafka(&mut self, first: &[u8]) -> bool {
        // No request is as long as a text's first letter would make it.
        *self.kafka.get_or_insert(first.first() == Some(&0))
    }

    /// The whole requests so far; without those for records, if so told.
    fn cut(&mut self, bytes: &[u8], no_fetch: bool) -> Vec<u8> {
        self.rest.extend_from_slice(bytes);
        let mut passing = Vec::new();
        while let Some((head, _)) = self.rest.split_first_chunk::<4>() {
            let end = 4 + usize::try_from(u32::from_be_bytes(*head)).unwrap();
            if self.rest.len() < end {
                break;
            }
            let frame: Vec<u8> = self.rest.drain(..end).collect();
            if !(no_fetch && frame[4..].starts_with(&FETCH)) {
                passing.extend_from_slice(&frame);
            }
        }
        passing
    }
}
