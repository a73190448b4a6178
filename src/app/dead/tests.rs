//! Dead letters to a topic.

use std::pin::Pin;
use std::sync::Mutex;

use tokio::sync::oneshot;

use super::*;

/// A broker that says nothing before it has so many records.
struct Slow {
    enough: usize,
    waiting: Mutex<Vec<oneshot::Sender<Result<(), String>>>>,
}

impl Topic for Slow {
    fn produce<'a>(
        &'a self,
        _topic: &'a str,
        _key: &'a str,
        _payload: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        let (give, report) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap();
        waiting.push(give);
        if waiting.len() >= self.enough {
            for give in waiting.drain(..) {
                give.send(Ok(())).unwrap();
            }
        }
        Box::pin(async { report.await.unwrap() })
    }
}

fn letters(count: usize) -> Vec<(Origin, DeadLetter)> {
    vec![(Origin::default(), DeadLetter::defect()); count]
}

fn topic(slow: &Arc<Slow>, runtime: &tokio::runtime::Runtime) -> DeadLetters {
    let out: Arc<dyn Topic> = Arc::clone(slow) as _;
    DeadLetters::Topic(LetterTopic::new(
        out,
        "dead".to_owned(),
        runtime.handle().clone(),
    ))
}

fn slow(enough: usize) -> Arc<Slow> {
    Arc::new(Slow {
        enough,
        waiting: Mutex::default(),
    })
}

#[test]
fn a_batch_does_not_wait_for_each_of_its_letters() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut dead = topic(&slow(200), &runtime);
    assert_eq!(dead.write(&[], &letters(200)).unwrap(), 0);
}

#[test]
fn a_batch_that_is_given_again_goes_out_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let slow = slow(3);
    let mut dead = topic(&slow, &runtime);
    let error = dead.write(&[], &letters(2)).unwrap_err();
    assert_eq!(error.class(), Class::Retry);
    assert_eq!(slow.waiting.lock().unwrap().len(), 2);
    for give in slow.waiting.lock().unwrap().drain(..) {
        give.send(Ok(())).unwrap();
    }
    dead.write(&[], &letters(2)).unwrap();
    assert_eq!(slow.waiting.lock().unwrap().len(), 0);
}
