use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

type Lines = Vec<(i64, String)>;

fn read(source: &mut FileSource) -> (Lines, Vec<Notice>, Option<Error>) {
    let (mut lines, mut notices, mut batch) = (Vec::new(), Vec::new(), Batch::default());
    loop {
        batch.clear();
        let polled = source.poll(&mut batch, Duration::ZERO);
        lines.extend(
            batch
                .records()
                .map(|r| (r.offset, String::from_utf8_lossy(r.payload).into_owned())),
        );
        notices.append(&mut batch.notices);
        match polled {
            Ok(Polled::End) => return (lines, notices, None),
            Ok(_) => {}
            Err(e) => return (lines, notices, Some(e)),
        }
    }
}

fn of_bytes(bytes: &[u8], line_max: usize) -> FileSource {
    FileSource::from_reader("x", io::Cursor::new(bytes.to_vec()), line_max).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn pairs(list: &[(i64, &str)]) -> Lines {
    list.iter().map(|(n, t)| (*n, (*t).to_owned())).collect()
}

#[test]
fn lines_blank_lines_and_an_unfinished_last_one() {
    let (lines, notices, error) = read(&mut of_bytes(b"a\n\n b \r\n\nc", 10));
    assert!(error.is_none());
    assert_eq!(lines, pairs(&[(1, "a"), (3, " b \r"), (5, "c")]));
    assert_eq!(
        notices,
        [Notice::End {
            partition: Partition::default(),
            next: 6
        }]
    );
    assert_eq!(read(&mut of_bytes(b"", 10)).0, []);
}

#[test]
fn a_long_line_is_cut_and_the_rest_goes_on() {
    let long = "x".repeat(400_000);
    let (lines, ..) = read(&mut of_bytes(format!("a\n{long}\nb\n").as_bytes(), 1000));
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].1.len(), 1001);
    assert_eq!(lines[2], (3, "b".to_owned()));
}

#[test]
fn packed_files_are_read_as_they_are() {
    let text = (0..5000).map(|i| format!("line {i}\n")).collect::<String>();
    let (first, second) = text.split_at(text.len() / 2);
    let zstd = |t: &str| zstd::encode_all(t.as_bytes(), 3).unwrap();
    for bytes in [
        text.clone().into_bytes(),
        gzip(text.as_bytes()),
        [gzip(first.as_bytes()), gzip(second.as_bytes())].concat(),
        zstd(&text),
        [zstd(first), zstd(second)].concat(),
        [b"\x50\x2a\x4d\x18\x02\x00\x00\x00ab".to_vec(), zstd(&text)].concat(),
    ] {
        let (lines, _, error) = read(&mut of_bytes(&bytes, 100));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(lines.len(), 5000);
        assert_eq!(lines[4999], (5000, "line 4999".to_owned()));
    }
}

#[test]
fn a_damaged_file_is_an_error_after_what_was_good() {
    let mut bytes = gzip(
        (0..100_000)
            .map(|i| format!("line {i}\n"))
            .collect::<String>()
            .as_bytes(),
    );
    bytes.truncate(bytes.len() / 2);
    let (lines, _, error) = read(&mut of_bytes(&bytes, 100));
    assert!(lines.len() > 1000, "{}", lines.len());
    let text = error.unwrap().to_string();
    assert!(text.starts_with("cannot read x after line "), "{text}");
}

#[test]
fn a_bomb_meets_its_cap_in_little_memory() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..300 {
        encoder.write_all(&block).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    assert!(bytes.len() < 1 << 20);
    let mut source = of_bytes(&bytes, 1 << 20);
    let (lines, _, error) = read(&mut source);
    assert_eq!(lines, []);
    assert!(error.unwrap().to_string().contains("256 mib"));
    assert!(source.open.is_none());
}

#[test]
fn several_files_in_order_and_missing_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        folder.path().join("a.jsonl"),
        folder.path().join("b.jsonl.gz"),
    );
    std::fs::write(&a, "1\n2\n").unwrap();
    std::fs::write(&b, gzip(b"3\n")).unwrap();
    let mut source = FileSource::new([&a, &b], Some("okta"), 100).unwrap();
    assert_eq!(source.topics()[1].schema.as_deref(), Some("okta"));
    let (lines, notices, _) = read(&mut source);
    assert_eq!(lines, pairs(&[(1, "1"), (2, "2"), (1, "3")]));
    assert_eq!(notices.len(), 2);
    let missing = FileSource::new([folder.path().join("none")], None, 100)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("none"), "{missing}");
    assert!(FileSource::new([folder.path()], None, 100).is_err());
}

/// Gives its parts one read at a time, as a pipe does.
struct Pipe(Vec<&'static [u8]>);
impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Ok(0);
        }
        let part = self.0[0];
        let n = part.len().min(out.len());
        out[..n].copy_from_slice(&part[..n]);
        self.0[0] = &part[n..];
        if self.0[0].is_empty() {
            self.0.remove(0);
        }
        Ok(n)
    }
}

#[test]
fn a_pipe_is_not_waited_for_once_there_is_a_record() {
    let pipe = Pipe(vec![b"ab", b"c\nd", b"e\nfg", b"h\n"]);
    let mut source = FileSource::from_reader("-", pipe, 100).unwrap();
    let mut batch = Batch::default();
    let mut sizes = Vec::new();
    while source.poll(&mut batch, Duration::ZERO).unwrap() == Polled::Some {
        sizes.push(
            batch
                .records()
                .map(|r| r.payload.to_vec())
                .collect::<Vec<_>>(),
        );
        batch.clear();
    }
    let all: Vec<Vec<u8>> = sizes.iter().flatten().cloned().collect();
    assert_eq!(all, [b"abc".to_vec(), b"de".to_vec(), b"fgh".to_vec()]);
    assert!(sizes.len() >= 3, "{sizes:?}");
}

/// [A3] A file of the same name whose lines are others, or fewer, is read from its beginning.
#[test]
fn a_file_goes_on_if_the_last_line_that_was_read_still_stands_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let key = HashKey::fixed();
    let write = |lines: &[&str]| std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    write(&["one", "", "two", "three"]);
    let of = |offset, payload| {
        let record = Record {
            partition: Partition::default(),
            offset,
            stamp: Stamp::None,
            payload,
            event_id: None,
            traceparent: None,
        };
        Some(record.fingerprint(&key))
    };
    let (two, three) = (of(3, b"two".as_slice()), of(4, b"three"));
    let goes_on = |next, last| goes_on(&path, next, last, &key).unwrap();
    assert!(goes_on(5, three) && goes_on(4, two));
    assert!(goes_on(6, None), "blank lines at the end say nothing");
    write(&["one", "", "two", "three", "four"]);
    assert!(goes_on(5, three), "it has grown");
    for other in [
        &["five", "six"][..],
        &["a", "b", "c", "d", "e"],
        &["three"],
        &[],
    ] {
        write(other);
        assert!(!goes_on(5, three), "{other:?}");
    }
    let pipe = Path::new("/dev/stdin");
    let is_file = std::fs::metadata(pipe).is_ok_and(|m| m.is_file());
    assert_eq!(super::goes_on(pipe, 5, None, &key).unwrap(), is_file);
}
