//! What the brokers say of a topic: its partitions, who leads them, and where their logs begin and end.
//!
//! Asks a broker once for all the partitions it leads, so that many cost no more than one and those
//! of a broker that is gone hide no others. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::super::Partition;
use super::KafkaSource;
use super::client::Client;

/// How long a question to the brokers may take.
pub(super) const ASK: Duration = Duration::from_secs(3);

/// A topic's partitions and their leaders; `None` where there is none at the time.
pub(super) type Leaders = BTreeMap<i32, Option<i32>>;

/// Partitions by topic.
pub(super) type Asked = BTreeMap<u16, Vec<i32>>;

/// First offset and one past the last.
pub(super) type Ends = (i64, i64);

/// The partitions of a topic: none if there is no such topic.
///
/// # Errors
/// Nobody answered, or not to the question.
pub(super) fn leaders<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    name: &str,
) -> Result<Leaders, String> {
    let refused =
        |e: &dyn std::fmt::Display| format!("brokers cannot be asked for topic {name}: {e}");
    let metadata = consumer
        .fetch_metadata(Some(name), ASK)
        .map_err(|e| refused(&e))?;
    let Some(topic) = metadata.topics().iter().find(|t| t.name() == name) else {
        return Err(refused(&"the answer leaves it out"));
    };
    match topic.error() {
        None => {}
        Some(
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        ) => return Ok(Leaders::new()),
        Some(error) => return Err(refused(&rdkafka::error::RDKafkaErrorCode::from(error))),
    }
    let partitions = topic.partitions().iter();
    Ok(partitions
        .map(|p| (p.id(), Some(p.leader()).filter(|leader| *leader >= 0)))
        .collect())
}

/// The bounds of these partitions' logs, as far as they can be had, and why some cannot. Leaders known to be
/// `silent` are not asked, and those that give no answer become so.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    name: &str,
    partitions: &Leaders,
    silent: &mut BTreeSet<i32>,
) -> (BTreeMap<i32, Ends>, Option<String>) {
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut leaderless = Vec::new();
    for (number, leader) in partitions {
        match leader {
            Some(leader) => by_leader.entry(*leader).or_default().push(*number),
            None => leaderless.push(*number),
        }
    }
    let mut found = BTreeMap::new();
    let mut trouble = (!leaderless.is_empty())
        .then(|| format!("partitions {leaderless:?} of {name} have no leader"));
    for (leader, numbers) in &by_leader {
        if silent.contains(leader) {
            continue;
        }
        let both = at(consumer, name, numbers, Offset::Beginning)
            .and_then(|low| Ok((low, at(consumer, name, numbers, Offset::End)?)));
        match both {
            Ok((low, high)) => found.extend(
                low.into_iter()
                    .filter_map(|(number, low)| Some((number, (low, *high.get(&number)?)))),
            ),
            Err(e) => {
                silent.insert(*leader);
                trouble = Some(format!(
                    "the bounds of partitions {numbers:?} of {name} cannot be read: {e}"
                ));
            }
        }
    }
    let missing = partitions.iter().filter(|(_, leader)| leader.is_some());
    let missing: Vec<i32> = missing
        .map(|(number, _)| *number)
        .filter(|number| !found.contains_key(number))
        .collect();
    if trouble.is_none() && !missing.is_empty() {
        trouble = Some(format!(
            "the bounds of partitions {missing:?} of {name} cannot be read now"
        ));
    }
    (found, trouble)
}

impl KafkaSource {
    /// The bounds of these partitions, as far as this client is told, and those for which nobody has answered.
    /// Whoever gave no answer is not waited for again.
    pub(super) fn ask(&self, client: &Client, asked: &Asked) -> (BTreeMap<Partition, Ends>, Asked) {
        let (mut all, mut open) = (BTreeMap::new(), asked.clone());
        let mut silent = BTreeSet::new();
        for (topic, numbers) in asked {
            let topic = *topic;
            let Ok(mut leaders) = leaders(client, self.name(topic)) else {
                break;
            };
            leaders.retain(|number, _| numbers.contains(number));
            let (ends, _why) = ends(client, self.name(topic), &leaders, &mut silent);
            // One that is not there, or has no leader, has nothing to be asked for.
            leaders.retain(|number, leader| leader.is_some() && !ends.contains_key(number));
            open.insert(topic, leaders.into_keys().collect());
            let place = |(number, ends)| (Partition { topic, number }, ends);
            all.extend(ends.into_iter().map(place));
        }
        open.retain(|_, numbers| !numbers.is_empty());
        (all, open)
    }
}

/// One end of the logs of partitions that one broker leads.
fn at<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    name: &str,
    numbers: &[i32],
    end: Offset,
) -> Result<BTreeMap<i32, i64>, String> {
    let mut list = TopicPartitionList::with_capacity(numbers.len());
    for number in numbers {
        list.add_partition_offset(name, *number, end)
            .map_err(|e| e.to_string())?;
    }
    let answer = consumer
        .offsets_for_times(list, ASK)
        .map_err(|e| e.to_string())?;
    let offset = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
        Offset::Offset(offset) if e.error().is_ok() => Some((e.partition(), offset)),
        _ => None,
    };
    Ok(answer.elements().iter().filter_map(offset).collect())
}
