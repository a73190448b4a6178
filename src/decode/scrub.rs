//! Makes texts fit to keep: addresses become pseudonyms, secrets vanish, links lose their tokens.
//!
//! Every text that enters an event passes here, whatever its field. Knows key names and shapes of
//! values, not schemas. Invariant: no e-mail address, JWT, password or reset URL comes out, and no
//! telephone number under a name that says it is one.

use crate::model::redact::Redactor;

/// How the values of a key are made fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Free text: addresses, links and tokens inside it are replaced.
    #[default]
    Text,
    /// A link or the path of one: query and fragment go, token-like segments become `:token`.
    Link,
    /// An identifier that must stay comparable: a raw secret in its place becomes a keyed hash.
    Identifier,
    /// A raw token or code: becomes a keyed hash.
    Token,
    /// What stands where a telephone number does: becomes a pseudonym if it may be one.
    Phone,
    /// A password or the like: goes.
    Drop,
}

const DROPPED: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "pin",
    "cvv",
    "secret",
    "secrets",
    "secretdata",
    "credentialdata",
    "answer",
    "privatekey",
    "apikey",
    "cookie",
    "cookies",
    "authorization",
    "recoverycodes",
    "backupcodes",
];
const TOKENS: &[&str] = &[
    "token",
    "tokens",
    "tokenvalue",
    "jwt",
    "otp",
    "totp",
    "code",
    "assertion",
    "samlresponse",
];
/// Codes that are no secrets.
const PLAIN_CODES: &[&str] = &[
    "statuscode",
    "countrycode",
    "isocode",
    "postalcode",
    "zipcode",
    "errorcode",
    "diagnosticcode",
    "responsecode",
    "languagecode",
    "areacode",
    "reasoncode",
    "regioncode",
    "currencycode",
    "smtpcode",
    "exitcode",
    "subcode",
];
const PHONES: &[&str] = &[
    "phone",
    "phones",
    "phonenumber",
    "phonenumbers",
    "mobile",
    "mobilenumber",
    "msisdn",
];
const LINKS: &[&str] = &[
    "url", "urls", "uri", "uris", "link", "links", "href", "referer", "referrer", "returnto",
];
/// Under these a plain `code` is a number of an error or the like.
const CODE_PARENTS: &[&str] = &[
    "error",
    "status",
    "response",
    "reason",
    "result",
    "outcome",
    "country",
    "diagnostic",
];

impl Policy {
    /// The policy that a path's last names ask for.
    pub(crate) fn of(path: &str) -> Self {
        let mut segments = path.rsplit('.').map(|s| {
            s.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_ascii_lowercase()
        });
        let last = segments.next().unwrap_or_default();
        let parent = segments.next().unwrap_or_default();
        let ends = |list: &[&str]| list.iter().any(|end| last.ends_with(end));
        let token_parent = TOKENS.iter().any(|t| parent.ends_with(t)) || parent == "secret";
        if last == "path" && parent == "url" {
            Self::Link
        } else if last == "id" && token_parent || last == "tokenid" {
            Self::Identifier
        } else if token_parent && matches!(last.as_str(), "value" | "raw" | "plain" | "string") {
            Self::Token
        } else if ends(PLAIN_CODES) || (last == "code" && CODE_PARENTS.contains(&parent.as_str())) {
            Self::Text
        } else if ends(DROPPED) && !matches!(last.as_str(), "mapping" | "shipping" | "ping") {
            Self::Drop
        } else if ends(TOKENS) {
            Self::Token
        } else if ends(LINKS) {
            Self::Link
        } else if ends(PHONES)
            || matches!(last.as_str(), "number" | "value" | "e164")
                && PHONES.iter().any(|p| parent.ends_with(p))
        {
            Self::Phone
        } else {
            Self::Text
        }
    }
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It may stay as it is.
    AsIs,
    /// What may stay instead is in the buffer.
    Changed,
    /// Nothing of it may stay.
    Gone,
}

/// Writes the fit form of `text` to `out` (cleared first) if it differs.
pub(crate) fn scrub(redactor: &Redactor, policy: Policy, text: &str, out: &mut String) -> Fit {
    out.clear();
    match policy {
        Policy::Drop => Fit::Gone,
        Policy::Token => {
            redactor.secret_into(text, out);
            Fit::Changed
        }
        Policy::Phone if may_be_number(text) => {
            redactor.phone_into(text, out);
            Fit::Changed
        }
        Policy::Text | Policy::Phone | Policy::Identifier if harmless(text) => Fit::AsIs,
        Policy::Identifier if text.contains("://") || jwt(text).is_some() => {
            redactor.secret_into(text, out);
            Fit::Changed
        }
        Policy::Link => {
            words(redactor, text, true, out);
            if out == text { Fit::AsIs } else { Fit::Changed }
        }
        Policy::Text | Policy::Phone | Policy::Identifier => {
            words(redactor, text, false, out);
            if out == text { Fit::AsIs } else { Fit::Changed }
        }
    }
}

/// The pseudonym of an address, or of whatever stands where one should.
pub(crate) fn pseudonym(redactor: &Redactor, text: &str, out: &mut String) {
    out.clear();
    redactor.email_into(address_in(text), out);
}

/// The address in `Name <address>`, or the text itself.
pub(crate) fn address_in(text: &str) -> &str {
    let inner = text
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(text, |(address, _)| address)
}

/// Whether somebody could be called by it: it has the digits for that, whatever else it has.
pub(crate) fn may_be_number(text: &str) -> bool {
    text.chars().filter(|c| c.is_numeric()).count() >= 6
}

/// Whether a text has none of the characters without which there is no address, link or token.
#[inline]
fn harmless(text: &str) -> bool {
    let (chunks, rest) = text.as_bytes().as_chunks::<8>();
    let found = chunks.iter().fold(0, |found, chunk| {
        found | telling(u64::from_le_bytes(*chunk))
    });
    let found = rest.iter().any(|b| matches!(b, 0x3A..=0x40 | b'%')) || found != 0;
    // A JWT has two dots and is long; a shorter text has no room for one.
    !found && (text.len() < JWT_MIN || jwt(text).is_none())
}

/// Nonzero if one of eight bytes is a percent sign or in `:;<=>?@`; now and then for others too.
#[inline]
const fn telling(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let low = word & !HIGH;
    // Per byte of seven bits: the high bit says at least 0x3A, and at most 0x40.
    let from = low + ONES * (0x80 - 0x3A);
    let upto = ONES * (0x80 + 0x40) - low;
    let percent = word ^ (ONES * b'%' as u64);
    ((from & upto & !word) | (percent.wrapping_sub(ONES) & !percent)) & HIGH
}

const JWT_MIN: usize = 30;

/// The range of a JWT in a text.
fn jwt(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let is_start = |at: &usize| bytes.get(at.wrapping_sub(2)..=*at) == Some(b"eyJ");
    let begin = memchr::memchr_iter(b'J', bytes).find(is_start)? - 2;
    let rest = text.get(begin..)?;
    let len = rest
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'='))
        .count();
    let found = rest.get(..len)?;
    (len >= JWT_MIN && found.contains('.')).then_some((begin, begin + len))
}

const fn is_break(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t'
            | '\n'
            | '\r'
            | '<'
            | '>'
            | '"'
            | '\''
            | '('
            | ')'
            | ','
            | ';'
            | '|'
            | '['
            | ']'
            | '{'
            | '}'
    )
}

fn words(redactor: &Redactor, text: &str, link: bool, out: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_break).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        word_into(redactor, word, link, out);
        let mut chars = tail.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
}

fn word_into(redactor: &Redactor, word: &str, link: bool, out: &mut String) {
    if let Some((begin, end)) = jwt(word) {
        let (before, after) = (word.get(..begin), word.get(end..));
        word_into(redactor, before.unwrap_or_default(), link, out);
        redactor.secret_into(word.get(begin..end).unwrap_or_default(), out);
        return word_into(redactor, after.unwrap_or_default(), link, out);
    }
    let path_like = word.starts_with('/') && (word.contains('?') || word.contains('#'));
    if link || path_like || word.contains("://") {
        return url_into(redactor, word, out);
    }
    if let Some((key, value)) = word.split_once('=')
        && !value.is_empty()
        && matches!(Policy::of(key), Policy::Token | Policy::Drop)
    {
        addresses_into(redactor, key, out);
        return out.push_str("=:token");
    }
    addresses_into(redactor, word, out);
}

/// A link without user, query and fragment, and with `:token` for segments that look like one.
fn url_into(redactor: &Redactor, url: &str, out: &mut String) {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    let (scheme, rest) = match url.find("://") {
        Some(at) => url.split_at(at + 3),
        None => ("", url),
    };
    addresses_into(redactor, scheme, out);
    let mut before = "";
    for (i, segment) in rest.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        let host = i == 0 && !scheme.is_empty();
        let segment = match segment.rsplit_once('@') {
            Some((_, host_name)) if host => host_name,
            _ => segment,
        };
        if !host && looks_secret(before, segment) {
            out.push_str(":token");
        } else {
            addresses_into(redactor, segment, out);
        }
        before = segment;
    }
}

/// Whether a segment of a path looks like a token: long and mixed, or long after `reset` and such.
fn looks_secret(before: &str, segment: &str) -> bool {
    let has = |test: fn(&u8) -> bool| segment.as_bytes().iter().any(test);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let uuid = segment.len() == 36 && segment.bytes().filter(|b| *b == b'-').count() == 4;
    let before = before.to_ascii_lowercase();
    let after_flow = [
        "reset", "token", "verify", "confirm", "activate", "magic", "recover", "unlock",
    ]
    .iter()
    .any(|name| before.contains(name));
    (mixed && segment.len() >= 20 && !uuid)
        || (after_flow && segment.len() >= 8 && has(u8::is_ascii_digit))
}

const fn in_local_part(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || !c.is_ascii()
        || matches!(
            c,
            '.' | '_'
                | '%'
                | '+'
                | '-'
                | '!'
                | '#'
                | '$'
                | '&'
                | '*'
                | '/'
                | '='
                | '?'
                | '^'
                | '`'
                | '~'
        )
}

/// Copies a word with a pseudonym for each address in it.
fn addresses_into(redactor: &Redactor, word: &str, out: &mut String) {
    let mut rest = word;
    while let Some((at, width)) = next_at(rest) {
        let (before, after) = (
            rest.get(..at).unwrap_or_default(),
            rest.get(at + width..).unwrap_or_default(),
        );
        let local = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| in_local_part(*c))
            .last();
        let domain_len = after
            .char_indices()
            .find(|(_, c)| !(c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, '.' | '-')))
            .map_or(after.len(), |(i, _)| i);
        let domain = after.get(..domain_len).unwrap_or_default();
        let domain = domain.trim_end_matches(['.', '-']);
        match local {
            Some((begin, _)) if is_domain(domain) => {
                out.push_str(before.get(..begin).unwrap_or_default());
                let address = format!("{}@{domain}", before.get(begin..).unwrap_or_default());
                redactor.email_into(&address, out);
                rest = after.get(domain.len()..).unwrap_or_default();
            }
            _ => {
                out.push_str(rest.get(..at + width).unwrap_or_default());
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// The next at sign, plain or percent-encoded, and its width.
fn next_at(text: &str) -> Option<(usize, usize)> {
    let plain = text.find('@').map(|i| (i, 1));
    let coded = text.find("%40").map(|i| (i, 3));
    match (plain, coded) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whether a label after the first looks like one of a name: two characters or more, a letter first.
fn is_domain(text: &str) -> bool {
    text.split('.').skip(1).any(|label| {
        label.chars().count() >= 2 && label.chars().next().is_some_and(char::is_alphabetic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HashKey;
    use proptest::prelude::*;

    fn fit(policy: Policy, text: &str) -> Option<String> {
        let mut out = String::new();
        match scrub(&Redactor::new(&HashKey::fixed()), policy, text, &mut out) {
            Fit::AsIs => Some(text.to_owned()),
            Fit::Changed => Some(out),
            Fit::Gone => None,
        }
    }

    #[test]
    fn policies_by_name() {
        for (path, want) in [
            ("password", Policy::Drop),
            ("credentials.newPassword", Policy::Drop),
            ("client_secret", Policy::Drop),
            ("token", Policy::Token),
            ("token.value", Policy::Token),
            ("details.reset_code", Policy::Token),
            ("access_token", Policy::Token),
            ("token.id", Policy::Identifier),
            ("details.token_id", Policy::Identifier),
            ("details.code_id", Policy::Text),
            ("token.kind", Policy::Text),
            ("source.geo.country_iso_code", Policy::Text),
            ("error.code", Policy::Text),
            ("debugContext.debugData.url", Policy::Link),
            ("details.redirect_uri", Policy::Link),
            ("url.path", Policy::Link),
            ("phone.number", Policy::Phone),
            ("details.phone_number", Policy::Phone),
            ("details.updated_phoneNumber", Policy::Phone),
            ("profile.mobilePhone", Policy::Phone),
            ("phones.value", Policy::Phone),
            ("phone.kind", Policy::Text),
            ("order.number", Policy::Text),
            ("resourcePath", Policy::Text),
            ("event.kind", Policy::Text),
        ] {
            assert_eq!(Policy::of(path), want, "{path}");
        }
    }

    #[test]
    fn texts() {
        let r = Redactor::new(&HashKey::fixed());
        let bob = r.email("bob@example.com");
        for (text, want) in [
            ("plain text", "plain text".to_owned()),
            (
                "XkcAsWb8WjwDP76xh@1v8wAABp0",
                "XkcAsWb8WjwDP76xh@1v8wAABp0".to_owned(),
            ),
            ("Bob@Example.com", bob.clone()),
            (
                "mail to <bob@example.com>, now",
                format!("mail to <{bob}>, now"),
            ),
            ("smtp; 550 bob@example.com.", format!("smtp; 550 {bob}.")),
            (
                "see https://a.example/reset?token=abc#x ok",
                "see https://a.example/reset ok".to_owned(),
            ),
            ("https://u:p@a.example/x", "https://a.example/x".to_owned()),
            (
                "https://a.example/reset/0a1b2c3d4e",
                "https://a.example/reset/:token".to_owned(),
            ),
            ("/login/signout?message=x", "/login/signout".to_owned()),
            ("token=abc123", "token=:token".to_owned()),
            (
                "Mozilla/5.0 (compatible; +http://a.example/bot.html)",
                "Mozilla/5.0 (compatible; +http://a.example/bot.html)".to_owned(),
            ),
            (
                "users/0b7c9c1e-4a56-4a8c-9d4f-0c4e0a7d8f11/reset-password",
                "users/0b7c9c1e-4a56-4a8c-9d4f-0c4e0a7d8f11/reset-password".to_owned(),
            ),
        ] {
            assert_eq!(fit(Policy::Text, text), Some(want), "{text}");
        }
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        assert_eq!(fit(Policy::Identifier, jwt), Some(r.secret(jwt)));
        assert_eq!(
            fit(Policy::Text, &format!("Bearer {jwt}")),
            Some(format!("Bearer {}", r.secret(jwt)))
        );
        assert_eq!(fit(Policy::Identifier, "tok-123"), Some("tok-123".into()));
        assert_eq!(fit(Policy::Drop, "hunter2"), None);
        assert_eq!(fit(Policy::Token, "912345"), Some(r.secret("912345")));
        let mut number = String::new();
        r.phone_into("+15005550006", &mut number);
        assert_eq!(fit(Policy::Phone, "+1 (500) 555-0006"), Some(number));
        let shown = fit(Policy::Phone, "call +15005550006").unwrap();
        assert!(!shown.contains("500"), "{shown}");
        assert_eq!(fit(Policy::Phone, "none"), Some("none".into()));
        assert_eq!(fit(Policy::Phone, "bob@example.com"), Some(bob));
    }

    proptest! {
        #[test]
        fn no_address_comes_out(before in "[a-z =/?:<(]{0,8}", local in "[a-z]{3,8}(\\.[a-z]{3,8})?", host in "[a-z]{4,9}\\.(com|co\\.uk|museum)", after in "[ >/:?)]{0,3}") {
            let address = format!("{local}@{host}");
            let text = format!("{before}{address}{after}");
            for policy in [Policy::Text, Policy::Link, Policy::Identifier] {
                let out = fit(policy, &text).unwrap();
                prop_assert!(!out.contains(&address), "{text} -> {out}");
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}", policy in 0..6) {
            let policy = [Policy::Text, Policy::Link, Policy::Identifier, Policy::Token, Policy::Phone, Policy::Drop][policy as usize];
            let _ = fit(policy, &text);
        }
    }
}
