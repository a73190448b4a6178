//! Writing JSON by hand: strings, numbers, hex, times and addresses straight into a `String`.
//!
//! Owns the escaping; does not know events or schemas. Invariant: what `push_string` writes is a
//! valid JSON string for any input, and nothing here allocates beyond the output's own growth.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::random::byte;
use super::world::Ip;

const HEX: &[u8; 16] = b"0123456789abcdef";
const DAY_MS: i64 = 86_400_000;

/// A JSON string with its quotes.
pub(super) fn push_string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest
        .bytes()
        .position(|b| b < 0x20 || b == b'"' || b == b'\\')
    {
        let (clean, tail) = rest.split_at(at);
        out.push_str(clean);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some(control) => {
                out.push_str("\\u00");
                push_hex(out, u64::from(u32::from(control)), 2);
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// A decimal number.
pub(super) fn push_number(out: &mut String, value: u64) {
    push_padded(out, value, 1);
}

/// A decimal number with leading zeros up to `width`.
pub(super) fn push_padded(out: &mut String, value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = value;
    while rest > 0 || digits.len() - at < width.min(digits.len()) {
        at -= 1;
        digits[at] = b'0' + byte(rest % 10);
        rest /= 10;
    }
    out.push_str(std::str::from_utf8(digits.get(at..).unwrap_or_default()).unwrap_or_default());
}

/// The low `digits` hexadecimal digits of a number.
pub(super) fn push_hex(out: &mut String, value: u64, digits: usize) {
    let mut text = [b'0'; 16];
    for (place, digit) in text.iter_mut().rev().enumerate() {
        *digit = HEX[usize::from(byte(value >> (4 * place)) & 15)];
    }
    let from = text.len().saturating_sub(digits);
    out.push_str(std::str::from_utf8(text.get(from..).unwrap_or_default()).unwrap_or_default());
}

/// A UUID-shaped id from two words.
pub(super) fn push_uuid(out: &mut String, high: u64, low: u64) {
    push_hex(out, high >> 32, 8);
    out.push('-');
    push_hex(out, high >> 16, 4);
    out.push_str("-4");
    push_hex(out, high, 3);
    out.push_str("-a");
    push_hex(out, low >> 52, 3);
    out.push('-');
    push_hex(out, low, 12);
}

/// RFC 3339 in UTC with milliseconds, without quotes.
pub(super) fn push_time(out: &mut String, time_ms: i64) {
    push_second(out, time_ms);
    out.push('.');
    push_padded(out, time_ms.rem_euclid(1000).unsigned_abs(), 3);
    out.push('Z');
}

/// RFC 3339 in UTC with whole seconds, without quotes.
pub(super) fn push_time_seconds(out: &mut String, time_ms: i64) {
    push_second(out, time_ms);
    out.push('Z');
}

fn push_second(out: &mut String, time_ms: i64) {
    let (year, month, day) = civil(time_ms.div_euclid(DAY_MS));
    let second = time_ms.rem_euclid(DAY_MS).unsigned_abs() / 1000;
    push_padded(out, year.unsigned_abs(), 4);
    out.push('-');
    push_padded(out, month, 2);
    out.push('-');
    push_padded(out, day, 2);
    out.push('T');
    push_padded(out, second / 3600, 2);
    out.push(':');
    push_padded(out, second / 60 % 60, 2);
    out.push(':');
    push_padded(out, second % 60, 2);
}

/// Year, month and day of a day number since 1970 (Hinnant's algorithm).
fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

/// An address in its canonical text form, without quotes.
pub(super) fn push_ip(out: &mut String, ip: Ip) {
    match ip {
        Ip::V4(bits) => {
            for (index, octet) in Ipv4Addr::from(bits).octets().into_iter().enumerate() {
                if index > 0 {
                    out.push('.');
                }
                push_number(out, u64::from(octet));
            }
        }
        Ip::V6(bits) => out.push_str(&Ipv6Addr::from(bits).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn any_string_survives_json() {
        for value in [
            "",
            "plain",
            "a\"b\\c",
            "line\nbreak\u{1}",
            "Zürich \u{1f512}",
            "\\\"\\",
        ] {
            let json = written(|out| push_string(out, value));
            let back: String = serde_json::from_str(&json).unwrap();
            assert_eq!(back, value);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_768_204_800_123, "2026-01-12T08:00:00.123Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ];
        for (time_ms, text) in cases {
            assert_eq!(written(|out| push_time(out, time_ms)), text);
        }
        assert_eq!(
            written(|out| push_time_seconds(out, 1_768_204_800_123)),
            "2026-01-12T08:00:00Z"
        );
    }

    #[test]
    fn numbers_and_addresses() {
        assert_eq!(written(|out| push_number(out, 0)), "0");
        assert_eq!(
            written(|out| push_number(out, u64::MAX)),
            u64::MAX.to_string()
        );
        assert_eq!(written(|out| push_padded(out, 42, 6)), "000042");
        assert_eq!(written(|out| push_hex(out, 0xabcd, 6)), "00abcd");
        assert_eq!(
            written(|out| push_ip(out, Ip::V4(0xcb00_7107))),
            "203.0.113.7"
        );
        let v6 = Ip::V6(0x2001_0db8 << 96 | 1);
        assert_eq!(written(|out| push_ip(out, v6)), "2001:db8::1");
        let uuid = written(|out| push_uuid(out, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210));
        assert_eq!(uuid, "01234567-89ab-4def-afed-ba9876543210");
    }
}
