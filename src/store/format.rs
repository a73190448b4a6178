//! How rows are written: a checksum around the bytes, and versioned JSON inside them.
//!
//! Owns both forms. What was not written by us under the same table and key, or by a newer version,
//! is refused before anything reads its meaning.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{StoreError, Table};

/// Length of the checksum before each value.
const SUM_LEN: usize = 8;

/// The value with a checksum over table, key and value in front: a row that was flipped, cut,
/// zeroed or put elsewhere does not open.
#[must_use]
pub fn seal(table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SUM_LEN + value.len());
    sealed.extend_from_slice(&checksum(table, key, value));
    sealed.extend_from_slice(value);
    sealed
}

/// The value of a sealed row.
///
/// # Errors
/// When the row is not what was sealed under this table and key.
pub fn open(table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = |what: &str| StoreError::Damaged {
        place: format!("{} row {}", table.name(), hex::encode(key)),
        what: what.to_owned(),
    };
    let (sum, value) = sealed
        .split_at_checked(SUM_LEN)
        .ok_or_else(|| damaged("it is cut short"))?;
    if sum != checksum(table, key, value) {
        return Err(damaged("its checksum does not match"));
    }
    Ok(value.to_vec())
}

fn checksum(table: Table, key: &[u8], value: &[u8]) -> [u8; SUM_LEN] {
    let mut hasher = blake3::Hasher::new();
    for part in [table.name().as_bytes(), key, value] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut sum = [0; SUM_LEN];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// A type with a stored form.
pub trait Form: Serialize + DeserializeOwned {
    /// How the form is called in errors and compat fixtures.
    const NAME: &'static str;
    /// The version written; lower ones are read through `upgrade`.
    const VERSION: u32;

    /// Turns a row of an older version into one of the next.
    #[must_use]
    fn upgrade(_from: u32, _row: serde_json::Value) -> Option<serde_json::Value> {
        None
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    row: T,
}

/// Writes a row in its current version.
///
/// # Errors
/// When the value has no JSON form.
pub fn encode<T: Form>(row: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Envelope { v: T::VERSION, row }).map_err(|e| malformed::<T>(&e))
}

/// Reads a row of this or an older version.
///
/// # Errors
/// When it is newer than this program, or has no meaning.
pub fn decode<T: Form>(bytes: &[u8]) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        v: u32,
    }
    if let Ok(Envelope::<T> { v, row }) = serde_json::from_slice(bytes)
        && v == T::VERSION
    {
        return Ok(row);
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|e| malformed::<T>(&e))?;
    if head.v > T::VERSION {
        let place = T::NAME.to_owned();
        return Err(StoreError::Newer {
            place,
            found: head.v,
            known: T::VERSION,
        });
    }
    let old: Envelope<serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|e| malformed::<T>(&e))?;
    let mut row = old.row;
    for from in head.v..T::VERSION {
        row = T::upgrade(from, row)
            .ok_or_else(|| malformed::<T>(&format!("version {from} is no longer read")))?;
    }
    serde_json::from_value(row).map_err(|e| malformed::<T>(&e))
}

fn malformed<T: Form>(what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Malformed {
        place: T::NAME.to_owned(),
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::Class;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Two {
        b: u32,
    }
    impl Form for Two {
        const NAME: &'static str = "two";
        const VERSION: u32 = 2;
        fn upgrade(from: u32, row: serde_json::Value) -> Option<serde_json::Value> {
            (from == 1).then(|| serde_json::json!({"b": row["a"]}))
        }
    }

    #[test]
    fn reads_old_writes_new_refuses_newer() {
        assert_eq!(
            decode::<Two>(br#"{"v":1,"row":{"a":7}}"#).unwrap(),
            Two { b: 7 }
        );
        assert_eq!(encode(&Two { b: 7 }).unwrap(), br#"{"v":2,"row":{"b":7}}"#);
        let newer = decode::<Two>(br#"{"v":3,"row":{"b":7,"c":1}}"#).unwrap_err();
        assert_eq!(newer.class(), Class::Operator);
        assert_eq!(
            newer.to_string(),
            "two has version 3, this tidegate reads up to 2: run the newer tidegate"
        );
        for bad in [
            &b"{\"v\":0,\"row\":{}}"[..],
            b"",
            b"{}",
            b"{\"v\":2,\"row\":{}}",
        ] {
            assert_eq!(decode::<Two>(bad).unwrap_err().class(), Class::Poison);
        }
    }

    proptest! {
        #[test]
        fn any_flip_or_cut_is_found(
            key in proptest::collection::vec(any::<u8>(), 0..20),
            value in proptest::collection::vec(any::<u8>(), 0..60),
            at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let sealed = seal(Table::Alerts, &key, &value);
            prop_assert_eq!(open(Table::Alerts, &key, &sealed).unwrap(), value);
            let mut flipped = sealed.clone();
            flipped[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open(Table::Alerts, &key, &flipped).is_err());
            prop_assert!(open(Table::Alerts, &key, &sealed[..at.index(sealed.len())]).is_err());
            prop_assert!(open(Table::Actions, &key, &sealed).is_err());
            let mut other = key.clone();
            other.push(0);
            prop_assert!(open(Table::Alerts, &other, &sealed).is_err());
            prop_assert!(open(Table::Alerts, &key, &vec![0; sealed.len()]).is_err());
        }
    }
}
