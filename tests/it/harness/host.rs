//! Where servers of a test run: a thread of their own, each on a port that the system chooses.

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// Ends, and all that it serves, with its owner.
pub struct Host(Runtime);

impl Host {
    pub fn start() -> Self {
        let mut builder = Builder::new_multi_thread();
        Self(builder.worker_threads(1).enable_all().build().unwrap())
    }

    /// A port; what comes of each connection there is a task of its own.
    pub fn listen<F>(&self, mut serve: impl FnMut(TcpStream) -> F + Send + 'static) -> u16
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let listener = self.0.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        self.0.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        port
    }
}
