//! Who may do what: bearer tokens with scopes, and what happens to those who guess.
//!
//! Owns the comparison and the lock-out. Keeps digests, never tokens. Invariants: the time of a
//! comparison does not depend on where texts differ or on which token fits; memory of failures is
//! bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::Problem;

/// The shortest token that is a secret.
const LENGTH_MIN: usize = 16;
/// Failures from one address before it is locked out ...
const FAILURES_MAX: u32 = 10;
/// ... for this long after the last one.
const LOCKED_FOR: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered.
const ADDRESSES_MAX: usize = 4096;

/// What a token may do. Each scope includes `Read`, and `Admin` includes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See alerts, actions, detectors and metrics.
    Read,
    /// Acknowledge, silence and close.
    Operate,
    /// Approve, deny and revert actions; post receipts.
    Contain,
    /// Change allow-lists and settings.
    Admin,
}

impl Scope {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Contain => "contain",
            Self::Admin => "admin",
        }
    }

    fn grants(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Read
    }
}

/// One token, as a digest.
#[derive(Clone)]
pub struct Token {
    name: String,
    scopes: Vec<Scope>,
    digest: [u8; 32],
    short: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish()
    }
}

impl Token {
    /// A token of this name; only its digest is kept.
    #[must_use]
    pub fn new(name: impl Into<String>, scopes: Vec<Scope>, secret: &str) -> Self {
        let short = secret.chars().count() < LENGTH_MIN;
        Self {
            name: name.into(),
            scopes,
            digest: digest(secret),
            short,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if it is too short to be a secret.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.short
    }
}

fn digest(secret: &str) -> [u8; 32] {
    blake3::derive_key("tidegate 2026 bearer token", secret.as_bytes())
}

/// Who asks: the token's name, `local` where there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller(pub(super) String);

/// All tokens, and who has failed lately.
pub(super) struct Auth {
    tokens: Vec<Token>,
    failures: Mutex<BTreeMap<IpAddr, (u32, Instant)>>,
}

impl Auth {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self {
            tokens,
            failures: Mutex::default(),
        }
    }

    /// True if there are no tokens: who reaches the server is trusted.
    pub(super) fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Who asks, if they may do what needs `needed`.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        needed: Scope,
        from: IpAddr,
        now: Instant,
    ) -> Result<Caller, Problem> {
        if self.is_open() {
            return Ok(Caller("local".to_owned()));
        }
        if self.is_locked_out(from, now) {
            let seconds = LOCKED_FOR.as_secs();
            return Err(Problem::locked_out(format!("wait {seconds} seconds"))
                .with(header::RETRY_AFTER, seconds.to_string()));
        }
        let Some(presented) = bearer(headers) else {
            return Err(challenge("send the header Authorization: Bearer TOKEN"));
        };
        let Some(token) = self.find(presented) else {
            self.note_failure(from, now);
            return Err(challenge("this token is not known"));
        };
        if token.scopes.iter().any(|scope| scope.grants(needed)) {
            return Ok(Caller(token.name.clone()));
        }
        let needed = needed.word();
        Err(Problem::forbidden(format!(
            "this needs a token with the scope {needed}"
        )))
    }

    /// The token that was presented. All are compared, each in constant time.
    fn find(&self, presented: &str) -> Option<&Token> {
        let presented = digest(presented);
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.digest.ct_eq(&presented)) {
                found = Some(token);
            }
        }
        found
    }

    fn is_locked_out(&self, from: IpAddr, now: Instant) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&group(from)).is_some_and(|(count, last)| {
            *count >= FAILURES_MAX && now.saturating_duration_since(*last) < LOCKED_FOR
        })
    }

    fn note_failure(&self, from: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, (_, last)| now.saturating_duration_since(*last) < LOCKED_FOR);
        }
        if failures.len() >= ADDRESSES_MAX {
            // A guesser with that many addresses is slowed by the limits on load instead.
            failures.clear();
        }
        let (count, last) = failures.entry(group(from)).or_insert((0, now));
        if now.saturating_duration_since(*last) >= LOCKED_FOR {
            *count = 0;
        }
        *count += 1;
        *last = now;
    }
}

/// An IPv6 customer has a /64: its addresses are one.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn challenge(detail: &str) -> Problem {
    Problem::unauthorized(detail).with(header::WWW_AUTHENTICATE, "Bearer realm=\"tidegate\"")
}

/// The token of a single well-formed `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (one, None) = (all.next()?, all.next()) else {
        return None;
    };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let well_formed = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    well_formed.then_some(token).filter(|t| t.len() <= 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    fn auth(scopes: &[Scope]) -> Auth {
        Auth::new(vec![
            Token::new(
                "other",
                vec![Scope::Read],
                "fedcba9876543210fedcba9876543210",
            ),
            Token::new("one", scopes.to_vec(), SECRET),
        ])
    }

    #[test]
    fn scopes_grant_what_they_say() {
        let all = [Scope::Read, Scope::Operate, Scope::Contain, Scope::Admin];
        let (from, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
        for held in all {
            for needed in all {
                let got =
                    auth(&[held]).check(&headers(&format!("Bearer {SECRET}")), needed, from, now);
                let may = held == needed || held == Scope::Admin || needed == Scope::Read;
                assert_eq!(got.is_ok(), may, "{held:?} {needed:?}");
                if let Err(problem) = got {
                    assert_eq!(problem.status, 403);
                }
            }
        }
    }

    #[test]
    fn odd_headers_are_no_tokens() {
        let auth = auth(&[Scope::Admin]);
        let (from, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
        for value in [
            "",
            "Bearer",
            "Bearer ",
            SECRET,
            "Basic x",
            &format!("Bearer {SECRET} x"),
            &format!("Bearer{SECRET}"),
        ] {
            let problem = auth
                .check(&headers(value), Scope::Read, from, now)
                .unwrap_err();
            assert_eq!(problem.status, 401, "{value}");
        }
        let mut two = headers(&format!("Bearer {SECRET}"));
        two.append(
            header::AUTHORIZATION,
            format!("Bearer {SECRET}").parse().unwrap(),
        );
        assert!(auth.check(&two, Scope::Read, from, now).is_err());
        assert!(
            auth.check(&HeaderMap::new(), Scope::Read, from, now)
                .is_err()
        );
    }

    #[test]
    fn guessing_is_locked_out_per_address_and_forgiven_later() {
        let auth = auth(&[Scope::Admin]);
        let (bad, good) = (
            headers("Bearer wrong"),
            headers(&format!("Bearer {SECRET}")),
        );
        let from: IpAddr = "2001:db8::1".parse().unwrap();
        let start = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(
                auth.check(&bad, Scope::Read, from, start)
                    .unwrap_err()
                    .status,
                401
            );
        }
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(
            auth.check(&good, Scope::Read, neighbour, start)
                .unwrap_err()
                .status,
            429
        );
        let elsewhere: IpAddr = "2001:db8:1::1".parse().unwrap();
        assert!(auth.check(&good, Scope::Read, elsewhere, start).is_ok());
        assert!(
            auth.check(&good, Scope::Read, from, start + LOCKED_FOR)
                .is_ok()
        );
    }

    #[test]
    fn memory_of_failures_is_bounded() {
        let auth = auth(&[Scope::Admin]);
        let now = Instant::now();
        for i in 0..20_000u32 {
            let from = IpAddr::V4(i.into());
            drop(auth.check(&headers("Bearer wrong"), Scope::Read, from, now));
        }
        assert!(auth.failures.lock().unwrap().len() <= ADDRESSES_MAX);
    }

    #[test]
    fn a_token_prints_no_secret() {
        let token = Token::new("one", vec![Scope::Read], SECRET);
        let shown = format!("{token:?}");
        assert!(
            !shown.contains(SECRET) && !shown.contains("digest"),
            "{shown}"
        );
        assert!(Token::new("x", vec![], "short").is_short());
    }
}
