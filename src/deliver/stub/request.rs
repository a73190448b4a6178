//! A request as a receiver that is a stub reads it: just enough HTTP/1.1 for what tidegate sends.
//!
//! Test only; the integration tests' stub reads with it, too.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Head and body of the next request on a connection; `None` once the sender has gone.
pub async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = header(&head, "content-length").map_or(Ok(0), str::parse::<usize>);
    let length = length.ok()?;
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

/// The value of a header.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let is_it = |(own, _): &(&str, &str)| own.eq_ignore_ascii_case(name);
    lines.find(is_it).map(|(_, value)| value)
}
