//! GitHub webhooks about deployments: `deployment_status` and `deployment`.
//!
//! A deployment is started by its creation and by every state before an end; success and failure
//! both finish it, told apart by the outcome. A rollback is named by task or description.

use crate::model::field;

use super::super::canon::{self, Canon};
use super::super::dead::{Flaw, Reason};
use super::super::draft::{Doc, Raw};

macro_rules! inputs {
    ($($name:ident = $number:literal: $($path:literal),+;)*) => {
        $(const $name: u8 = $number;)*
        pub(crate) const INPUTS: &[(&str, u8)] = &[$($(($path, $name)),+),*];
    };
}

inputs! {
    STATUS = 0: "deployment_status";
    STATE = 1: "deployment_status.state";
    STATUS_ID = 2: "deployment_status.id";
    STATUS_CREATED = 3: "deployment_status.created_at";
    STATUS_UPDATED = 4: "deployment_status.updated_at";
    STATUS_ENVIRONMENT = 5: "deployment_status.environment";
    STATUS_TEXT = 6: "deployment_status.description";
    STATUS_CREATOR = 7: "deployment_status.creator.login";
    DEPLOYMENT = 8: "deployment";
    ID = 9: "deployment.id";
    COMMIT = 10: "deployment.sha";
    TASK = 11: "deployment.task";
    ENVIRONMENT = 12: "deployment.environment";
    CREATED = 13: "deployment.created_at";
    UPDATED = 14: "deployment.updated_at";
    CREATOR = 15: "deployment.creator.login";
    TEXT = 16: "deployment.description";
    SERVICE = 17: "deployment.payload.service";
    REPOSITORY = 18: "repository.name";
    FULL_NAME = 19: "repository.full_name";
    SENDER = 20: "sender.login";
    SENDER_TYPE = 21: "sender.type";
    ACTION = 22: "action";
    OWNER = 23: "organization.login", "repository.owner.login";
    WORKFLOW = 24: "workflow.name";
}

pub(crate) fn finish(doc: &Doc<'_>, canon: &mut Canon<'_>) -> Result<(), Flaw> {
    let is_status = matches!(doc.raw(STATUS), Some(Raw::Object(_)));
    if !is_status && !matches!(doc.raw(DEPLOYMENT), Some(Raw::Object(_))) {
        let wrong =
            matches!(doc.raw(DEPLOYMENT).or(doc.raw(STATUS)), Some(raw) if raw != Raw::Null);
        return Err(if wrong {
            Flaw::new(Reason::WrongType, "deployment", "is not an object")
        } else {
            Flaw::new(Reason::MissingKind, "deployment_status", "is missing")
        });
    }
    kind(doc, canon, is_status)?;
    let own = [
        (doc.raw(STATUS_CREATED), "deployment_status.created_at"),
        (doc.raw(STATUS_UPDATED), "deployment_status.updated_at"),
        (doc.raw(CREATED), "deployment.created_at"),
        (doc.raw(UPDATED), "deployment.updated_at"),
    ];
    canon.time(canon::first_time(own, "created_at")?);
    canon.id(
        field::EVENT_ID,
        if is_status {
            doc.raw(STATUS_ID)
        } else {
            doc.raw(ID)
        },
    );
    canon.id(field::DEPLOY_ID, doc.raw(ID));
    canon.maybe(field::DEPLOY_COMMIT, doc.text(COMMIT));
    canon.maybe(
        field::DEPLOY_ENVIRONMENT,
        doc.text(STATUS_ENVIRONMENT).or(doc.text(ENVIRONMENT)),
    );
    let repository = doc.text(REPOSITORY).or(doc.text(FULL_NAME));
    canon.maybe(field::DEPLOY_SERVICE, doc.text(SERVICE).or(repository));
    canon.maybe(field::DEPLOY_PIPELINE, doc.text(WORKFLOW));
    canon.maybe(field::ORGANIZATION_ID, doc.text(OWNER));
    canon.maybe(field::EVENT_REASON, doc.text(STATUS_TEXT));
    let who = doc
        .text(SENDER)
        .or(doc.text(STATUS_CREATOR))
        .or(doc.text(CREATOR));
    canon.maybe(field::USER_ID, who);
    canon.maybe(field::USER_TARGET_ID, who);
    let bot = doc
        .text(SENDER_TYPE)
        .is_some_and(|t| !t.eq_ignore_ascii_case("User"))
        || who.is_some_and(|login| login.ends_with("[bot]"));
    canon.word(field::ACTOR_KIND, if bot { "system" } else { "user" });
    Ok(())
}

fn kind(doc: &Doc<'_>, canon: &mut Canon<'_>, is_status: bool) -> Result<(), Flaw> {
    if !is_status {
        canon.kind("deploy.started");
        return Ok(());
    }
    let state = match doc.raw(STATE) {
        Some(Raw::Text(state)) => state,
        None | Some(Raw::Null) => {
            return Err(Flaw::new(
                Reason::MissingKind,
                "deployment_status.state",
                "is missing",
            ));
        }
        Some(_) => {
            return Err(Flaw::new(
                Reason::WrongType,
                "deployment_status.state",
                "is not a text",
            ));
        }
    };
    let is = |word: &str| state.trim().eq_ignore_ascii_case(word);
    if ["pending", "queued", "in_progress", "waiting"]
        .into_iter()
        .any(is)
    {
        canon.kind("deploy.started");
    } else if is("success") {
        canon.kind(if rolls_back(doc) {
            "deploy.rolledback"
        } else {
            "deploy.finished"
        });
        canon.outcome(Some("success"));
    } else if is("failure") || is("error") {
        canon.kind("deploy.finished");
        canon.outcome(Some("failure"));
    } else {
        canon.custom("github", "deployment_status");
    }
    Ok(())
}

fn rolls_back(doc: &Doc<'_>) -> bool {
    [TASK, TEXT, STATUS_TEXT]
        .into_iter()
        .filter_map(|input| doc.text(input))
        .any(|text| {
            let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
            let plain = plain.to_ascii_lowercase();
            ["rollback", "rolledback", "rollsback", "revert"]
                .iter()
                .any(|word| plain.contains(word))
        })
}
