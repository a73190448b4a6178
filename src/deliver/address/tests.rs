use super::*;
use proptest::prelude::*;

const CLOSED: Permit = Permit {
    insecure: false,
    private: false,
};
const HTTP: Permit = Permit {
    insecure: true,
    private: false,
};

/// T30: none of these may be connected to, even where plain http is permitted.
const FORBIDDEN: &[&str] = &[
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:1::1]/",
    "http://[::169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000::1]:80/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0177.0.0.1/",
    "http://0x7f.0.0.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://017700000001/",
    "http://127.255.255.254/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://0.0.0.0/",
    "http://0/",
    "http://0.1.2.3/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "https://user:password@example.com/",
    "https://example.com#@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://127.0.0.1:80\t/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_",
    "unix:/var/run/docker.sock",
    "ftp://example.com/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "//example.com/",
    "example.com",
    "http://",
    "https:///",
    "",
];

#[test]
fn forbidden_urls_are_refused() {
    for text in FORBIDDEN {
        assert!(check_url(text, HTTP).is_err(), "{text}");
        assert!(
            check_url(&text.replacen("http:", "https:", 1), CLOSED).is_err(),
            "{text}"
        );
    }
}

#[test]
fn public_urls_pass_and_http_needs_a_permit() {
    for text in [
        "https://soc.example.com/hooks?team=1",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:8443/x",
        "https://172.32.0.1/",
        "https://xn--bcher-kva.example/",
    ] {
        check_url(text, CLOSED).unwrap();
    }
    assert!(matches!(
        check_url("http://example.com/", CLOSED),
        Err(AddressError::Scheme(_))
    ));
    check_url("http://example.com/", HTTP).unwrap();
}

#[test]
fn a_permit_opens_private_ranges_and_never_link_local() {
    let open = Permit {
        insecure: true,
        private: true,
    };
    for text in [
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://[fd00::1]/",
    ] {
        check_url(text, open).unwrap();
    }
    for text in [
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://[64:ff9b::1]/",
    ] {
        assert!(check_url(text, open).is_err(), "{text}");
    }
}

struct Stub(Vec<&'static str>);
impl Lookup for Stub {
    fn lookup(
        &self,
        _name: String,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let found = self.0.iter().map(|a| a.parse().unwrap()).collect();
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test]
async fn one_bad_answer_refuses_the_name() {
    for (answers, fits) in [
        (vec!["8.8.8.8", "1.1.1.1"], true),
        (vec!["8.8.8.8", "127.0.0.1"], false),
        (vec!["10.0.0.1"], false),
        (vec!["::ffff:10.0.0.1"], false),
        (vec![], false),
    ] {
        let resolver = GuardedResolver::new(Arc::new(Stub(answers.clone())), CLOSED);
        let result = resolver.resolve("hooks.example.com".parse().unwrap()).await;
        assert_eq!(result.is_ok(), fits, "{answers:?}");
        if let Ok(found) = result {
            assert_eq!(found.count(), answers.len());
        }
    }
}

proptest! {
    #[test]
    fn every_embedding_of_a_private_address_is_refused(a: u32) {
        let v4 = Ipv4Addr::from_bits(a);
        let inside = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
            || v4.is_unspecified() || v4.is_broadcast() || v4.is_documentation();
        if inside {
            prop_assert!(refusal(IpAddr::V4(v4), CLOSED).is_some());
        }
        let [b0, b1, b2, b3] = v4.octets();
        let (high, low) = (u16::from_be_bytes([b0, b1]), u16::from_be_bytes([b2, b3]));
        prop_assert_eq!(
            refusal(IpAddr::V6(v4.to_ipv6_mapped()), CLOSED),
            refusal(IpAddr::V4(v4), CLOSED)
        );
        for embedded in [
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        ] {
            prop_assert!(refusal(IpAddr::V6(embedded), CLOSED).is_some());
        }
    }
}
