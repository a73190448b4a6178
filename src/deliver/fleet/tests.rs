use super::*;
use crate::deliver::address::SystemLookup;
use crate::deliver::body;
use crate::deliver::clock::{Clock as _, SystemClock};
use crate::engine::outbox::{Message, Outbox, OutboxError, Settled};
use crate::model::fault::Class;
use crate::model::ids::Id;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

struct Source;
impl SecretSource for Source {
    fn env(&self, name: &str) -> Option<String> {
        (name == "S").then(|| "whsec_AAAA".to_owned())
    }
    fn file(&self, _path: &str) -> std::io::Result<String> {
        Err(std::io::Error::from(std::io::ErrorKind::NotFound))
    }
}

#[derive(Default)]
struct Broker(Mutex<Vec<(String, String, String)>>);
impl Topic for Broker {
    fn produce<'a>(
        &'a self,
        topic: &'a str,
        key: &'a str,
        payload: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let mut records = self.0.lock().unwrap();
            records.push((topic.to_owned(), key.to_owned(), payload.to_owned()));
            Ok(())
        })
    }
}

/// One message for each endpoint; settling "bad" fails for good.
#[derive(Default)]
struct One(Mutex<Vec<String>>);
impl Outbox for One {
    fn load(&self, endpoint: &str, after: u64, _limit: usize) -> Result<Vec<Message>, OutboxError> {
        let now = SystemClock::new().now();
        let draft = body::test(Id([1; 32]), now);
        let message = Message { number: 1, endpoint: endpoint.to_owned(), draft };
        Ok(if after == 0 { vec![message] } else { Vec::new() })
    }
    fn depth(&self, _endpoint: &str) -> Result<u64, OutboxError> {
        Ok(0)
    }
    fn settle(&self, endpoint: &str, _settled: &[Settled]) -> Result<(), OutboxError> {
        self.0.lock().unwrap().push(endpoint.to_owned());
        if endpoint == "bad" {
            return Err(OutboxError { class: Class::Fatal, what: "the disk failed".into() });
        }
        Ok(())
    }
}

fn around(outbox: Arc<dyn Outbox>) -> Surroundings {
    Surroundings {
        outbox,
        clock: Arc::new(SystemClock::new()),
        gate: Arc::new(|_| None),
        notices: Arc::new(|_| {}),
        seed: 1,
    }
}

fn fleet(yaml: &str, outbox: Arc<dyn Outbox>, broker: &Arc<Broker>) -> Result<Fleet, Vec<String>> {
    let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
    let topic = Some(Arc::clone(broker) as Arc<dyn Topic>);
    let means = Means { secrets: &Source, lookup: Arc::new(SystemLookup), topic };
    Fleet::new(&settings, &means, &around(outbox))
}

#[tokio::test]
async fn every_endpoint_gets_its_messages_and_all_stop_together() {
    let (outbox, broker) = (Arc::new(One::default()), Arc::new(Broker::default()));
    let yaml = "topics: [{name: a, topic: alerts}, {name: b, topic: actions, shape: envelope}]";
    let fleet = fleet(yaml, Arc::clone(&outbox) as Arc<dyn Outbox>, &broker).unwrap();
    let handles = fleet.handles();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(fleet.run(stopped));
    while outbox.0.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    handles.wake();
    stop.send(true).unwrap();
    task.await.unwrap().unwrap();
    let records = broker.0.lock().unwrap();
    let of = |topic: &str| records.iter().find(|r| r.0 == topic).unwrap().2.clone();
    assert!(of("alerts").starts_with(r#"{"text":"#) && of("actions").starts_with(r#"{"type":"#));
    let delivered: u64 = handles.read().iter().map(|r| r.delivered).sum();
    assert_eq!(delivered, 2);
}

#[tokio::test]
async fn one_that_fails_for_good_stops_all() {
    let (outbox, broker) = (Arc::new(One::default()), Arc::new(Broker::default()));
    let yaml = "topics: [{name: good, topic: a}, {name: bad, topic: b}]";
    let fleet = fleet(yaml, outbox, &broker).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let error = fleet.run(stopped).await.unwrap_err();
    assert_eq!(error.class(), Class::Fatal);
    assert_eq!(error.to_string(), "endpoint bad: the disk failed");
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let yaml = "
webhooks:
  - {name: a, url: 'https://example.com', secret_env: MISSING}
  - {name: b, url: 'https://example.com', secret_env: S, ca_file: /gone}
  - {name: c, url: 'https://127.0.0.1', secret_env: S}
";
    let faults = fleet(yaml, Arc::new(One::default()), &Arc::default()).err().unwrap();
    for part in ["MISSING is not set", "ca_file /gone", "loopback"] {
        assert!(faults.iter().any(|f| f.contains(part)), "{part}: {faults:?}");
    }
    assert!(!format!("{faults:?}").contains("whsec_"));
}
