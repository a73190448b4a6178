//! The rules as data. A change here is a change of the house: say why in ARCHITECTURE.md.

/// Who may use whom (ARCHITECTURE.md, "Layers"). Edges never know each other.
pub const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    // A tree of YAML with places: text in, values out, like a part of the model.
    ("engine", &["model", "yaml"]),
    ("simulate", &["model"]),
    ("yaml", &[]),
    // Where tests let the process die; nothing in a release.
    ("crash", &[]),
    ("telemetry", &["model"]),
    // The names of schemas and the policy's settings are those parts' own words.
    (
        "config",
        &["model", "yaml", "engine", "decode", "source", "deliver"],
    ),
    ("source", &["model", "crash"]),
    ("decode", &["model"]),
    ("enrich", &["model"]),
    ("deliver", &["model", "engine", "crash"]),
    ("store", &["model", "engine", "crash"]),
    ("api", &["model", "engine", "telemetry", "crash"]),
    (
        "app",
        &[
            "crash",
            "model",
            "engine",
            "simulate",
            "yaml",
            "telemetry",
            "config",
            "source",
            "decode",
            "enrich",
            "deliver",
            "store",
            "api",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "engine",
            "simulate",
            "yaml",
            "telemetry",
            "config",
            "source",
            "decode",
            "enrich",
            "deliver",
            "store",
            "api",
            "app",
        ],
    ),
    ("main", &["cli"]),
];

/// A dependency that does I/O, or that must stay replaceable, and where it lives.
pub const CRATES: &[(&str, &[&str])] = &[
    ("rdkafka", &["src/source", "src/app/kafka_out.rs"]),
    ("rdkafka_sys", &["unpack/src/hook.rs"]),
    ("unpack", &["src/source"]),
    ("reqwest", &["src/deliver"]),
    ("redb", &["src/store"]),
    ("sled", &["src/store"]),
    ("statrs", &["src/engine/rule", "src/engine/sketch"]),
    ("hyperloglogplus", &["src/engine/rule", "src/engine/sketch"]),
    ("tracing_subscriber", &["src/telemetry"]),
    ("prometheus_client", &["src/telemetry"]),
    ("maxminddb", &["src/enrich"]),
    ("axum", &["src/api", "src/app/demo"]),
    ("hyper", &["src/api"]),
    ("clap", &["src/cli"]),
    ("indicatif", &["src/cli"]),
    ("flate2", &["src/source", "unpack/src"]),
    ("zstd", &["src/source", "unpack/src"]),
    ("lz4_flex", &["unpack/src"]),
    ("snap", &["unpack/src"]),
    ("anyhow", &["src/app", "src/cli", "src/main.rs"]),
];

/// Parts without I/O, clock, async or log: replaying the same input gives equal bytes.
pub const PURE: &[&str] = &[
    "src/model",
    "src/engine",
    "src/decode",
    "src/simulate",
    "src/source/ledger.rs",
    "src/deliver/retry.rs",
];

/// What such a part would do it with.
pub const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::",
    "tokio::",
    "tracing::",
    "async fn",
    "println!",
    "std::env",
];

/// Lines of a file without its tests.
pub const LINES_MAX: usize = 500;

/// Longer ones, each with its reason.
pub const LONG: &[(&str, &str)] = &[(
    "src/source/kafka.rs",
    "one consumer's life: assignment, positions, halts and stalls share its lanes",
)];

pub const LONG_MAX: usize = 5;

/// Folders of people and of build machines; put together, so that this file does not hold them.
pub fn machine_words() -> Vec<String> {
    ["root", "home", "Users", "work"]
        .map(|dir| format!("/{dir}/"))
        .to_vec()
}
