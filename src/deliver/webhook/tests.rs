#![expect(clippy::disallowed_methods, reason = "tests measure and wait")]

use super::*;
use crate::deliver::address::SystemLookup;
use crate::deliver::body;
use crate::deliver::settings::{Names, RetrySettings, Selection};
use crate::deliver::stub::{Answer, Stub};
use crate::engine::outbox::Message;
use crate::model::Span;
use crate::model::ids::Id;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Instant;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STAMP: i64 = 1_768_205_523;

pub(crate) fn settings(url: &str) -> EndpointSettings {
    EndpointSettings {
        name: "soc".into(),
        url: url.into(),
        secret_env: Names::None,
        secret_file: Names::None,
        only: Selection::default(),
        retry: RetrySettings::default(),
        concurrency: 4,
        timeout: Span(400),
        ca_file: None,
        allow_insecure: true,
        allow_private: true,
    }
}

fn webhook(settings: &EndpointSettings) -> Result<Webhook, DeliverError> {
    let secrets = vec![Secret::parse(SECRET).unwrap()];
    Webhook::new(settings, secrets, None, Arc::new(SystemLookup))
}

fn message() -> Message {
    Message {
        number: 1,
        endpoint: "soc".into(),
        draft: body::test(Id([7; 32]), WallTime(0)),
    }
}

async fn attempt(answer: Answer) -> (Outcome, Stub) {
    let stub = Stub::start(move |_| answer.clone()).await;
    let hook = webhook(&settings(&stub.url())).unwrap();
    (hook.send(&message(), STAMP).await, stub)
}

fn fault(outcome: &Outcome) -> Option<Fault> {
    match outcome {
        Outcome::Delivered => None,
        Outcome::Failed(failure) => Some(failure.fault),
    }
}

#[tokio::test]
async fn a_webhook_is_signed_and_says_who_sends_it() {
    let (outcome, stub) = attempt(Answer::Status(204)).await;
    assert_eq!(outcome, Outcome::Delivered);
    let requests = stub.requests.lock().unwrap();
    let request = &requests[0];
    let header = |name: &str| request.headers.get(name).cloned().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("tidegate/"));
    assert_eq!(header("webhook-timestamp"), STAMP.to_string());
    let keys = [Secret::parse(SECRET).unwrap()];
    let (id, signature) = (header("webhook-id"), header("webhook-signature"));
    sign::verify(&keys, &id, STAMP, &request.body, &signature, STAMP).unwrap();
    assert_eq!(request.body, message().draft.body.as_bytes());
}

#[tokio::test]
async fn answers_are_told_apart() {
    for (answer, want) in [
        (Answer::Status(200), None),
        (Answer::Status(299), None),
        (Answer::Status(500), Some(Fault::Server)),
        (Answer::Status(503), Some(Fault::Server)),
        (Answer::With(503, "retry-after: 7"), Some(Fault::Busy)),
        (Answer::With(429, "retry-after: 7"), Some(Fault::Busy)),
        (Answer::Status(429), Some(Fault::Busy)),
        (Answer::Status(408), Some(Fault::Server)),
        (Answer::Status(410), Some(Fault::Gone)),
        (Answer::Status(401), Some(Fault::Client)),
        (Answer::Status(404), Some(Fault::Client)),
        (Answer::Status(422), Some(Fault::Message)),
        (Answer::Status(304), Some(Fault::Redirect)),
        (Answer::Close, Some(Fault::Connection)),
        (Answer::Garbage, Some(Fault::Connection)),
    ] {
        let (outcome, _stub) = attempt(answer.clone()).await;
        assert_eq!(fault(&outcome), want, "{answer:?}: {outcome:?}");
        if let (Answer::With(..), Outcome::Failed(failure)) = (&answer, &outcome) {
            assert_eq!(failure.retry_after, Some(Span::seconds(7)));
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let trap = Stub::start(|_| Answer::Status(200)).await;
    let location: &'static str = Box::leak(format!("location: {}", trap.url()).into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let (outcome, stub) = attempt(Answer::With(status, location)).await;
        assert_eq!((fault(&outcome), stub.count()), (Some(Fault::Redirect), 1));
    }
    let (outcome, _) = attempt(Answer::With(302, "location: http://169.254.169.254/")).await;
    assert_eq!(fault(&outcome), Some(Fault::Redirect));
    assert_eq!(trap.count(), 0);
}

#[tokio::test]
async fn slow_and_silent_receivers_are_left() {
    for answer in [Answer::SlowHeader, Answer::SlowBody, Answer::Hang] {
        let start = Instant::now();
        let (outcome, _stub) = attempt(answer.clone()).await;
        assert_eq!(fault(&outcome), Some(Fault::Timeout), "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{answer:?}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_not_read() {
    let (outcome, stub) = attempt(Answer::Huge(1 << 30)).await;
    assert_eq!(outcome, Outcome::Delivered);
    tokio::time::sleep(Duration::from_millis(100)).await;
    // What the sockets hold on the way is the kernel's, a few MiB at most.
    let sent = stub.sent_bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < 16 << 20, "{sent}");
}

#[tokio::test]
async fn no_tls_where_tls_should_be() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream
                .write_all(b"220 mail.example.com ESMTP\r\n")
                .await
                .unwrap();
        }
    });
    let hook = webhook(&settings(&format!("https://{address}/"))).unwrap();
    assert_eq!(
        fault(&hook.send(&message(), STAMP).await),
        Some(Fault::Connection)
    );
}

struct Fixed(IpAddr);
impl Lookup for Fixed {
    fn lookup(
        &self,
        _name: String,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn a_name_that_points_inside_is_never_connected_to() {
    let stub = Stub::start(|_| Answer::Status(200)).await;
    let mut e = settings(&format!(
        "http://hooks.example.com:{}/",
        stub.address.port()
    ));
    let hook = |e: &EndpointSettings| {
        let secrets = vec![Secret::parse(SECRET).unwrap()];
        Webhook::new(e, secrets, None, Arc::new(Fixed(stub.address.ip()))).unwrap()
    };
    assert_eq!(hook(&e).send(&message(), STAMP).await, Outcome::Delivered);
    e.allow_private = false;
    let outcome = hook(&e).send(&message(), STAMP).await;
    assert_eq!(fault(&outcome), Some(Fault::Address), "{outcome:?}");
    let Outcome::Failed(failure) = outcome else {
        panic!()
    };
    assert!(failure.detail.contains("loopback"), "{}", failure.detail);
    assert_eq!(stub.count(), 1);
}

#[tokio::test]
async fn literal_addresses_and_plain_http_are_refused_when_made() {
    let mut e = settings("http://127.0.0.1:9/");
    e.allow_private = false;
    assert!(webhook(&e).unwrap_err().to_string().contains("loopback"));
    e.allow_private = true;
    e.allow_insecure = false;
    assert!(webhook(&e).unwrap_err().to_string().contains("use https"));
}

#[tokio::test]
async fn failures_do_not_show_the_url() {
    let mut e = settings("http://127.0.0.1:1/secret-path");
    e.timeout = Span(2000);
    let outcome = webhook(&e).unwrap().send(&message(), STAMP).await;
    assert!(
        !format!("{outcome:?}").contains("secret-path"),
        "{outcome:?}"
    );
    assert!(!format!("{:?}", webhook(&e).unwrap()).contains("secret-path"));
    assert_eq!(fault(&outcome), Some(Fault::Connection));
}
