//! `webhook sign` and `verify` against the published library, which shares no code with them.

use crate::harness::command::{Done, Run, tidegate};
use crate::harness::receiver::SECRET;
use crate::harness::{cache, scratch};

const AT: &str = "1768205523";

struct Case {
    body: String,
}

impl Case {
    fn new() -> Self {
        let body = scratch("webhook").join("body.json");
        std::fs::write(&body, "{\"type\":\"tidegate.alert.opened.v1\",\"data\":{}}").unwrap();
        Self {
            body: body.display().to_string(),
        }
    }

    fn sign(&self, secrets: &[&str]) -> String {
        let mut arguments = vec![
            "webhook",
            "sign",
            "--id",
            "msg_1",
            "--timestamp",
            AT,
            "--body",
            &self.body,
        ];
        for secret in secrets {
            arguments.extend(["--secret", secret]);
        }
        tidegate(&arguments).ok().text().trim().to_owned()
    }

    fn verify(&self, secret: &str, signature: &str, at: &str) -> Done {
        let arguments = [
            "webhook",
            "verify",
            "--secret",
            secret,
            "--id",
            "msg_1",
            "--timestamp",
            AT,
            "--body",
            &self.body,
            "--signature",
            signature,
            "--at",
            at,
        ];
        tidegate(&arguments).run()
    }
}

#[test]
fn the_published_library_signs_and_believes_the_same() {
    let case = Case::new();
    let script = "import sys,datetime\nfrom standardwebhooks.webhooks import Webhook\n\
                  body=open(sys.argv[2]).read()\n\
                  at=datetime.datetime.fromtimestamp(int(sys.argv[3]),tz=datetime.timezone.utc)\n\
                  print(Webhook(sys.argv[1]).sign('msg_1',at,body))";
    let python = cache().join("venv/bin/python");
    let theirs = Run::new(python, &["-c", script, SECRET, &case.body, AT])
        .ok()
        .text();
    assert_eq!(case.sign(&[SECRET]), theirs.trim());
    case.verify(SECRET, theirs.trim(), AT).code(0);
}

#[test]
fn verify_ends_with_0_or_1() {
    let case = Case::new();
    let signature = case.sign(&[SECRET]);
    let bare = SECRET.strip_prefix("whsec_").unwrap();
    case.verify(bare, &signature, AT).code(0);
    case.verify(SECRET, &signature, "1768205823").code(0);
    case.verify(SECRET, &signature, "1768205824").code(1);
    case.verify(
        "whsec_b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXk=",
        &signature,
        AT,
    )
    .code(1);
    case.verify(SECRET, "v1,AAAA", AT).code(1);
    case.verify(SECRET, &signature, "soon").code(2);
    // While secrets rotate both sign, and either is enough.
    let other = "whsec_b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXk=";
    let both = case.sign(&[SECRET, other]);
    case.verify(SECRET, &both, AT).code(0);
    case.verify(other, &both, AT).code(0);
}
