use super::*;
use crate::yaml::At;

const GOOD: &str = "\
version: 1
sources:
  - kind: kafka
    brokers: [\"localhost:9092\"]
    topics: [{name: identity}]
alerts:
  sinks:
    - kind: webhook
      url: https://soc.example.com/hook/canary-path
      secret_env: ALERT_SECRET
detectors:
  dir: detectors
";

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().copied().collect()
}

fn faults(text: &str) -> Vec<String> {
    read("c.yaml", text, &env(&[]))
        .faults()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_good_file_reads_with_its_defaults() {
    let config = read("c.yaml", GOOD, &env(&[])).into_result().unwrap();
    assert_eq!(config.engine.memory.to_string(), "512MiB");
    assert_eq!(config.containment.mode, shape::ContainmentMode::Shadow);
    assert!(config.http.listen.0.ip().is_loopback());
    assert_eq!(config.sources[0].name(), "kafka");
    assert_eq!(
        config.dead_letters_path().unwrap(),
        std::path::Path::new("state/dead-letters.jsonl")
    );
}

#[test]
fn every_fault_is_found_at_once_with_its_place() {
    let text = "\
version: 1
soruces: []
sources:
  - kind: kafak
  - kind: kafka
    brokers: localhost:9092
    topics: []
    start: early
    group:
      - x
  - brokers: [a:1]
engine:
  lateness: 5
  memory: 512 Potatoes
  shards: 0
http:
  listen: everywhere
containment:
  budgets: {pending_max: 0, actions_per_minute: many, active_max_by_verb: {block: x}}
";
    let want = "\
c.yaml:2:1: unknown key `soruces` at the top (did you mean `sources`?)
c.yaml:4:11: sources[0].kind: `kafak` is not a word known here (did you mean `kafka`?)
c.yaml:6:14: sources[1].brokers: expected a list, found text (write it in brackets: [one, two])
c.yaml:7:13: sources[1].topics: the list is empty (give at least one item)
c.yaml:8:12: sources[1].start: `early` is not a word known here (one of earliest, latest)
c.yaml:10:7: sources[1].group: expected text, found a list
c.yaml:11:5: sources[2]: `kind` is missing (one of kafka, file, stdin)
c.yaml:13:13: engine.lateness: not a length of time with a unit (write it like 30s, 5m or 24h)
c.yaml:14:11: engine.memory: not a number of bytes with a unit (write it like 512MiB)
c.yaml:15:11: engine.shards: not `auto` or a number from 1 to 256 (write it like auto)
c.yaml:17:11: http.listen: not an address and a port (write it like 127.0.0.1:8080)
c.yaml:19:26: containment.budgets.pending_max: 0 is out of range (give between 1 and 100000)
c.yaml:19:49: containment.budgets.actions_per_minute: expected a whole number, found text
c.yaml:19:83: containment.budgets.active_max_by_verb.block: expected a whole number, found text";
    assert_eq!(faults(text).join("\n"), want);
}

#[test]
fn rules_between_keys() {
    let text = "\
version: 1
sources:
  - kind: kafka
    brokers: [a:1]
    topics: [{name: t}, {name: t}]
    security: {protocol: sasl_ssl, password_env: A, password_file: b}
    properties: {group.id: x, sasl.password: canary, fetch.wait.max.ms: 10}
  - {kind: kafka, brokers: [a:1], topics: [{name: u}], security: {username: me, ca_file: x}}
engine: {lateness: 30d, memory: 1MiB}
alerts: {sinks: [{kind: webhook, url: 'http://soc.example.com/x'}]}
http: {listen: '0.0.0.0:8080', tokens: []}
";
    let want = "\
c.yaml:5:32: sources[0].topics[1].name: `t` is already the name of sources[0].topics[0].name (name each topic and file once; of two clusters with the same topic, mirror one under another name or run a tidegate for each)
c.yaml:6:15: sources[0].security: `sasl_ssl` needs a `mechanism` (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512)
c.yaml:6:15: sources[0].security: `sasl_ssl` needs a `username` (add `username: ...`)
c.yaml:6:68: sources[0].security.password_file: the password is given twice (give either `password_env` or `password_file`)
c.yaml:7:28: sources[0].properties.group.id: `group.id` is not free to set (use `group`)
c.yaml:7:46: sources[0].properties.sasl.password: `sasl.password` is not free to set (use `security.password_env`)
c.yaml:8:5: sources[1]: `kafka` is already the name of sources[0] (give each source a `name` of its own)
c.yaml:8:77: sources[1].security.username: `username` has no effect with protocol `plaintext` (set `protocol: sasl_ssl`)
c.yaml:8:90: sources[1].security.ca_file: `ca_file` has no effect with protocol `plaintext` (set `protocol: ssl`)
c.yaml:9:20: engine.lateness: 30d is out of range (give between 0ms and 24h)
c.yaml:9:33: engine.memory: 1MiB is out of range (give between 16MiB and 1TiB)
c.yaml:10:18: alerts.sinks[0]: the secret is missing (give either `secret_env` or `secret_file`)
c.yaml:10:39: alerts.sinks[0].url: the URL is not https (use https; http is for this machine only)
c.yaml:11:16: http.listen: 0.0.0.0:8080 is open to the network but there are no tokens (add `http.tokens`, or listen on 127.0.0.1)";
    assert_eq!(faults(text).join("\n"), want);
}

/// [A1] Positions are kept by the name of a topic or file: two logs of one name would share one position.
#[test]
fn no_two_sources_read_the_same_name() {
    let text = "\
version: 1
sources:
  - {kind: kafka, name: here, brokers: [a:1], topics: [{name: t}]}
  - {kind: kafka, name: there, brokers: [b:1], topics: [{name: u}, {name: t}]}
  - {kind: file, name: once, path: x.jsonl}
  - {kind: file, name: again, path: x.jsonl}
";
    let hint = "name each topic and file once; of two clusters with the same topic, mirror one under another name or run a tidegate for each";
    let want = [
        format!(
            "c.yaml:4:75: sources[1].topics[1].name: `t` is already the name of sources[0].topics[0].name ({hint})"
        ),
        format!(
            "c.yaml:6:37: sources[3].path: `x.jsonl` is already the name of sources[2].path ({hint})"
        ),
    ];
    assert_eq!(faults(text), want);
}

#[test]
fn containment_has_the_policy_s_own_defaults_and_rules() {
    use crate::engine::containment::policy::Settings;
    assert_eq!(shape::Containment::default().policy(), Settings::default());
    let text = "version: 1\nsources: [{kind: stdin}]\ncontainment: {ttl_min: 2h, budgets: {active_max_by_verb: {block: 5, blok: 5}}}";
    let found = faults(text);
    assert_eq!(found.len(), 1, "{found:?}");
    let place = "c.yaml:3:69: unknown key `blok` in `containment.budgets.active_max_by_verb`";
    assert!(found[0].starts_with(place), "{found:?}");
    let text = "version: 1\nsources: [{kind: stdin}]\ncontainment: {ttl_min: 2h}";
    let found = faults(text);
    assert!(found[0].starts_with("c.yaml:3:"), "{found:?}");
    assert!(
        found[0].contains("ttl_default must not be below ttl_min"),
        "{found:?}"
    );
}

#[test]
fn the_version_comes_first() {
    assert_eq!(
        faults(""),
        ["c.yaml:1:1: version: `version` is missing (add `version: 1`)",]
    );
    assert_eq!(
        faults("version: 2\nsources: [{kind: stdin}]"),
        ["c.yaml:1:10: version: 2 is out of range (give between 1 and 1)"]
    );
    assert_eq!(
        faults("version: 1"),
        ["c.yaml:1:1: there are no sources (name at least one, e.g. `- kind: stdin`)"]
    );
}

#[test]
fn syntax_faults_are_placed_and_alone() {
    let found = faults("version: 1\nsources: [\nengine: }\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("c.yaml:2:10: not valid YAML"),
        "{found:?}"
    );
    let found = faults("version: 1\nengine:\n\tmemory: 1GiB\n");
    assert!(found[0].contains("tab"), "{found:?}");
}

#[test]
fn environment_beats_file_beats_default() {
    let env = env(&[
        ("TIDEGATE_ENGINE_MEMORY", "1GiB"),
        ("TIDEGATE_SOURCES_0_BROKERS", "one:9092, two:9092"),
        ("TIDEGATE_SOURCES_1_KIND", "stdin"),
        ("TIDEGATE_HTTP_LISTEN", ""),
        ("TIDEGATE_CONTAINMENT_BUDGETS_ACTIONS_PER_MINUTE", "5"),
    ]);
    let reading = read("c.yaml", GOOD, &env);
    assert_eq!(reading.faults(), []);
    let shown: Vec<String> = reading
        .effective()
        .iter()
        .map(ToString::to_string)
        .collect();
    for want in [
        "engine.memory: 1GiB  # env TIDEGATE_ENGINE_MEMORY",
        "engine.lateness: 5m  # default",
        "sources[0].brokers: [\"one:9092\",\"two:9092\"]  # env TIDEGATE_SOURCES_0_BROKERS",
        "sources[0].topics[0].name: identity  # c.yaml:5",
        "sources[1].kind: stdin  # env TIDEGATE_SOURCES_1_KIND",
        "http.listen: 127.0.0.1:8080  # default",
        "alerts.sinks[0].url: https://soc.example.com/…  # c.yaml:9",
        "containment.budgets.actions_per_minute: 5  # env TIDEGATE_CONTAINMENT_BUDGETS_ACTIONS_PER_MINUTE",
    ] {
        assert!(
            shown.iter().any(|line| line == want),
            "{want}\n{}",
            shown.join("\n")
        );
    }
}

#[test]
fn faults_of_the_environment_name_the_variable() {
    let env = env(&[
        ("TIDEGATE_ENGINE_MEMORY", "lots"),
        ("TIDEGATE_SOURCES_1_KIND", "file"),
    ]);
    let found: Vec<String> = read("c.yaml", GOOD, &env)
        .faults()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "environment:TIDEGATE_ENGINE_MEMORY: engine.memory: not a number of bytes with a unit (write it like 512MiB)",
            "environment:TIDEGATE_SOURCES_1_KIND: sources[1].path: `path` is missing (add `path: ...`)",
        ]
    );
}

#[test]
fn a_mistyped_variable_is_a_lint_and_a_secret_is_not() {
    let env = env(&[
        ("TIDEGATE_HTTP_LISTN", "127.0.0.1:1"),
        ("TIDEGATE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("ALERT_SECRET", "x"),
    ]);
    let reading = read("c.yaml", GOOD, &env);
    let lints: Vec<&str> = reading.lints().iter().map(|l| l.message.as_str()).collect();
    assert_eq!(
        lints,
        ["environment variable TIDEGATE_HTTP_LISTN names no key"]
    );
}

#[test]
fn canaries_are_printed_nowhere() {
    let text = GOOD.replace(
        "secret_env: ALERT_SECRET",
        "secret_env: whsec_canary-secret+value=",
    );
    let reading = read(
        "c.yaml",
        &text,
        &env(&[("TIDEGATE_ENGINE_SHARDS", "canary")]),
    );
    let all = format!("{reading:?}{}", Faults(reading.faults().to_vec()));
    assert!(!reading.faults().is_empty());
    assert!(!all.contains("canary"), "{all}");
    let reading = read("c.yaml", GOOD, &env(&[("ALERT_SECRET", "canary")]));
    let shown = format!(
        "{:?}{:?}{:?}",
        reading,
        reading.effective(),
        reading.config()
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn other_parts_add_faults_with_places() {
    let mut reading = read("c.yaml", GOOD, &env(&[]));
    reading.fault(
        "sources[0].topics[0].schema",
        "`okat` is no schema",
        "did you mean `okta`?",
    );
    let Faults(faults) = reading.into_result().unwrap_err();
    assert_eq!(
        faults[0].place,
        Place::File {
            file: "c.yaml".to_owned(),
            at: At {
                line: 5,
                column: 14
            }
        }
    );
}

#[test]
fn secrets_come_from_variables_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "whsec_abc\n").unwrap();
    let env = env(&[("A", "one")]);
    let name = "A".parse().unwrap();
    assert_eq!(
        secret::load(Some(&name), None, &env)
            .unwrap()
            .unwrap()
            .expose(),
        "one"
    );
    let read = secret::load(None, Some(&file), &env).unwrap().unwrap();
    assert_eq!(
        (read.expose(), format!("{read:?}").as_str()),
        ("whsec_abc", "***")
    );
    let unset = "B".parse().unwrap();
    assert!(secret::load(Some(&unset), None, &env).is_err());
    std::fs::write(&file, "\n").unwrap();
    assert!(secret::load(None, Some(&file), &env).is_err());
}

#[test]
fn loading_looks_for_files_and_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(
        &file,
        GOOD.replace("dir: detectors", "dir: /nowhere/at/all"),
    )
    .unwrap();
    let reading = load(&file, &env(&[])).unwrap();
    let faults: Vec<&str> = reading
        .faults()
        .iter()
        .map(|f| f.message.as_str())
        .collect();
    assert_eq!(faults, ["detectors.dir: there is no /nowhere/at/all"]);
    assert!(
        reading
            .lints()
            .iter()
            .any(|l| l.message.contains("ALERT_SECRET is not set"))
    );
}

/// Writes a derived file when TIDEGATE_UPDATE is set, and fails if it is stale otherwise.
fn derived(path: &str, want: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("TIDEGATE_UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, want).unwrap();
    }
    let is = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        is == want,
        "{path} is stale: run the tests once with TIDEGATE_UPDATE=1 and commit it"
    );
}

#[test]
fn the_schema_file_is_current() {
    let text = serde_json::to_string_pretty(schema::schema()).unwrap();
    derived("config/tidegate.schema.json", &(text + "\n"));
}

#[test]
fn the_page_of_keys_is_current_and_complete() {
    derived("docs/configuration.md", &docs::page());
    for key in docs::keys() {
        assert!(!key.meaning.is_empty(), "{} has no description", key.path);
    }
}

#[test]
fn every_part_of_the_schema_is_understood() {
    fn walk(schema: &serde_json::Value, path: &str) {
        let kind = schema::Kind::of(schema);
        assert!(kind.is_some(), "{path}: no reading for {schema}");
        match kind.unwrap() {
            schema::Kind::Section(section) => {
                assert_eq!(
                    schema["additionalProperties"], false,
                    "{path} must refuse unknown keys"
                );
                for (key, inner) in section.properties {
                    if inner.get("const").is_none() {
                        walk(inner, &format!("{path}.{key}"));
                    }
                }
            }
            schema::Kind::Tagged(branches) => {
                for branch in branches {
                    assert!(schema::tag(branch).is_some(), "{path}");
                    walk(branch, path);
                }
            }
            schema::Kind::List(item, _) => walk(item, &format!("{path}[]")),
            schema::Kind::Names(..)
            | schema::Kind::Words(_)
            | schema::Kind::Formatted(_)
            | schema::Kind::Text(..)
            | schema::Kind::Whole(..)
            | schema::Kind::Number(..)
            | schema::Kind::Bool => {}
        }
    }
    walk(schema::schema(), "");
}

#[test]
fn the_helm_chart_s_own_configuration_has_no_fault() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/tidegate/values.yaml");
    let values = std::fs::read_to_string(file).unwrap();
    let lines = values.lines().skip_while(|l| *l != "config:").skip(1);
    let inside = lines.take_while(|l| l.is_empty() || l.starts_with("  "));
    let text: String = inside
        .map(|l| format!("{}\n", l.strip_prefix("  ").unwrap_or(l)))
        .collect();
    assert!(text.starts_with("version: 1\n"), "{text}");
    assert_eq!(faults(&text), [] as [String; 0]);
}

#[test]
fn every_variable_names_one_key() {
    let mut paths = Vec::new();
    validate::collect(schema::schema(), "", &mut paths);
    let names: std::collections::BTreeSet<String> =
        paths.iter().map(|p| schema::variable(p)).collect();
    assert_eq!(names.len(), paths.len());
    assert!(paths.len() > 60, "{}", paths.len());
}

#[test]
fn the_shipped_file_has_no_fault() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tidegate.yaml");
    let reading = read(
        "tidegate.yaml",
        &std::fs::read_to_string(file).unwrap(),
        &env(&[]),
    );
    assert_eq!(reading.faults(), []);
}

proptest::proptest! {
    #[test]
    fn any_text_reads_without_panic(text in "(version: 1\n)?(sources|engine|http|alerts):[ \n]{1,3}[-a-z0-9:{}\\[\\], \n]{0,60}") {
        let reading = read("c.yaml", &text, &env(&[]));
        proptest::prop_assert!(!reading.faults().is_empty() || reading.config().is_some());
    }
}
