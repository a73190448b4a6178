//! Splits packets over shards and puts their findings together again, in an order that does not
//! depend on the number of shards.

use super::alert::Alert;
use super::exchange::{Observation, Packet, Progress};

/// The shard that owns a key.
#[must_use]
pub fn shard_of(key: u64, shards: usize) -> usize {
    // The high bits: tables use the low ones.
    usize::try_from((u128::from(key) * shards as u128) >> 64).unwrap_or(0)
}

/// Cuts a packet into one per shard; each keeps the order and the progress.
pub fn split(packet: &Packet, parts: &mut [Packet]) {
    let shards = parts.len();
    for part in parts.iter_mut() {
        part.observations.clear();
        part.text.clear();
        part.progress = packet.progress;
    }
    for o in &packet.observations {
        if let Some(part) = parts.get_mut(shard_of(o.key, shards)) {
            part.push(*o, packet.text_of(o));
        }
    }
}

/// Joins what shards derived into one packet, sorted.
#[must_use]
pub fn join<'a>(derived: impl Iterator<Item = &'a Packet>, progress: Progress) -> Packet {
    let of = |p: &'a Packet| p.observations.iter().map(move |o| (o, p.text_of(o)));
    let mut all: Vec<(&Observation, &[u8])> = derived.flat_map(of).collect();
    // Later inputs first, as with events: a share's denominator is there when its numerator comes.
    // Claims last: what is claimed must be there.
    all.sort_by_key(|(o, text)| {
        (
            o.time,
            o.rule,
            o.key,
            o.is_claim(),
            std::cmp::Reverse(o.input),
            o.values,
            *text,
        )
    });
    let mut packet = Packet {
        progress,
        ..Packet::default()
    };
    for (o, text) in all {
        packet.push(*o, text);
    }
    packet
}

/// The order in which alerts of one packet are told: by the event time that brought them about.
/// Sorted packets cover ranges of event time that do not overlap, so the order of all alerts does
/// not depend on how input was cut.
pub fn sort_alerts(alerts: &mut [(i64, Alert)]) {
    alerts.sort_by(|(a_at, a), (b_at, b)| {
        (a_at, &a.detector.name, a.alert_id, a.revision).cmp(&(
            b_at,
            &b.detector.name,
            b.alert_id,
            b.revision,
        ))
    });
}
