//! The functions themselves, without anything of libFuzzer's; also a module of the integration tests.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::unpack::{Account, Codec};
use tidegate::app::detectors;
use tidegate::app::stage::{Beside, Stage};
use tidegate::config;
use tidegate::decode::Schema;
use tidegate::deliver::address::{Permit, check_url};
use tidegate::deliver::{retry, sign};
use tidegate::engine::alert::Alert;
use tidegate::engine::containment::Record;
use tidegate::engine::detector::{Options, SourceFile, case, compile};
use tidegate::engine::exchange::Routed;
use tidegate::engine::outbox::Message;
use tidegate::engine::program::{Program, Settings};
use tidegate::engine::snapshot::{Kind, Saved};
use tidegate::engine::{Engine, Input};
use tidegate::enrich::{Enricher, ListSettings, Sets, SourceKind, Tables, TablesSettings};
use tidegate::model::{Event, EventTime, HashKey, Value, WallTime, field};
use tidegate::source::file::FileSource;
use tidegate::source::{Batch, Polled, Source};
use tidegate::store::Table;
use tidegate::store::format::{self, Form};
use tidegate::store::snapshot;

/// A function that is fuzzed.
pub type Entry = fn(&[u8]);

/// All of them by name.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("batches", batches),
    ("config", config),
    ("decode", decode),
    ("detectors", detectors),
    ("rows", rows),
    ("snapshot", snapshot),
    ("tables", tables),
    ("unpack", unpack),
    ("webhook", webhook),
];

/// Lines of the input that is unpacked are no longer than this.
const LINE_MAX: usize = 4096;
/// A detector set is tried on these.
const EVENTS: &[&str] = &[
    r#"{"event.kind":"recovery.requested","time":"2026-01-12T08:00:00Z","source.ip":"203.0.113.7","user.target.id":"u1"}"#,
    r#"{"event.kind":"token.used","time":"2026-01-12T08:00:01Z","source.ip":"2001:db8::1","user.target.id":"u1","token.id":"t1"}"#,
];

/// The shipped detectors.
fn program() -> Arc<Program> {
    static PROGRAM: OnceLock<Arc<Program>> = OnceLock::new();
    let make = || {
        let files = detectors::files(None).expect("the shipped detectors");
        let plan = compile(&detectors::sources(&files), &Options::default()).plan;
        Arc::new(Program::new(
            Arc::new(plan),
            HashKey::fixed(),
            Settings::default(),
        ))
    };
    Arc::clone(PROGRAM.get_or_init(make))
}

fn stage(program: &Arc<Program>) -> Stage {
    Stage::new(
        program,
        program.projection(&[]),
        Arc::new(Tables::default()),
    )
}

/// A record of any schema, with and without headers: never nothing, never a panic.
pub fn decode(data: &[u8]) {
    thread_local!(static STAGE: RefCell<Stage> = RefCell::new(stage(&program())));
    let Some((head, record)) = data.split_first() else {
        return;
    };
    // The low bits are the topic's schema, or none; the high ones say what comes with the record.
    let hint = Schema::ALL.get(usize::from(head & 7)).copied();
    let bound = (head & 8 != 0).then_some(EventTime(1_768_204_800_000));
    let event_id = (head & 16 != 0)
        .then(|| record.get(..16).and_then(|id| std::str::from_utf8(id).ok()))
        .flatten();
    let beside = Beside {
        hint,
        bound,
        is_appended: bound.is_some(),
        event_id,
        ..Beside::line(1)
    };
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    STAGE.with_borrow_mut(|stage| stage.work(record, &beside, &mut routed, &mut dead));
    let may_be_empty = record.contains(&b'[');
    assert!(
        may_be_empty || routed.marks.len() + dead.len() > 0,
        "neither event nor dead letter"
    );
}

/// A detector file, or its tests; what loads must run.
pub fn detectors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (_cases, _faults) = case::parse("case.yml", text);
    let file = SourceFile {
        path: "detector.yml".to_owned(),
        text: text.to_owned(),
        ..SourceFile::default()
    };
    let compiled = compile(&[file], &Options::default());
    for diagnostic in &compiled.diagnostics {
        let _shown = diagnostic.pretty(text);
    }
    if compiled.has_faults() || compiled.plan.detectors.is_empty() {
        return;
    }
    let settings = Settings {
        memory: 4 << 20,
        ..Settings::default()
    };
    let program = Arc::new(Program::new(
        Arc::new(compiled.plan),
        HashKey::fixed(),
        settings,
    ));
    let (mut stage, mut engine) = (stage(&program), Engine::new(program, 1));
    let (mut routed, mut dead) = (Routed::default(), Vec::new());
    for (n, line) in EVENTS.iter().enumerate() {
        let beside = Beside::line(i64::try_from(n).unwrap_or(0));
        stage.work(line.as_bytes(), &beside, &mut routed, &mut dead);
    }
    engine.handle(&Input::Batch(&routed));
    engine.handle(&Input::End { until: None });
    while engine.poll().is_some() {}
}

/// A configuration file, read with an environment that overrides some of it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // What stands after a form feed is the environment, a variable a line.
    let (file, variables) = text.split_once('\u{c}').unwrap_or((text, ""));
    let pairs = variables.lines().filter_map(|l| l.split_once('='));
    let env: config::Environment = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let reading = config::read("tidegate.yaml", file, &env);
    for fault in reading.faults().iter().chain(reading.lints()) {
        assert!(!fault.message.is_empty());
    }
    let _effective = reading.effective();
    if let Err(faults) = reading.into_result() {
        let _shown = faults.to_string();
    }
}

/// A snapshot's file, as it is and with a checksum that fits; and the engine's bytes inside one: of a base, and
/// of an increment that stands on a good one.
pub fn snapshot(data: &[u8]) {
    in_folder(|dir| {
        let key = HashKey::fixed().id();
        let sealed = [data, blake3::hash(data).as_bytes()].concat();
        for name in [
            "engine.00000000000000000001.snapshot",
            "engine.00000000000000000001.increment",
        ] {
            let path = dir.join(name);
            for bytes in [data, &sealed] {
                fs::write(&path, bytes).expect("a temporary file");
                if let Ok(found) = snapshot::read(dir, "engine", &key) {
                    assert!(!found.chain.is_empty() || !found.damaged.is_empty());
                }
            }
            fs::remove_file(&path).expect("a temporary file");
        }
    });
    let base = Engine::new(program(), 1).snapshot(Kind::Base).body.concat();
    for chain in [&[data][..], &[&base, data]] {
        let taken = Saved::read(chain).and_then(|saved| {
            let mut engine = Engine::new(program(), saved.shards().clamp(1, 4));
            engine.restore(saved, &["input".to_owned()])
        });
        if let Err(refused) = taken {
            assert!(!refused.to_string().is_empty());
        }
    }
}

/// A row of the store under its checksum, and the stored form inside it.
pub fn rows(data: &[u8]) {
    let table = Table::Alerts;
    if format::open(table, b"key", data).is_ok() {
        // Only what was sealed opens: bytes that were made up have no checksum.
        let value = data.get(8..).unwrap_or_default();
        assert_eq!(format::seal(table, b"key", value), data);
    }
    fn reads<T: Form>(data: &[u8]) {
        if let Ok(row) = format::decode::<T>(data) {
            let again = format::encode(&row).expect("what was read is written");
            let once_more = format::decode::<T>(&again).expect("and read again");
            assert_eq!(format::encode(&once_more).expect("the same"), again);
        }
    }
    reads::<Alert>(data);
    reads::<Record>(data);
    reads::<Message>(data);
}

/// A list, a file of honeytokens or a MaxMind database; what loads answers.
pub fn tables(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    in_folder(|dir| {
        let file = dir.join("table");
        fs::write(&file, text).expect("a temporary file");
        let mut settings = TablesSettings::default();
        let list = |sets| ListSettings {
            name: "list".to_owned(),
            file: file.clone(),
            sets,
        };
        match kind % 6 {
            0 => settings.lists.push(list(Sets::Source(SourceKind::Tor))),
            4 => settings.lists.push(list(Sets::Disposable)),
            5 => settings.lists.push(list(Sets::Voip)),
            1 => settings.honeytokens = Some(file),
            2 => settings.asn = Some(file),
            _ => settings.country = Some(file),
        }
        match Tables::load(&settings, &HashKey::fixed()) {
            Ok(tables) => ask(tables),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

fn ask(tables: Tables) {
    if let Some(contacts) = tables.contacts() {
        let _ = contacts.is_disposable("bob@a.example") || contacts.is_voip("+15005550006");
    }
    let mut enricher = Enricher::new(Arc::new(tables));
    for address in ["203.0.113.7", "0.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
        let mut event = Event::default();
        event.clear(field::CANONICAL.len());
        event.set(field::SOURCE_IP, Value::Text(address));
        enricher.enrich(&mut event);
    }
}

/// A batch packed by a producer, by each codec: within its bound, and nothing stays on account.
pub fn batches(data: &[u8]) {
    const CODECS: [Codec; 5] = [
        Codec::Gzip,
        Codec::Lz4,
        Codec::Snappy { in_chunks: false },
        Codec::Snappy { in_chunks: true },
        Codec::Zstd,
    ];
    for (codec, form) in CODECS.into_iter().flat_map(|codec| {
        [::unpack::Form::Records, ::unpack::Form::Messages].map(|form| (codec, form))
    }) {
        let account = Account::new(::unpack::HELD_MAX);
        let cost = match codec.unpack(data, form, &account, Duration::ZERO) {
            Ok(unpacked) => {
                assert!(!unpacked.buffer.bytes().is_empty());
                assert!(unpacked.buffer.bytes().len() <= unpacked.cost);
                unpacked.cost
            }
            Err(_) => 0,
        };
        assert!(cost <= ::unpack::BATCH_MAX);
        assert_eq!(account.numbers().held, cost);
        assert!(account.numbers().most <= ::unpack::HELD_MAX + (16 << 20));
    }
}

/// A file of lines, plain or packed: no line is longer than one byte past the limit.
pub fn unpack(data: &[u8]) {
    let reader = std::io::Cursor::new(data.to_vec());
    let Ok(mut source) = FileSource::from_reader("-", reader, LINE_MAX) else {
        return;
    };
    let mut batch = Batch::default();
    let mut last = 0;
    // A mebibyte that is packed a thousand times over is enough to look at.
    for _ in 0..64 {
        batch.clear();
        let polled = source.poll(&mut batch, Duration::ZERO);
        for record in batch.records() {
            assert!(record.payload.len() <= LINE_MAX + 1);
            assert!(record.offset > last, "lines are counted upwards");
            last = record.offset;
        }
        match polled {
            Ok(Polled::Some) => {}
            Ok(Polled::Nothing | Polled::End) | Err(_) => break,
        }
    }
}

/// A webhook's secret, id, header and body: what verifies was signed, and a changed body does not.
pub fn webhook(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(4, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (secret, id, header, body) = (part(), part(), part(), part().as_bytes());
    let _wait = retry::retry_after(header, WallTime(1_768_204_800_000));
    let permit = Permit {
        insecure: true,
        private: false,
    };
    let _url = check_url(header, permit);
    let Ok(secret) = sign::Secret::parse(secret) else {
        return;
    };
    let (secrets, now) = ([secret], 1_768_204_800);
    let forged = sign::verify(&secrets, id, now, body, header, now);
    let Ok(signed) = sign::sign(&secrets, id, now, body) else {
        return;
    };
    assert!(sign::verify(&secrets, id, now, body, &signed, now).is_ok());
    if forged.is_ok() {
        let ours = |h: &str| signed.split(' ').any(|s| h.split(' ').any(|f| f == s));
        assert!(ours(header), "a signature we did not make");
    }
    let changed = [body, b"."].concat();
    assert!(sign::verify(&secrets, id, now, &changed, &signed, now).is_err());
    assert!(sign::verify(&secrets, id, now + 301, body, &signed, now).is_err());
}

/// A folder of this thread's own, in memory where there is one.
fn in_folder(work: impl FnOnce(&Path)) {
    thread_local!(static FOLDER: tempfile::TempDir = {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        made.expect("a temporary folder")
    });
    FOLDER.with(|dir| work(dir.path()));
}
