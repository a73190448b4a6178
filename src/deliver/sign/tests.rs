use super::*;
use proptest::prelude::*;

/// The test vector of the reference libraries (Rust, Python, JavaScript).
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const TIME: i64 = 1_649_367_553;
const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

#[test]
fn the_published_vectors() {
    assert_eq!(sign(&[secret(SECRET)], ID, TIME, BODY).unwrap(), SIGNATURE);
    verify(&[secret(SECRET)], ID, TIME, BODY, SIGNATURE, TIME).unwrap();
    // The vector of the specification's page on symmetric signatures, and of Svix' libraries.
    let body = br#"{"test": 2432232314}"#;
    let want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(
        sign(
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            body
        )
        .unwrap(),
        want
    );
}

#[test]
fn prefixes_and_padding_may_be_missing() {
    let bare = SECRET.trim_start_matches("whsec_");
    assert_eq!(sign(&[secret(bare)], ID, TIME, BODY).unwrap(), SIGNATURE);
    assert!(Secret::parse("whsec_AAAA").is_ok());
    assert!(Secret::parse("whsec_AAA").is_ok());
    for (text, want) in [
        ("", SignError::Empty),
        ("whsec_", SignError::Empty),
        ("whsec_!!", SignError::NotBase64),
        ("whsk_AAAA", SignError::NotAKey),
        ("whpk_AAAA", SignError::NotAKey),
    ] {
        assert_eq!(Secret::parse(text).unwrap_err(), want, "{text}");
    }
}

fn pair() -> (String, String) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let private = format!("whsk_{}", STANDARD.encode(key.to_keypair_bytes()));
    let public = format!("whpk_{}", STANDARD.encode(key.verifying_key().to_bytes()));
    (private, public)
}

#[test]
fn ed25519_signs_and_verifies_in_every_spelling() {
    let (private, public) = pair();
    let header = sign(&[secret(&private)], ID, TIME, BODY).unwrap();
    assert!(header.starts_with("v1a,"));
    let seed = format!("whsk_{}", STANDARD.encode([7; 32]));
    assert_eq!(sign(&[secret(&seed)], ID, TIME, BODY).unwrap(), header);
    assert_eq!(
        sign(
            &[secret(private.trim_start_matches("whsk_"))],
            ID,
            TIME,
            BODY
        )
        .unwrap(),
        header
    );
    for key in [
        &private,
        &public,
        &seed,
        &public.trim_start_matches("whpk_").to_owned(),
    ] {
        verify(&[secret(key)], ID, TIME, BODY, &header, TIME).unwrap();
        assert!(verify(&[secret(key)], ID, TIME, b"other", &header, TIME).is_err());
    }
    assert_eq!(
        sign(&[secret(&public)], ID, TIME, BODY),
        Err(SignError::CannotSign)
    );
}

#[test]
fn rotation_gives_several_signatures() {
    let (private, public) = pair();
    let new = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let header = sign(
        &[secret(new), secret(SECRET), secret(&private)],
        ID,
        TIME,
        BODY,
    )
    .unwrap();
    assert_eq!(header.split(' ').count(), 3);
    for one in [new, SECRET, &public] {
        verify(&[secret(one)], ID, TIME, BODY, &header, TIME).unwrap();
    }
    let reference = standardwebhooks::Webhook::new(SECRET).unwrap();
    assert!(header.contains(&reference.sign(ID, TIME, BODY).unwrap()));
    assert!(verify(&[secret("whsec_AAAA")], ID, TIME, BODY, &header, TIME).is_err());
    assert!(verify(&[], ID, TIME, BODY, &header, TIME).is_err());
}

#[test]
fn replays_and_other_ids_are_refused() {
    let keys = [secret(SECRET)];
    for (now, fits) in [
        (TIME + 300, true),
        (TIME - 300, true),
        (TIME + 301, false),
        (TIME - 301, false),
    ] {
        assert_eq!(
            verify(&keys, ID, TIME, BODY, SIGNATURE, now).is_ok(),
            fits,
            "{now}"
        );
    }
    assert!(verify(&keys, ID, i64::MIN, BODY, SIGNATURE, i64::MAX).is_err());
    assert!(verify(&keys, "msg_other", TIME, BODY, SIGNATURE, TIME).is_err());
    assert!(verify(&keys, ID, TIME + 1, BODY, SIGNATURE, TIME).is_err());
    for header in [
        "",
        "v1",
        "v1,",
        "v1,AAAA",
        "v2,x",
        SIGNATURE.trim_start_matches("v1,"),
    ] {
        assert!(
            verify(&keys, ID, TIME, BODY, header, TIME).is_err(),
            "{header}"
        );
    }
    assert_eq!(sign(&keys, "a.1", TIME, BODY), Err(SignError::BadId));
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?} {:?}", secret(SECRET), secret(&pair().0));
    assert_eq!(shown, "Secret(hmac) Secret(ed25519)");
}

proptest! {
    #[test]
    fn the_reference_library_agrees(
        key in proptest::collection::vec(any::<u8>(), 1..80),
        id in "[a-z0-9_]{1,40}",
        time in 0i64..4_000_000_000,
        body in "\\PC{0,200}",
    ) {
        let text = format!("whsec_{}", STANDARD.encode(&key));
        let reference = standardwebhooks::Webhook::new(&text).unwrap();
        let header = sign(&[secret(&text)], &id, time, body.as_bytes()).unwrap();
        prop_assert_eq!(reference.sign(&id, time, body.as_bytes()).unwrap(), header);
    }

    #[test]
    fn nothing_tampered_is_accepted(at: prop::sample::Index, bit in 0u8..8, which in 0u8..3) {
        let (private, public) = pair();
        let keys = [secret(SECRET), secret(&public)];
        let header = sign(&[secret(SECRET)], ID, TIME, BODY).unwrap();
        let header_a = sign(&[secret(&private)], ID, TIME, BODY).unwrap();
        for good in [header, header_a] {
            let (mut id, mut body, mut sign) = (ID.as_bytes().to_vec(), BODY.to_vec(), good.clone().into_bytes());
            let part = match which { 0 => &mut id, 1 => &mut body, _ => &mut sign };
            let at = at.index(part.len());
            part[at] ^= 1 << bit;
            let id = String::from_utf8_lossy(&id).into_owned();
            let sign = String::from_utf8_lossy(&sign).into_owned();
            prop_assert!(verify(&keys, &id, TIME, &body, &sign, TIME).is_err(), "{}", sign);
        }
    }
}
