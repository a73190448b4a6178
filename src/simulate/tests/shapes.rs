//! The other systems' schemas: valid JSON, the members those systems always send, one golden line.
//!
//! Owns no judgement about decoding; the decoders test themselves with this traffic.
//! Invariant: whatever the schema, a run has exactly its lines and no raw secret but SES's links.

use super::*;

const FOREIGN: [Schema; 4] = [Schema::Okta, Schema::Keycloak, Schema::Ses, Schema::Github];

fn told(schema: Schema, scenario: Scenario, events: u64) -> Vec<Line> {
    lines(&Options {
        schema,
        ..Options::new(scenario, 1, events)
    })
}

#[test]
fn every_schema_fills_every_scenario() {
    for schema in FOREIGN {
        for info in scenarios() {
            let lines = told(schema, info.scenario, 3000);
            assert_eq!(lines.len(), 3000, "{schema} {}", info.name);
            assert!(
                lines.is_sorted_by_key(|l| l.time_ms),
                "{schema} {}",
                info.name
            );
        }
    }
}

#[test]
fn lines_have_the_members_their_systems_send() {
    let members: [&[&str]; 4] = [
        &[
            "/uuid",
            "/eventType",
            "/published",
            "/actor/id",
            "/outcome/result",
            "/client",
            "/version",
        ],
        &[
            "/id",
            "/type",
            "/realmId",
            "/clientId",
            "/ipAddress",
            "/details/username",
        ],
        &[
            "/eventType",
            "/mail/messageId",
            "/mail/timestamp",
            "/mail/destination/0",
        ],
        &[
            "/action",
            "/deployment_status/state",
            "/deployment/sha",
            "/repository/full_name",
        ],
    ];
    for (schema, members) in FOREIGN.into_iter().zip(members) {
        for line in told(schema, Scenario::Mixed, 20_000) {
            let value: serde_json::Value = serde_json::from_str(&line.json).unwrap();
            for member in members {
                let found = value.pointer(member).filter(|v| !v.is_null());
                assert!(found.is_some(), "{schema}: {member} in {}", line.json);
            }
        }
    }
}

#[test]
fn times_are_the_lines_times() {
    for (schema, member) in [(Schema::Okta, "/published"), (Schema::Keycloak, "/time")] {
        for line in told(schema, Scenario::Benign, 500) {
            let value: serde_json::Value = serde_json::from_str(&line.json).unwrap();
            let time = value.pointer(member).unwrap();
            let mut text = String::new();
            text::push_time(&mut text, line.time_ms);
            let same = time.as_i64() == Some(line.time_ms) || time.as_str() == Some(&text);
            assert!(same, "{schema}: {time}");
        }
    }
}

#[test]
fn foreign_words_are_in_use() {
    let words: [&[&str]; 4] = [
        &[
            "user.account.reset_password",
            "system.email.password_reset.sent_message",
            "user.account.update_password",
            "user.session.start",
            "user.session.clear",
        ],
        &[
            "\"SEND_RESET_PASSWORD\"",
            "\"RESET_PASSWORD\"",
            "\"RESET_PASSWORD_ERROR\"",
            "\"UPDATE_PASSWORD\"",
            "\"LOGIN\"",
            "\"LOGIN_ERROR\"",
            "\"LOGOUT\"",
        ],
        &[
            "\"Send\"",
            "\"Delivery\"",
            "\"Bounce\"",
            "\"Complaint\"",
            "\"Click\"",
        ],
        &[
            "in_progress",
            "\"success\"",
            "deploy:rollback",
            "example/mailer",
        ],
    ];
    for (schema, words) in FOREIGN.into_iter().zip(words) {
        let lines = told(schema, Scenario::Mixed, 20_000);
        for word in words {
            assert!(
                lines.iter().any(|l| l.json.contains(word)),
                "{schema}: {word}"
            );
        }
    }
}

/// First 1,000 lines of `mixed`, seed 1, of 20,000.
const GOLDEN: [(&str, u64); 4] = [
    ("okta", 0x5eb613ea6da6fcd6),
    ("keycloak", 0xd8e3ff3361bdd6dc),
    ("ses", 0xb707f4b71d3ccfcf),
    ("github", 0xe64206923c18cc62),
];

#[test]
fn foreign_bytes_do_not_change_either() {
    let now: Vec<(&str, u64)> = FOREIGN
        .into_iter()
        .map(|schema| {
            (
                schema.name(),
                hash(&told(schema, Scenario::Mixed, 20_000)[..1000]),
            )
        })
        .collect();
    assert_eq!(now, GOLDEN, "{now:#018x?}");
}

#[test]
fn decoys_keep_their_names_everywhere() {
    assert_eq!(decoy_account(1), "decoy-0001");
    assert_eq!(decoy_token(DECOYS), "decoy-token-0040");
    for schema in [
        Schema::Tidegate,
        Schema::Okta,
        Schema::Keycloak,
        Schema::Ses,
    ] {
        let lines = told(schema, Scenario::Honeytoken, 20_000);
        assert!(
            lines.iter().any(|l| l.json.contains("decoy-0001")),
            "{schema}"
        );
    }
    assert_eq!("ses".parse(), Ok(Schema::Ses));
    assert!("splunk".parse::<Schema>().is_err());
}

/// Scanners open links in every near miss; Keycloak tells of a link when it was used, which is once.
#[test]
fn keycloak_tells_of_no_link_that_is_only_opened() {
    let mut used = std::collections::BTreeSet::new();
    for line in told(Schema::Keycloak, Scenario::NearMisses, 20_000) {
        let event: serde_json::Value = serde_json::from_str(&line.json).unwrap();
        if event["type"] == "RESET_PASSWORD" {
            let token = event["details"]["token_id"].as_str().unwrap().to_owned();
            assert!(used.insert(token), "{}", line.json);
        }
    }
    assert!(used.len() > 1000, "{}", used.len());
}
