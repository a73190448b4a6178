//! Lines of every kind.

use proptest::prelude::*;

use super::*;
use crate::model::contacts::Contacts;

fn read(domains: &str, numbers: &str) -> (Option<Contacts>, [usize; 2], Vec<String>) {
    let (mut draft, mut faults) = (Draft::new(&HashKey::fixed()), Vec::new());
    let sizes = [
        draft.add_domains("domains.txt".as_ref(), domains, &mut faults),
        draft.add_numbers("numbers.txt".as_ref(), numbers, &mut faults),
    ];
    let faults = faults.iter().map(ToString::to_string).collect();
    (draft.finish(), sizes, faults)
}

#[test]
fn lines() {
    let (contacts, sizes, faults) = read(
        "# a start\n\n  Mailinator.com  \nyopmail.com # a remark\r\ntemp.example, seen often\nbücher.example\nxn--bcher-kva.test.\n; a remark\na_b.example\n",
        "# a start\n+1500\n +1 (521) 555\t# a remark\n+81-50\n\n",
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(sizes, [6, 3]);
    let contacts = contacts.unwrap();
    for domain in [
        "mailinator.com",
        "yopmail.com",
        "x.temp.example",
        "BÜCHER.example",
        "xn--bcher-kva.test",
        "a_b.example",
    ] {
        assert!(contacts.is_disposable(&format!("bob@{domain}")), "{domain}");
    }
    for (number, want) in [
        ("+15005550006", true),
        ("+15215550006", true),
        ("+15215560006", false),
        ("+815012345678", true),
    ] {
        assert_eq!(contacts.is_voip(number), want, "{number}");
    }
    assert!(read("# nothing yet\n", "#\n").0.is_none());
}

#[test]
fn faults_name_file_and_line() {
    let long = format!("{}.example", "a".repeat(64));
    let longer = format!("{}example", "a.".repeat(130));
    let (_, _, faults) = read(
        &format!(
            "bob@mailinator.com\n*.example.com\n.example.com\nmailinator\n192.0.2.1\nhttps://a.example\na..example\n{long}\n{longer}\n,a.example\n"
        ),
        "1500\n+\n+0500\n+1500x\n+1 500 one\n+1234567890123456\nmailinator.com\n",
    );
    let shown = |text: &str| format!("{:?}", text.chars().take(60).collect::<String>());
    let (long, longer) = (shown(&long), shown(&longer));
    let hint = "is not a mail domain; write it like mailinator.com";
    let number = "is not a beginning of numbers; write it like +1500, and remarks behind #";
    assert_eq!(
        faults,
        [
            "domains.txt:1: an address; write its domain alone: \"mailinator.com\"".to_owned(),
            "domains.txt:2: \"*.example.com\" begins with a dot; what is below a domain is in, so write \"example.com\"".to_owned(),
            "domains.txt:3: \".example.com\" begins with a dot; what is below a domain is in, so write \"example.com\"".to_owned(),
            format!("domains.txt:4: \"mailinator\" {hint}"),
            format!("domains.txt:5: \"192.0.2.1\" {hint}"),
            format!("domains.txt:6: \"https://a.example\" {hint}"),
            format!("domains.txt:7: \"a..example\" {hint}"),
            format!("domains.txt:8: {long} {hint}"),
            format!("domains.txt:9: {longer} is longer than 253 bytes"),
            "domains.txt:10: begins with a comma; write the domain first".to_owned(),
            "numbers.txt:1: \"1500\" has no + before its country's code; write it like +1500".to_owned(),
            format!("numbers.txt:2: \"+\" {number}"),
            "numbers.txt:3: \"+0500\" has a country's code that begins with 0, which none does".to_owned(),
            format!("numbers.txt:4: \"+1500x\" {number}"),
            format!("numbers.txt:5: \"+1 500 one\" {number}"),
            "numbers.txt:6: \"+1234567890123456\" has more than 15 digits".to_owned(),
            format!("numbers.txt:7: \"mailinator.com\" {number}"),
        ]
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-cé+@*_.:#, \\n-]{0,40}") {
        read(&text, &text);
    }

    #[test]
    fn what_is_read_is_found(domain in "[a-zA-Z0-9-]{1,9}\\.[a-z]{2,4}", prefix in "[1-9][0-9]{0,11}") {
        let (contacts, sizes, faults) = read(&domain, &format!("+{prefix}"));
        prop_assert_eq!((sizes, faults.len()), ([1, 1], 0));
        let contacts = contacts.unwrap();
        let address = format!("bob@{}", domain.to_uppercase());
        let number = format!("+{}123", prefix);
        prop_assert!(contacts.is_disposable(&address) && contacts.is_voip(&number));
    }
}
