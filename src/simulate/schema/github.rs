//! GitHub `deployment_status` webhooks, the body as GitHub posts it.
//!
//! Owns the shape of deployment, status and repository. Invariant: times have whole seconds and end
//! in Z, as GitHub's do; started, finished and rolled back differ in state and task only.

use super::Fact;
use crate::simulate::fact::Kind;
use crate::simulate::flow::{SERVICES, Subject};
use crate::simulate::text::{push_number, push_time_seconds};

const API: &str = "https://api.github.com/repos/example/";

pub(super) fn write(fact: &Fact<'_>, out: &mut String) {
    let Subject::Deploy(place) = fact.flow.subject else {
        return;
    };
    let service = SERVICES[usize::from(place) % SERVICES.len()];
    out.push_str("{\"action\":\"created\",\"deployment_status\":");
    push_status(fact, service, out);
    out.push_str(",\"deployment\":");
    push_deployment(fact, service, out);
    out.push_str(",\"check_run\":null,\"workflow_run\":null,\"repository\":");
    push_repository(place, service, out);
    out.push_str(",\"sender\":");
    push_bot(out);
    out.push('}');
}

fn deployment_id(fact: &Fact<'_>) -> u64 {
    2_600_000_000 + fact.flow.serial()
}

fn push_url(fact: &Fact<'_>, service: &str, tail: &str, out: &mut String) {
    out.push_str(API);
    out.push_str(service);
    out.push_str("/deployments/");
    push_number(out, deployment_id(fact));
    out.push_str(tail);
}

fn push_status(fact: &Fact<'_>, service: &str, out: &mut String) {
    let kind = fact.step.kind;
    let (state, step, text) = if kind == Kind::DeployStarted {
        ("in_progress", 1, "Deployment started")
    } else if kind == Kind::DeployRolledback {
        ("success", 3, "Rolled back to the previous release")
    } else {
        ("success", 2, "Deployment finished successfully")
    };
    let status = deployment_id(fact) * 10 + step;
    out.push_str("{\"url\":\"");
    push_url(fact, service, "/statuses/", out);
    push_number(out, status);
    out.push_str("\",\"id\":");
    push_number(out, status);
    out.push_str(",\"node_id\":\"DES_");
    push_number(out, status);
    out.push_str("\",\"state\":\"");
    out.push_str(state);
    out.push_str("\",\"creator\":");
    push_bot(out);
    out.push_str(",\"description\":\"");
    out.push_str(text);
    out.push_str("\",\"environment\":\"production\",\"target_url\":\"\",\"created_at\":\"");
    push_time_seconds(out, fact.time_ms);
    out.push_str("\",\"updated_at\":\"");
    push_time_seconds(out, fact.time_ms);
    out.push_str("\",\"deployment_url\":\"");
    push_url(fact, service, "", out);
    out.push_str("\",\"repository_url\":\"");
    out.push_str(API);
    out.push_str(service);
    out.push_str("\",\"environment_url\":\"\",\"log_url\":\"\"}");
}

fn push_deployment(fact: &Fact<'_>, service: &str, out: &mut String) {
    let back = fact.step.kind == Kind::DeployRolledback;
    let task = if back { "deploy:rollback" } else { "deploy" };
    out.push_str("{\"url\":\"");
    push_url(fact, service, "", out);
    out.push_str("\",\"id\":");
    push_number(out, deployment_id(fact));
    out.push_str(",\"node_id\":\"DE_");
    push_number(out, deployment_id(fact));
    out.push_str("\",\"sha\":\"");
    fact.push_commit(out);
    out.push_str("\",\"ref\":\"main\",\"task\":\"");
    out.push_str(task);
    out.push_str(
        "\",\"payload\":{},\"original_environment\":\"production\",\
         \"environment\":\"production\",\"description\":null,\"creator\":",
    );
    push_bot(out);
    out.push_str(",\"created_at\":\"");
    push_time_seconds(out, fact.flow.started_ms);
    out.push_str("\",\"updated_at\":\"");
    push_time_seconds(out, fact.time_ms);
    out.push_str("\",\"statuses_url\":\"");
    push_url(fact, service, "/statuses", out);
    out.push_str("\",\"repository_url\":\"");
    out.push_str(API);
    out.push_str(service);
    out.push_str("\",\"transient_environment\":false,\"production_environment\":true}");
}

fn push_repository(place: u8, service: &str, out: &mut String) {
    out.push_str("{\"id\":");
    push_number(out, 910_000_001 + u64::from(place));
    out.push_str(",\"node_id\":\"R_");
    push_number(out, 910_000_001 + u64::from(place));
    out.push_str("\",\"name\":\"");
    out.push_str(service);
    out.push_str("\",\"full_name\":\"example/");
    out.push_str(service);
    out.push_str(
        "\",\"private\":true,\"owner\":{\"login\":\"example\",\"id\":9100001,\
         \"type\":\"Organization\",\"site_admin\":false},\"html_url\":\"https://github.com/example/",
    );
    out.push_str(service);
    out.push_str("\",\"default_branch\":\"main\"}");
}

fn push_bot(out: &mut String) {
    out.push_str(
        "{\"login\":\"example-deploy[bot]\",\"id\":9100002,\"type\":\"Bot\",\"site_admin\":false}",
    );
}
