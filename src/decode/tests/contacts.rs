//! Lists of mail domains and numbers: what each schema's events get of them, and that no number
//! comes out.

use super::*;
use crate::model::contacts::{self, Contacts};

fn listed() -> Arc<Contacts> {
    let mut draft = contacts::Draft::new(&HashKey::fixed());
    draft.add_domain("mailinator.com");
    draft.add_prefix(b"1500");
    Arc::new(draft.finish())
}

/// Decodes with everything kept and lists at hand.
fn explain(line: &str) -> Vec<Json> {
    let (fields, mut decoder) = decoder(&[], true);
    decoder.set_contacts(Some(listed()));
    run(&mut decoder, &fields, line.as_bytes(), None)
}

fn phone(number: &str) -> String {
    let mut out = String::new();
    redactor().phone_into(number, &mut out);
    out
}

/// An event of tidegate's own schema with these members.
fn event(members: &str) -> Json {
    let line = format!("{{\"event.kind\":\"recovery.requested\",\"time\":1768205523,{members}}}");
    explain(&line).remove(0)
}

#[test]
fn of_our_own_schema() {
    for (members, mailbox, phone) in [
        (r#""user.email":"bob@mailinator.com""#, true, false),
        (
            r#""user":{"email":"Bob <BOB@x.Mailinator.com>"}"#,
            true,
            false,
        ),
        (r#""user.email":"bob@example.com""#, false, false),
        // Accounts that are called by their address.
        (r#""user.target.id":"bob@mailinator.com""#, true, false),
        (r#""user.name":"bob@mailinator.com""#, true, false),
        (
            r#""user.target.id":"u-1","user.id":"bob@mailinator.com""#,
            false,
            false,
        ),
        (
            r#""user.target.id":"bob@mailinator.com","user.email":"b@example.com""#,
            false,
            false,
        ),
        (r#""phone.number":"+1 (500) 555-0006""#, false, true),
        (r#""phone":{"number":"001 500 555 0006"}"#, false, true),
        (r#""phone.number":15005550006"#, false, false),
        (r#""phone.number":"+44 20 7946 0000""#, false, false),
        (r#""phone.number":"unknown""#, false, false),
        (
            r#""details":{"phone":"+15005550006","mail":"bob@mailinator.com"}"#,
            false,
            false,
        ),
    ] {
        let got = event(members);
        let want = |is: bool, word: &str| if is { word.into() } else { Json::Null };
        has(
            &got,
            &json!({"mailbox.kind": want(mailbox, "disposable"), "phone.kind": want(phone, "voip")}),
        );
    }
}

#[test]
fn what_the_event_says_stands() {
    for members in [
        r#""mailbox.kind":"company","user.email":"bob@mailinator.com","phone.kind":"landline","phone.number":"+15005550006""#,
        r#""user.email":"bob@mailinator.com","mailbox.kind":"company","phone.number":"+15005550006","phone.kind":"landline""#,
    ] {
        has(
            &event(members),
            &json!({"mailbox.kind": "company", "phone.kind": "landline"}),
        );
    }
    let nothing = r#""user.email":"bob@mailinator.com","mailbox.kind":null,"phone.kind":"","phone.number":"+15005550006""#;
    has(
        &event(nothing),
        &json!({"mailbox.kind": "disposable", "phone.kind": "voip"}),
    );
}

#[test]
fn of_other_systems() {
    let swap = |line: &str| {
        line.replace("alice@example.com", "alice@mailinator.com")
            .replace("Alice@Example.com", "Alice@Mailinator.com")
    };
    let okta = swap(&fixture("okta/system-log")[0]);
    has(&explain(&okta)[0], &json!({"mailbox.kind": "disposable"}));
    let keycloak = swap(&fixture("keycloak/user-events")[0]);
    has(
        &explain(&keycloak)[0],
        &json!({"mailbox.kind": "disposable", "phone.kind": null}),
    );
    let keycloak = keycloak.replacen(
        "\"details\":{",
        "\"details\":{\"phone_number\":\"+1 500 555 0006\",",
        1,
    );
    let event = explain(&keycloak).remove(0);
    has(
        &event,
        &json!({"phone.kind": "voip", "phone.number": phone("+15005550006"),
            "details.phone_number": phone("+15005550006")}),
    );
    // A system between Keycloak and us knew it already.
    let said = keycloak.replacen('{', r#"{"mailbox":{"kind":"company"},"phone.kind":"","#, 1);
    has(
        &explain(&said)[0],
        &json!({"mailbox.kind": "company", "phone.kind": "voip"}),
    );
    // One mail, two recipients: each has its own mailbox.
    let both = explain(&swap(&fixture("ses/event-publishing")[1]));
    assert_eq!(both.len(), 2);
    has(&both[0], &json!({"mailbox.kind": "disposable"}));
    has(&both[1], &json!({"mailbox.kind": null}));
}

#[test]
fn nothing_is_asked_that_nobody_reads() {
    let (fields, mut decoder) = decoder(&["user.email"], false);
    decoder.set_contacts(Some(listed()));
    assert!(decoder.contacts.is_none());
    let line = r#"{"event.kind":"a.b","time":1768205523,"user.email":"bob@mailinator.com"}"#;
    let events = run(&mut decoder, &fields, line.as_bytes(), None);
    has(&events[0], &json!({"mailbox.kind": null}));
    let (_, mut decoder) = super::decoder(&["phone.kind"], false);
    decoder.set_contacts(Some(listed()));
    assert!(decoder.contacts.is_some());
    decoder.set_contacts(None);
    assert!(decoder.contacts.is_none());
}

#[test]
fn no_number_comes_out_under_any_name_of_one() {
    let event = event(
        r#""phone.number":"+1 (500) 555-0006","user":{"phone":"+15005550006","mobile":15005550006},
        "contact":{"phoneNumber":1.5005550006e10,"phones":["+1.500.555.0006",{"value":"+1 500 555 0006"}]},
        "msisdn":"call 15005550006","home_phone":"none""#,
    );
    let shown: String = event
        .to_string()
        .chars()
        .filter(|c| !"+ ().-".contains(*c))
        .collect();
    assert!(!shown.contains("5005550006"), "{event:#}");
    has(
        &event,
        &json!({"phone.number": phone("+15005550006"), "user.phone": phone("+15005550006"), "home_phone": "none"}),
    );
    let (fields, mut decoder) = decoder(&["user.phone"], false);
    let line = r#"{"event.kind":"a.b","time":1768205523,"user.phone":"+15005550006"}"#;
    let events = run(&mut decoder, &fields, line.as_bytes(), None);
    has(&events[0], &json!({"user.phone": phone("+15005550006")}));
}

#[test]
fn a_number_of_a_wrong_type_is_refused() {
    let line = r#"{"event.kind":"a.b","time":1768205523,"phone.number":{"a":1}}"#;
    assert_eq!(explain(line)[0]["dead"], "wrong_type");
}
