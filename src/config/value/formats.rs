//! The `format` word of each kind of value: its reader for serde, its entry in the JSON Schema and
//! the check by that word, all from one table so that they cannot differ. No word may be one that
//! JSON Schema defines otherwise (its `duration` is ISO 8601), or editors refuse what we accept.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BadValue, Cidr, Duration, EnvName, HostPort, Listen, Name, Shards, Size, Topic, Url};

macro_rules! formats {
    ($($type:ident, $word:literal, $json:tt, $what:literal, $example:literal;)*) => {
        /// Whether a text has the format; `None` if the word is none of ours.
        #[must_use]
        pub fn check(word: &str, text: &str) -> Option<Result<(), BadValue>> {
            match word {
                $($word => {
                    let bad = BadValue { what: $what, example: $example };
                    Some($type::from_str(text).map(drop).map_err(|()| bad))
                })*
                "ip" => {
                    let bad = BadValue { what: "an address", example: "192.0.2.7" };
                    Some(std::net::IpAddr::from_str(text).map(drop).map_err(|_| bad))
                }
                _ => None,
            }
        }

        /// A text that has the format.
        #[must_use]
        pub fn example(word: &str) -> Option<&'static str> {
            match word {
                $($word => Some($example),)*
                _ => None,
            }
        }

        $(
            impl fmt::Debug for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }
            impl Serialize for $type {
                /// As it may be shown; a URL loses its path.
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }
            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    let bad = BadValue { what: $what, example: $example };
                    text.parse().map_err(|()| serde::de::Error::custom(bad))
                }
            }
            impl JsonSchema for $type {
                fn inline_schema() -> bool {
                    true
                }
                fn schema_name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($type))
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": $json, "format": $word, "examples": [$example] })
                }
            }
        )*
    };
}

formats! {
    Duration, "duration-with-unit", "string", "a length of time with a unit", "30s, 5m or 24h";
    Size, "size", "string", "a number of bytes with a unit", "512MiB";
    Shards, "shards", ["string", "integer"], "`auto` or a number from 1 to 256", "auto";
    Url, "url", "string", "a URL", "https://enforcer.example.com/hook";
    Cidr, "cidr", "string", "an address range whose lower bits are zero", "192.0.2.0/24";
    Listen, "listen", "string", "an address and a port", "127.0.0.1:8080";
    Name, "name", "string", "a name of lower-case letters, digits, `-` and `_`", "identity-events";
    Topic, "topic", "string", "a topic name of letters, digits, `.`, `-` and `_`", "identity-events";
    EnvName, "env-name", "string", "the name of an environment variable (not its value)", "WEBHOOK_SECRET";
    HostPort, "host-port", "string", "a host and a port", "kafka-1.example.com:9092";
}
