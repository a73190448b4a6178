//! Decoys of every kind, found under the form that decode gives them.

use super::*;
use crate::model::Fields;

fn read(text: &str) -> Result<Honeytokens, Vec<String>> {
    let mut faults = Vec::new();
    let table = Honeytokens::parse("honey.txt".as_ref(), text, &HashKey::fixed(), &mut faults);
    table.ok_or_else(|| faults.iter().map(ToString::to_string).collect())
}

fn find(table: &Honeytokens, fields: &[(FieldId, &str)]) -> Option<&'static str> {
    let mut event = Event::default();
    event.clear(Fields::default().len());
    for (id, value) in fields {
        event.push(*id, Value::Text(value));
    }
    table.find(&event)
}

const TEXT: &str = "# decoys\ndecoy-0001\naccount: decoy-0002  # the old admin\nDecoy-0001@Example.com\n\
                    EMAIL:trap@example.org\r\ntoken:decoy-token-0001\naccount:auth0:7#x\naccount:boss@example.net\n\n";

#[test]
fn every_kind_is_found_where_it_may_stand() {
    let table = read(TEXT).unwrap();
    assert_eq!(table.len(), 7);
    let redactor = Redactor::new(&HashKey::fixed());
    let (trap, boss) = (
        redactor.email("trap@example.org"),
        redactor.email("boss@example.net"),
    );
    let secret = redactor.secret("decoy-token-0001");
    for (field, value, want) in [
        (field::USER_TARGET_ID, "decoy-0001", Some("account")),
        (field::USER_ID, "decoy-0002", Some("account")),
        (field::USER_ID, "auth0:7#x", Some("account")),
        (field::USER_ID, "Decoy-0001", None),
        (field::USER_ID, "decoy-0003", None),
        (field::USER_TARGET_ID, boss.as_str(), Some("account")),
        (field::USER_EMAIL, boss.as_str(), None),
        (field::USER_EMAIL, trap.as_str(), Some("email")),
        (field::USER_TARGET_ID, trap.as_str(), Some("email")),
        (field::USER_EMAIL, "trap@example.org", None),
        (field::TOKEN_ID, "decoy-token-0001", Some("token")),
        (field::TOKEN_ID, secret.as_str(), Some("token")),
        (field::TOKEN_ID, "decoy-0001", None),
        (field::SESSION_ID, "decoy-0001", None),
    ] {
        assert_eq!(find(&table, &[(field, value)]), want, "{field:?} {value}");
    }
    let both = [
        (field::USER_ID, "decoy-0001"),
        (field::TOKEN_ID, "decoy-token-0001"),
    ];
    assert_eq!(find(&table, &both), Some("token"));
    let several = [
        (field::USER_TARGET_ID, "u-1"),
        (field::USER_TARGET_ID, "decoy-0001"),
    ];
    assert_eq!(find(&table, &several), Some("account"));
    assert_eq!(find(&table, &[]), None);
}

#[test]
fn nothing_of_the_file_stays_readable() {
    let shown = format!("{:?}", read(TEXT).unwrap());
    for raw in ["decoy", "trap", "boss", "example", "auth0"] {
        assert!(!shown.contains(raw), "{raw}");
    }
    let faults = read("email:jane.doe\nuser:jane.doe\njane doe@example.com\naccount:\ntoken:NULL")
        .unwrap_err();
    assert_eq!(
        faults,
        [
            "honey.txt:1: not an e-mail address: write it like email:decoy@example.com",
            "honey.txt:2: unknown kind before the colon: write account:, email: or token:",
            "honey.txt:3: not an e-mail address: write it like email:decoy@example.com",
            "honey.txt:4: a value that stands for nothing in events: write an id",
            "honey.txt:5: a value that stands for nothing in events: write an id",
        ]
    );
}

#[test]
fn an_empty_file_is_a_table_without_decoys() {
    let table = read("# none yet\n").unwrap();
    assert_eq!(
        (table.len(), find(&table, &[(field::USER_ID, "decoy-0001")])),
        (0, None)
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ac#:@ eimnotuk\\n\\t-]{0,40}|\\PC{0,30}") {
        let _ = read(&text);
    }
}
