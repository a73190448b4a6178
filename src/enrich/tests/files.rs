//! Files that are missing, damaged, replaced: what is said, and what stays in use.

use super::*;
use crate::model::fault::Class;

fn said(result: Result<Tables, LoadError>) -> String {
    match result {
        Ok(tables) => panic!("loaded: {tables:?}"),
        Err(error) => {
            assert_eq!(error.class(), Class::Operator);
            error.to_string()
        }
    }
}

/// What is said about the file when it is put in the place of a good one.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = Folder::new();
    let path = folder.write(name, bytes);
    let text = said(folder.load());
    let prefix = format!("{}: ", path.display());
    text.strip_prefix(&prefix)
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn a_damaged_file_is_named_with_what_to_do() {
    let whole = mmdb::systems(6, 28).bytes();
    for (name, bytes, want) in [
        ("asn.mmdb", &b""[..], "is empty; download or write it again"),
        (
            "asn.mmdb",
            b"AS64500\n",
            "is damaged or no MaxMind database (",
        ),
        (
            "asn.mmdb",
            &whole[..whole.len() / 2],
            "is damaged or no MaxMind database (",
        ),
        (
            "asn.mmdb",
            b"\x1f\x8b\x08\0",
            "is compressed with gzip; unpack it and name the file inside",
        ),
        (
            "country.mmdb",
            &whole,
            "is a \"GeoLite2-ASN\" database, which has no countries; use GeoLite2-Country or alike",
        ),
        (
            "tor.txt",
            &whole,
            "is not UTF-8 text; it is a MaxMind database: name it under asn or country",
        ),
        (
            "honey.txt",
            b"a\0b",
            "is not UTF-8 text; save it as plain text",
        ),
        (
            "tor.txt",
            b"\xff\xfe1\09\0",
            "is not UTF-8 text; save it as plain text",
        ),
    ] {
        let said = refusal(name, bytes);
        assert!(said.starts_with(want), "{name}: {said}");
    }
}

#[test]
fn all_faults_of_all_files_at_once() {
    let folder = Folder::new();
    folder.write("asn.mmdb", b"nothing");
    folder.write("hosting.txt", b"192.0.2.0/24\nhost\nhost\n");
    fs::remove_file(folder.path("honey.txt")).unwrap();
    let text = said(folder.load());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines[1].contains("hosting.txt:2: ") && lines[2].contains("hosting.txt:3: "),
        "{text}"
    );
    assert!(
        lines[3].contains("honey.txt: cannot be read (No such file"),
        "{text}"
    );
}

#[test]
fn only_plain_files_within_limits_are_read() {
    let folder = Folder::new();
    let mut settings = folder.settings();
    settings.asn = Some(folder.path(""));
    let text = said(Tables::load(&settings, &HashKey::fixed()));
    assert!(
        text.ends_with("is not a plain file; name the table's file itself"),
        "{text}"
    );
    settings = folder.settings();
    settings.honeytokens = Some(PathBuf::from("/dev/zero"));
    said(Tables::load(&settings, &HashKey::fixed()));
    // Sparse: takes no space.
    let large = fs::File::create(folder.path("large")).unwrap();
    large.set_len((1 << 30) + 1).unwrap();
    settings = folder.settings();
    settings.asn = Some(folder.path("large"));
    settings.lists[0].file = folder.path("large");
    let text = said(Tables::load(&settings, &HashKey::fixed()));
    let limits = [
        "1073741825 bytes, more than the 1073741824",
        "1073741825 bytes, more than the 67108864",
    ];
    assert!(limits.iter().all(|l| text.contains(l)), "{text}");
}

#[test]
fn a_changed_file_is_loaded_and_the_others_kept() {
    let folder = Folder::new();
    let tables = Arc::new(folder.load().unwrap());
    assert!(!tables.stale());
    let mut watch = Watch::new(Arc::clone(&tables));
    assert!(matches!(watch.look(), Look::Same));
    folder.write("tor.txt", b"192.0.2.9\n");
    assert!(tables.stale());
    let Look::New(new) = watch.look() else {
        panic!("not loaded")
    };
    assert!(!new.stale() && matches!(watch.look(), Look::Same));
    let same = |a: &Tables, b: &Tables| {
        Arc::ptr_eq(a.asn.as_ref().unwrap(), b.asn.as_ref().unwrap())
            && Arc::ptr_eq(
                a.honeytokens.as_ref().unwrap(),
                b.honeytokens.as_ref().unwrap(),
            )
    };
    assert!(same(&tables, &new));
    assert!(!Arc::ptr_eq(
        tables.lists.as_ref().unwrap(),
        new.lists.as_ref().unwrap()
    ));
    let kind = |tables, text| enriched(&mut Enricher::new(tables), &[ip(text)]);
    assert!(kind(Arc::clone(&new), "192.0.2.9").contains("source.kind=tor"));
    assert!(kind(new, "192.0.2.7").contains("source.kind=hosting"));
    assert!(kind(tables, "192.0.2.7").contains("source.kind=tor"));
}

#[test]
fn a_damaged_new_version_is_told_of_once_and_the_old_kept() {
    let folder = Folder::new();
    let good = fs::read(folder.path("asn.mmdb")).unwrap();
    let mut watch = Watch::new(Arc::new(folder.load().unwrap()));
    let before = Arc::clone(watch.tables());
    for broken in [&good[..good.len() - 9], b""] {
        folder.write("asn.mmdb", broken);
        let Look::Refused(error) = watch.look() else {
            panic!("not refused")
        };
        assert!(error.to_string().contains("asn.mmdb: is "), "{error}");
        assert!(matches!(watch.look(), Look::Same));
        assert!(Arc::ptr_eq(&before, watch.tables()));
    }
    fs::remove_file(folder.path("asn.mmdb")).unwrap();
    assert!(matches!(watch.look(), Look::Refused(_)));
    assert!(matches!(watch.look(), Look::Same));
    folder.write("asn.mmdb", &good);
    assert!(matches!(watch.look(), Look::New(_)));
}

#[test]
fn rewritten_in_place_it_is_seen() {
    let folder = Folder::new();
    let tables = folder.load().unwrap();
    fs::write(folder.path("tor.txt"), b"192.0.2.9\n").unwrap();
    assert!(tables.stale());
    let reloaded = tables.reload().unwrap();
    assert!(!reloaded.stale());
}

#[test]
fn a_link_that_is_turned_is_seen() {
    let folder = Folder::new();
    folder.write("a", b"192.0.2.1\n");
    folder.write("b", b"192.0.2.2\n");
    let link = |to: &Path| {
        std::os::unix::fs::symlink(to, folder.path("aside")).unwrap();
        fs::rename(folder.path("aside"), folder.path("tor.txt")).unwrap();
    };
    link(&folder.path("a"));
    let tables = folder.load().unwrap();
    assert!(!tables.stale());
    link(&folder.path("b"));
    assert!(tables.stale());
}
