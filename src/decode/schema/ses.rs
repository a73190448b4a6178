//! Amazon SES: event publishing and feedback notifications, bare or wrapped by SNS.
//!
//! One document is one event per recipient it is about. Without a list of its own a type is about
//! all of the mail's destinations. Tags of the mail may carry ids of the product.

use crate::model::field;

use super::super::canon::{self, Canon};
use super::super::dead::{Flaw, Reason};
use super::super::draft::{Doc, Raw};
use super::super::normal;

macro_rules! inputs {
    ($($name:ident = $number:literal: $($path:literal),+;)*) => {
        $(const $name: u8 = $number;)*
        pub(crate) const INPUTS: &[(&str, u8)] = &[$($(($path, $name)),+),*];
    };
}

inputs! {
    TYPE = 0: "eventType", "notificationType";
    MAIL_TIME = 1: "mail.timestamp";
    MESSAGE_ID = 2: "mail.messageId";
    DESTINATION = 3: "mail.destination";
    BOUNCE_TYPE = 4: "bounce.bounceType";
    BOUNCE_SUBTYPE = 5: "bounce.bounceSubType";
    FEEDBACK = 6: "bounce.feedbackId", "complaint.feedbackId";
    BOUNCED = 7: "bounce.bouncedRecipients.emailAddress";
    COMPLAINED = 8: "complaint.complainedRecipients.emailAddress";
    COMPLAINT_TYPE = 9: "complaint.complaintFeedbackType";
    DELIVERED = 10: "delivery.recipients";
    DELAYED = 11: "deliveryDelay.delayedRecipients.emailAddress";
    DELAY_TYPE = 12: "deliveryDelay.delayType";
    REJECT_REASON = 13: "reject.reason";
    FAILURE = 14: "failure.errorMessage";
    IP = 15: "open.ipAddress", "click.ipAddress";
    AGENT = 16: "open.userAgent", "click.userAgent";
    LINK = 17: "click.link";
    OWN_TIME = 18: "bounce.timestamp", "complaint.timestamp", "delivery.timestamp", "open.timestamp",
        "click.timestamp", "deliveryDelay.timestamp", "subscription.timestamp", "send.timestamp",
        "reject.timestamp", "failure.timestamp";
    SNS_MESSAGE = 19: "Message";
    SNS_ID = 20: "MessageId";
    SNS_TIME = 21: "Timestamp";
    TAG_USER = 22: "mail.tags.user_id", "mail.tags.userId", "mail.tags.user.id", "mail.tags.user-id";
    TAG_TOKEN = 23: "mail.tags.token_id", "mail.tags.tokenId", "mail.tags.token.id", "mail.tags.token-id";
    TAG_TRACE = 24: "mail.tags.trace_id", "mail.tags.traceId", "mail.tags.trace.id", "mail.tags.trace-id";
    TAG_REQUEST = 25: "mail.tags.request_id", "mail.tags.requestId", "mail.tags.request-id",
        "mail.tags.http.request.id";
    DETAIL = 26: "detail";
}

/// The message inside an SNS notification.
pub(crate) fn wrapped<'a>(doc: &Doc<'a>) -> Option<&'a str> {
    match doc.raw(TYPE) {
        None => doc.text(SNS_MESSAGE),
        Some(_) => None,
    }
}

/// Where the document of an EventBridge envelope begins.
pub(crate) fn enveloped(doc: &Doc<'_>) -> Option<Raw<'static>> {
    match (doc.raw(TYPE), doc.raw(DETAIL)) {
        (None, Some(Raw::Object(at))) => Some(Raw::Object(at)),
        _ => None,
    }
}

/// The input that holds the recipients a document is about.
fn recipients(doc: &Doc<'_>) -> u8 {
    [BOUNCED, COMPLAINED, DELIVERED, DELAYED]
        .into_iter()
        .find(|input| doc.texts(*input).next().is_some())
        .unwrap_or(DESTINATION)
}

/// How many events the document is: one per recipient, at least one.
pub(crate) fn count(doc: &Doc<'_>) -> usize {
    doc.texts(recipients(doc)).count().max(1)
}

/// The id of the SNS notification around the message.
pub(crate) fn envelope_id<'a>(doc: &Doc<'a>) -> Option<&'a str> {
    doc.text(SNS_ID)
}

/// One of several events of a document.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    /// From 0.
    pub number: usize,
    pub count: usize,
    /// The id of the envelope it came in, or empty.
    pub envelope: &'a str,
}

/// Writes the event of one recipient.
pub(crate) fn finish(doc: &Doc<'_>, canon: &mut Canon<'_>, part: Part<'_>) -> Result<(), Flaw> {
    let name = match doc.raw(TYPE) {
        Some(Raw::Text(name)) if !normal::is_missing(name) => name.trim(),
        None | Some(Raw::Null | Raw::Text(_)) => {
            return Err(Flaw::new(Reason::MissingKind, "eventType", "is missing"));
        }
        Some(_) => return Err(Flaw::new(Reason::WrongType, "eventType", "is not a text")),
    };
    let times = [
        (doc.raw(OWN_TIME), "timestamp"),
        (doc.raw(MAIL_TIME), "mail.timestamp"),
        (doc.raw(SNS_TIME), "Timestamp"),
    ];
    let time = canon::first_time(times, "mail.timestamp")?;
    let mut lower = std::mem::take(&mut canon.buffer.lower);
    lower.clear();
    lower.extend(
        name.chars()
            .filter(|c| *c != ' ')
            .flat_map(char::to_lowercase),
    );
    let kind = kind(&lower);
    canon.buffer.lower = lower;
    match kind {
        Some((kind, outcome)) => {
            canon.kind(kind);
            canon.outcome(outcome);
        }
        None => canon.custom("ses", name),
    }
    canon.time(time);
    if let Some((_, address)) = doc.texts(recipients(doc)).nth(part.number) {
        canon.email(address);
    }
    id(doc, canon, part);
    reason(doc, canon);
    canon.maybe(field::MESSAGE_ID, doc.text(MESSAGE_ID));
    canon.word(field::MESSAGE_CHANNEL, "email");
    canon.word(field::MESSAGE_PROVIDER, "ses");
    let user = doc.texts(TAG_USER).next().map(|(_, text)| text);
    canon.maybe(field::USER_ID, user);
    canon.maybe(field::USER_TARGET_ID, user);
    canon.maybe(field::TOKEN_ID, doc.text(TAG_TOKEN));
    canon.maybe(field::TRACE_ID, doc.text(TAG_TRACE));
    canon.maybe(field::REQUEST_ID, doc.text(TAG_REQUEST));
    canon.maybe(field::USER_AGENT, doc.text(AGENT));
    if let Some(link) = doc.text(LINK) {
        let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
        canon.maybe(
            field::URL_PATH,
            rest.find('/').and_then(|at| rest.get(at..)),
        );
    }
    doc.text(IP).map_or(Ok(()), |ip| canon.ip(ip))
}

fn kind(lower: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match lower {
        "send" => ("message.sent", Some("success")),
        "delivery" => ("message.delivered", Some("success")),
        "deliverydelay" => ("message.deferred", None),
        // A refused mail never reached anyone: for the flow the same as one that came back.
        "bounce" | "reject" | "renderingfailure" => ("message.bounced", Some("failure")),
        "complaint" => ("message.complained", None),
        "open" => ("message.opened", None),
        "click" => ("message.clicked", None),
        _ => return None,
    })
}

/// The notification's own id, made one per recipient.
fn id(doc: &Doc<'_>, canon: &mut Canon<'_>, part: Part<'_>) {
    let envelope = Some(part.envelope).filter(|id| !id.is_empty());
    let Some(id) = envelope.or(doc.text(SNS_ID)).or(doc.text(FEEDBACK)) else {
        return;
    };
    if part.count == 1 {
        canon.text(field::EVENT_ID, id);
    } else if canon.wants(field::EVENT_ID) {
        canon.text(field::EVENT_ID, &format!("{id}#{}", part.number + 1));
    }
}

fn reason(doc: &Doc<'_>, canon: &mut Canon<'_>) {
    let plain = [COMPLAINT_TYPE, REJECT_REASON, DELAY_TYPE, FAILURE];
    match (doc.text(BOUNCE_TYPE), doc.text(BOUNCE_SUBTYPE)) {
        (Some(kind), Some(sub)) if canon.wants(field::EVENT_REASON) => {
            canon.text(field::EVENT_REASON, &format!("{kind}/{sub}"));
        }
        (Some(only), None) => canon.text(field::EVENT_REASON, only),
        _ => canon.maybe(
            field::EVENT_REASON,
            plain.iter().find_map(|input| doc.text(*input)),
        ),
    }
}
