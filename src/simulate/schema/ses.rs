//! Amazon SES event publishing: Send, Delivery, Bounce, Complaint and Click, bare (no SNS wrapper).
//!
//! Owns the shape of the `mail` object and of each event's own part. Invariant: `mail.timestamp` is
//! when the mail was sent, the event's own timestamp when it happened; the link of a click carries
//! a secret, as real ones do, so that decoding has something to drop.

use super::Fact;
use crate::simulate::fact::Kind;
use crate::simulate::random::mix;
use crate::simulate::text::{push_hex, push_ip, push_number, push_string, push_time, push_uuid};

/// SES's event type for a kind.
pub(super) fn word(kind: Kind) -> Option<&'static str> {
    WORDS
        .iter()
        .find(|(known, ..)| *known == kind)
        .map(|(_, word, _)| *word)
}

/// How an event's own part is written.
type Part = fn(&Fact<'_>, &mut String);

const WORDS: [(Kind, &str, Part); 5] = [
    (Kind::MessageSent, "Send", |_, out| {
        out.push_str(",\"send\":{}")
    }),
    (Kind::MessageDelivered, "Delivery", push_delivery),
    (Kind::MessageBounced, "Bounce", push_bounce),
    (Kind::MessageComplained, "Complaint", push_complaint),
    (Kind::MessageClicked, "Click", push_click),
];

pub(super) fn write(fact: &Fact<'_>, out: &mut String) {
    let found = WORDS.iter().find(|(known, ..)| *known == fact.step.kind);
    let Some((_, word, push_part)) = found else {
        return;
    };
    out.push_str("{\"eventType\":\"");
    out.push_str(word);
    out.push_str("\",\"mail\":");
    push_mail(fact, out);
    push_part(fact, out);
    out.push('}');
}

fn push_message_id(fact: &Fact<'_>, out: &mut String) {
    let id = fact.flow.message_id(fact.step.copy);
    out.push_str("0100019");
    push_hex(out, id >> 28, 9);
    out.push('-');
    push_uuid(out, id, mix(id));
    out.push_str("-000000");
}

fn push_mail(fact: &Fact<'_>, out: &mut String) {
    out.push_str("{\"timestamp\":\"");
    push_time(out, fact.flow.mail_sent_ms(fact.step.copy));
    out.push_str(
        "\",\"source\":\"Example Accounts <no-reply@accounts.example.com>\",\"sourceArn\":\
         \"arn:aws:ses:eu-central-1:123456789012:identity/accounts.example.com\",\
         \"sendingAccountId\":\"123456789012\",\"messageId\":\"",
    );
    push_message_id(fact, out);
    out.push_str("\",\"destination\":[\"");
    fact.push_email(out);
    out.push_str(
        "\"],\"headersTruncated\":false,\"headers\":[{\"name\":\"From\",\"value\":\
         \"Example Accounts <no-reply@accounts.example.com>\"},{\"name\":\"To\",\"value\":\"",
    );
    fact.push_email(out);
    out.push_str("\"},{\"name\":\"Subject\",\"value\":\"Reset your password\"},");
    out.push_str("{\"name\":\"X-Request-Id\",\"value\":\"");
    fact.push_request(out);
    out.push_str(
        "\"}],\"commonHeaders\":{\"from\":\
         [\"Example Accounts <no-reply@accounts.example.com>\"],\"to\":[\"",
    );
    fact.push_email(out);
    out.push_str("\"],\"messageId\":\"");
    push_message_id(fact, out);
    out.push_str(
        "\",\"subject\":\"Reset your password\"},\"tags\":{\"ses:configuration-set\":\
         [\"account-recovery\"],\"ses:source-ip\":[\"192.0.2.3\"],\"ses:from-domain\":\
         [\"accounts.example.com\"],\"ses:caller-identity\":[\"mailer\"],\"flow\":[\"recovery\"],\
         \"request_id\":[\"",
    );
    fact.push_request(out);
    out.push_str("\"],\"user_id\":[\"");
    fact.push_account(out);
    out.push_str("\"],\"token_id\":[\"");
    fact.push_token(out);
    out.push_str("\"]}}");
}

fn push_delivery(fact: &Fact<'_>, out: &mut String) {
    out.push_str(",\"delivery\":{\"timestamp\":\"");
    push_time(out, fact.time_ms);
    out.push_str("\",\"processingTimeMillis\":");
    let took_ms = fact.time_ms - fact.flow.mail_sent_ms(fact.step.copy);
    push_number(out, u64::try_from(took_ms).unwrap_or(0));
    out.push_str(",\"recipients\":[\"");
    fact.push_email(out);
    out.push_str(
        "\"],\"smtpResponse\":\"250 2.6.0 Message received\",\
         \"reportingMTA\":\"a8-50.smtp-out.example.com\"}",
    );
}

fn push_bounce(fact: &Fact<'_>, out: &mut String) {
    out.push_str(
        ",\"bounce\":{\"bounceType\":\"Permanent\",\"bounceSubType\":\"General\",\
         \"bouncedRecipients\":[{\"emailAddress\":\"",
    );
    fact.push_email(out);
    out.push_str(
        "\",\"action\":\"failed\",\"status\":\"5.1.1\",\
         \"diagnosticCode\":\"smtp; 550 5.1.1 user unknown\"}],\"timestamp\":\"",
    );
    push_time(out, fact.time_ms);
    push_feedback_id(fact, out);
    out.push_str(",\"reportingMTA\":\"dsn; a8-50.smtp-out.example.com\"}");
}

fn push_complaint(fact: &Fact<'_>, out: &mut String) {
    out.push_str(",\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"");
    fact.push_email(out);
    out.push_str("\"}],\"timestamp\":\"");
    push_time(out, fact.time_ms);
    push_feedback_id(fact, out);
    out.push_str(
        ",\"complaintSubType\":null,\"userAgent\":\"ExampleFeedbackLoop/1.0\",\
         \"complaintFeedbackType\":\"abuse\",\"arrivalDate\":\"",
    );
    push_time(out, fact.time_ms);
    out.push_str("\"}");
}

fn push_feedback_id(fact: &Fact<'_>, out: &mut String) {
    out.push_str("\",\"feedbackId\":\"0100019");
    push_hex(out, fact.event_id() >> 28, 9);
    out.push('-');
    push_uuid(out, fact.event_id(), mix(fact.event_id()));
    out.push_str("-000000\"");
}

fn push_click(fact: &Fact<'_>, out: &mut String) {
    out.push_str(",\"click\":{\"timestamp\":\"");
    push_time(out, fact.time_ms);
    out.push_str("\",\"ipAddress\":\"");
    push_ip(out, fact.origin().ip);
    out.push_str("\",\"userAgent\":");
    push_string(out, fact.origin().user_agent());
    out.push_str(",\"link\":\"https://id.example.com/recovery/confirm?token=");
    fact.push_secret(out);
    out.push_str("\",\"linkTags\":null}");
}
