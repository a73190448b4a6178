use super::*;
use proptest::prelude::*;

#[test]
fn sizes_read_and_written() {
    for (text, bytes, again) in [
        ("512MiB", 512 << 20, "512MiB"),
        ("1gib", 1 << 30, "1GiB"),
        ("10 MB", 10_000_000, "10MB"),
        ("1536KiB", 1_572_864, "1536KiB"),
        ("0B", 0, "0B"),
    ] {
        let size: Size = text.parse().unwrap();
        assert_eq!(
            (size.0, size.to_string().as_str()),
            (bytes, again),
            "{text}"
        );
    }
    for bad in ["512", "MiB", "-1MiB", "1.5GiB", "", "99999999999TiB", "ü"] {
        assert!(bad.parse::<Size>().is_err(), "{bad}");
    }
}

#[test]
fn ranges_contain_and_refuse() {
    let cidr: Cidr = "10.0.0.0/8".parse().unwrap();
    assert!(cidr.contains("10.255.1.2".parse().unwrap()));
    assert!(!cidr.contains("11.0.0.1".parse().unwrap()));
    let one: Cidr = "2001:db8::1".parse().unwrap();
    assert_eq!(one.to_string(), "2001:db8::1/128");
    let all: Cidr = "0.0.0.0/0".parse().unwrap();
    assert!(all.contains("203.0.113.9".parse().unwrap()));
    for bad in [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0/8",
        "::/129",
        "x",
        "10.0.0.0/-1",
    ] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
}

#[test]
fn urls_show_no_path_and_no_user() {
    let url: Url = "https://u:canary@hooks.example.com:8443/services/canary?x=canary"
        .parse()
        .unwrap();
    assert_eq!(url.to_string(), "https://hooks.example.com:8443/…");
    assert!(!format!("{url:?}").contains("canary"));
    assert_eq!(
        (url.host(), url.has_user(), url.is_https()),
        ("hooks.example.com", true, true)
    );
    let six: Url = "http://[::1]:9000".parse().unwrap();
    assert_eq!(
        (six.host(), six.to_string().as_str()),
        ("::1", "http://[::1]:9000")
    );
    for bad in [
        "",
        "ftp://x",
        "https://",
        "https://a b",
        "hooks.example.com",
        "https:///x",
        "https://a\\b",
    ] {
        assert!(bad.parse::<Url>().is_err(), "{bad}");
    }
}

#[test]
fn names_and_hosts() {
    assert!("identity-events_2".parse::<Name>().is_ok());
    for bad in ["", "a b", "-a", "a.b", "Upper", "a\u{202e}b"] {
        assert!(bad.parse::<Name>().is_err(), "{bad}");
    }
    for good in ["localhost:9092", "[::1]:9092", "10.0.0.1:1"] {
        assert!(good.parse::<HostPort>().is_ok(), "{good}");
    }
    for bad in [
        "localhost",
        "localhost:0",
        "a:b",
        ":9092",
        "a,b:1",
        "PLAINTEXT://a:9092",
        "::1:9092",
    ] {
        assert!(bad.parse::<HostPort>().is_err(), "{bad}");
    }
    assert_eq!("8".parse::<Shards>(), Ok(Shards::Count(8)));
    assert!("0".parse::<Shards>().is_err());
}

proptest! {
    #[test]
    fn readers_never_panic(text in "\\PC{0,30}") {
        for word in ["duration-with-unit", "size", "shards", "url", "cidr", "listen", "name", "topic", "env-name", "host-port"] {
            prop_assert!(check(word, &text).is_some());
        }
    }

    #[test]
    fn sizes_round_trip(bytes in any::<u64>()) {
        prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
    }
}
