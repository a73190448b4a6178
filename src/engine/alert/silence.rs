//! A human's mute: alerts that are stored and counted, but neither told nor acted upon.
//!
//! Owns what a silence is, its matchers and their limits; `app::commit` keeps silences and asks
//! them. Pure: the wall clock is an argument. Invariant: no silence without an end, an author and a
//! comment, and none that mutes everything.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::{Alert, is_none};
use crate::model::ids::{HashKey, Id};
use crate::model::{Span, WallTime, duration};

/// Most matchers of one silence.
pub const MATCHERS_MAX: usize = 16;
/// Most bytes of a matcher's value, and of an author's name.
pub const VALUE_MAX: usize = 256;
/// Most bytes of a comment.
pub const COMMENT_MAX: usize = 1000;
/// How long a silence lasts when nobody says.
pub const LASTS_DEFAULT: Span = Span::hours(1);
/// The longest a silence may last; what is noise for longer is a matter of the detector.
pub const LASTS_MAX: Span = Span::days(30);
/// Most memory of a compiled regex.
const REGEX_MAX: usize = 64 << 10;

/// One condition on an alert, as people write it: `detector=reset-flood-ip`,
/// `source.ip=~"203\.0\.113\..*"`, `level!=critical`, `user.id!~svc-.*`.
///
/// Names are `detector` (its id or name), `level`, and the fields of the alert's key and context. A
/// field that the alert does not have is the empty text. A regex must match the whole value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Matcher {
    name: String,
    value: String,
    regex: Option<Regex>,
    negated: bool,
}

impl Matcher {
    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no matcher: write FIELD=VALUE, !=, =~ or !~");
        let at = text.find(['=', '!']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let name = name.trim();
        let operators = [("=~", true), ("!~", true), ("!=", false), ("=", false)];
        let found = operators
            .iter()
            .find_map(|(op, is_regex)| Some((op, *is_regex, rest.strip_prefix(op)?)));
        let (op, is_regex, value) = found.ok_or_else(wrong)?;
        let word = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        if name.is_empty() || name.len() > VALUE_MAX || !name.chars().all(word) {
            return Err(wrong());
        }
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let value = bare.unwrap_or(value);
        if value.len() > VALUE_MAX || value.contains(char::is_control) {
            return Err(format!(
                "the value of {name} is longer than {VALUE_MAX} bytes or holds control characters"
            ));
        }
        let regex = is_regex.then(|| anchored(value)).transpose()?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            regex,
            negated: op.starts_with('!'),
        })
    }

    /// Whether it takes the alert.
    #[must_use]
    pub fn takes(&self, alert: &Alert) -> bool {
        let detector = &alert.detector;
        let met = match self.name.as_str() {
            "detector" => self.is(&detector.id) || self.is(&detector.name),
            "level" => self.is(detector.level.name()),
            field => {
                let value = alert.key.get(field).or_else(|| alert.context.get(field));
                self.is(value.map_or("", String::as_str))
            }
        };
        met != self.negated
    }

    /// Whether it would also take an alert that does not have its field.
    fn takes_anything(&self) -> bool {
        self.is("") != self.negated
    }

    fn is(&self, value: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        }
    }
}

fn anchored(value: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{value})$"))
        .size_limit(REGEX_MAX)
        .dfa_size_limit(REGEX_MAX)
        .build()
        .map_err(|_| format!("{value:?} is no regex, or one that is too large"))
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let op = match (self.regex.is_some(), self.negated) {
            (false, false) => "=",
            (false, true) => "!=",
            (true, false) => "=~",
            (true, true) => "!~",
        };
        write!(f, "{}{op}{}", self.name, self.value)
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> Self {
        matcher.to_string()
    }
}

impl TryFrom<String> for Matcher {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// What someone asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// All of them must take an alert.
    pub matchers: Vec<Matcher>,
    pub author: String,
    pub comment: String,
    /// How long from now.
    #[serde(default = "lasts_default", with = "duration")]
    pub lasts: Span,
}

const fn lasts_default() -> Span {
    LASTS_DEFAULT
}

impl Wanted {
    /// Why it cannot be had, if so.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let (matchers, lasts) = (&self.matchers, self.lasts);
        if matchers.is_empty() || matchers.len() > MATCHERS_MAX {
            return Some(format!("give 1 to {MATCHERS_MAX} matchers"));
        }
        if matchers.iter().all(Matcher::takes_anything) {
            return Some("this would mute everything: name a detector or a field".to_owned());
        }
        if self.author.trim().is_empty() || self.author.len() > VALUE_MAX {
            return Some("say who asks for it in `author`".to_owned());
        }
        if self.comment.trim().is_empty() || self.comment.len() > COMMENT_MAX {
            return Some(format!(
                "say why in `comment`, in at most {COMMENT_MAX} bytes"
            ));
        }
        (lasts <= Span::ZERO || lasts > LASTS_MAX)
            .then(|| format!("a silence lasts more than nothing and at most {LASTS_MAX}"))
    }
}

/// A mute with its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Silence {
    pub silence_id: Id,
    pub matchers: Vec<Matcher>,
    pub author: String,
    /// The token it came with.
    pub via: String,
    pub comment: String,
    pub created_at: WallTime,
    /// Moved to the front when someone ends it early.
    pub expires_at: WallTime,
    /// Alerts that it kept from being told.
    #[serde(default, skip_serializing_if = "is_none")]
    pub muted: u64,
}

impl Silence {
    /// The n-th silence of a store; the caller has looked for a fault.
    #[must_use]
    pub fn new(number: u64, wanted: Wanted, via: &str, now: WallTime) -> Self {
        // It guards nothing: whoever may ask for one may read them all.
        let parts = [&b"silence"[..], &number.to_be_bytes()];
        Self {
            silence_id: HashKey::fixed().digest(&parts),
            matchers: wanted.matchers,
            author: wanted.author,
            via: via.to_owned(),
            comment: wanted.comment,
            created_at: now,
            expires_at: now + wanted.lasts,
            muted: 0,
        }
    }

    #[must_use]
    pub fn is_over(&self, now: WallTime) -> bool {
        self.expires_at <= now
    }

    /// Whether it mutes the alert now.
    #[must_use]
    pub fn mutes(&self, alert: &Alert, now: WallTime) -> bool {
        !self.is_over(now) && takes(&self.matchers, alert)
    }
}

/// Whether all of the matchers take the alert.
#[must_use]
pub fn takes(matchers: &[Matcher], alert: &Alert) -> bool {
    matchers.iter().all(|m| m.takes(alert))
}

/// The first silence that mutes the alert now.
#[must_use]
pub fn muting<'a>(silences: &'a [Silence], alert: &Alert, now: WallTime) -> Option<&'a Silence> {
    silences.iter().find(|s| s.mutes(alert, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::meta;

    /// An alert of `tidegate-key-explosion` with the key `detector: flood-1`.
    fn alert() -> Alert {
        let mut alert = meta::key_explosion(&HashKey::fixed(), "flood-1", 5, WallTime(0));
        alert.key.0.push(("source.ip".into(), "203.0.113.7".into()));
        alert
    }

    fn wanted(matchers: &[&str]) -> Wanted {
        let parse = |text: &&str| Matcher::parse(text).unwrap();
        Wanted {
            matchers: matchers.iter().map(parse).collect(),
            author: "ada".into(),
            comment: "load test".into(),
            lasts: Span::hours(2),
        }
    }

    #[test]
    fn matchers_compare_whole_values() {
        for (text, want) in [
            ("detector=tidegate-key-explosion", true),
            ("detector=tidegate", false),
            ("detector=~tidegate-.*", true),
            ("detector=~tidegate", false),
            ("level=critical", true),
            ("level!=critical", false),
            ("source.ip=203.0.113.7", true),
            ("source.ip = \"203.0.113.7\"", true),
            (r"source.ip=~203\.0\.113\.\d+", true),
            (r"source.ip!~203\.0\.113\.\d+", false),
            ("user.id=", true),
            ("user.id!=u1", true),
            ("user.id=~.+", false),
        ] {
            let matcher = Matcher::parse(text).unwrap();
            assert_eq!(matcher.takes(&alert()), want, "{text}");
            let again = Matcher::parse(&matcher.to_string()).unwrap();
            assert_eq!(again.takes(&alert()), want, "{text} written and read");
        }
    }

    #[test]
    fn what_is_no_matcher_is_told() {
        let large = format!("a=~{}", r"\pL{50}".repeat(20));
        for bad in [
            "",
            "source.ip",
            "=x",
            "a b=c",
            "a=~(",
            "a!c",
            "a=\u{1}",
            &large,
        ] {
            assert!(Matcher::parse(bad).is_err(), "{bad}");
        }
        assert!(Matcher::parse(&format!("a={}", "x".repeat(VALUE_MAX + 1))).is_err());
    }

    #[test]
    fn nothing_mutes_everything_or_for_ever_or_without_a_reason() {
        assert_eq!(wanted(&["source.ip=203.0.113.7"]).fault(), None);
        assert!(wanted(&[]).fault().is_some());
        assert!(wanted(&["detector=~.*", "user.id!=x"]).fault().is_some());
        assert!(wanted(&["a=b"; MATCHERS_MAX + 1]).fault().is_some());
        let change = |change: fn(&mut Wanted)| {
            let mut wanted = wanted(&["a=b"]);
            change(&mut wanted);
            wanted.fault()
        };
        assert!(change(|w| w.author = " ".into()).is_some());
        assert!(change(|w| w.comment.clear()).is_some());
        assert!(change(|w| w.lasts = Span::ZERO).is_some());
        assert!(change(|w| w.lasts = Span(LASTS_MAX.0 + 1)).is_some());
    }

    #[test]
    fn a_silence_takes_what_all_its_matchers_take_until_its_end() {
        let both = ["level=critical", "source.ip=203.0.113.7"];
        let silence = Silence::new(1, wanted(&both), "local", WallTime(0));
        let end = WallTime(Span::hours(2).0);
        assert!(silence.mutes(&alert(), WallTime(end.0 - 1)));
        assert!(!silence.mutes(&alert(), end));
        let one = ["level=critical", "source.ip=203.0.113.8"];
        assert!(!Silence::new(2, wanted(&one), "local", WallTime(0)).mutes(&alert(), WallTime(0)));
        let text = serde_json::to_string(&silence).unwrap();
        let read: Silence = serde_json::from_str(&text).unwrap();
        assert!(read.mutes(&alert(), WallTime(0)));
    }
}
