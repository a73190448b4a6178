//! What can happen: event kinds, campaigns with what they must set off, and labels.
//!
//! Owns the names; does not decide when anything happens or how a schema writes it. Invariant: an
//! attack names at least one detector, benign traffic and near misses name none.

use super::text::{push_number, push_string};

/// The kinds of event the generator makes, a subset of the canonical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    RecoveryRequested,
    TokenIssued,
    TokenUsed,
    TokenExpired,
    MessageQueued,
    MessageSent,
    MessageDelivered,
    MessageBounced,
    MessageClicked,
    MessageComplained,
    PasswordChanged,
    LoginSuccess,
    LoginFailure,
    SessionRevoked,
    TicketOpened,
    PhishingReported,
    DeployStarted,
    DeployFinished,
    DeployRolledback,
}

impl Kind {
    /// The canonical `event.kind`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RecoveryRequested => "recovery.requested",
            Self::TokenIssued => "token.issued",
            Self::TokenUsed => "token.used",
            Self::TokenExpired => "token.expired",
            Self::MessageQueued => "message.queued",
            Self::MessageSent => "message.sent",
            Self::MessageDelivered => "message.delivered",
            Self::MessageBounced => "message.bounced",
            Self::MessageClicked => "message.clicked",
            Self::MessageComplained => "message.complained",
            Self::PasswordChanged => "password.changed",
            Self::LoginSuccess => "login.success",
            Self::LoginFailure => "login.failure",
            Self::SessionRevoked => "session.revoked",
            Self::TicketOpened => "ticket.opened",
            Self::PhishingReported => "phishing.reported",
            Self::DeployStarted => "deploy.started",
            Self::DeployFinished => "deploy.finished",
            Self::DeployRolledback => "deploy.rolledback",
        }
    }

    /// Whether it is about a mail.
    pub(super) fn is_message(self) -> bool {
        self.name().starts_with("message.")
    }

    /// Whether it is about a deployment.
    pub(super) fn is_deploy(self) -> bool {
        matches!(
            self,
            Self::DeployStarted | Self::DeployFinished | Self::DeployRolledback
        )
    }
}

/// What a line is part of; [`Campaign::None`] is everyday traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Campaign {
    None,
    ResetFlood,
    RotatingIps,
    Enumeration,
    TokenTheft,
    DeployRegression,
    HoneytokenRequest,
    HoneytokenRedeem,
    NatOffice,
    SharedKiosk,
    LinkScanner,
    ResentMail,
    QuietDeploy,
}

/// What a line is, as the generator knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// Everyday traffic.
    Benign,
    /// Looks like an attack and is none; nothing may fire.
    NearMiss,
    /// Part of an attack, or of a fault that must be found.
    Attack,
}

impl LabelKind {
    /// As written in the labels file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::NearMiss => "near_miss",
            Self::Attack => "attack",
        }
    }
}

/// The truth about one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Line number, from 1.
    pub line: u64,
    /// The campaign the line belongs to; none for everyday traffic.
    pub campaign: Option<&'static str>,
    /// What it is.
    pub kind: LabelKind,
    /// Detectors (`family/name`) its campaign must set off; empty unless an attack.
    pub expect: &'static [&'static str],
}

impl Label {
    pub(super) fn new(line: u64, campaign: Campaign) -> Self {
        use LabelKind::{Attack, Benign, NearMiss};
        let (name, kind, expect): (_, _, &[&str]) = match campaign {
            Campaign::None => {
                return Self {
                    line,
                    campaign: None,
                    kind: Benign,
                    expect: &[],
                };
            }
            Campaign::ResetFlood => (
                "reset-flood",
                Attack,
                &["flood/reset-ip", "token/without-use", "spike/global"],
            ),
            Campaign::RotatingIps => (
                "rotating-ips",
                Attack,
                &["spike/global", "token/without-use"],
            ),
            Campaign::Enumeration => ("enumeration", Attack, &["enumeration/accounts-per-ip"]),
            Campaign::TokenTheft => ("token-theft", Attack, &["token/reuse-other-ip"]),
            Campaign::DeployRegression => (
                "deploy-regression",
                Attack,
                &["mail/duplicates-per-token", "deploy/then-spike"],
            ),
            Campaign::HoneytokenRequest => ("honeytoken", Attack, &["honeytoken/request"]),
            Campaign::HoneytokenRedeem => ("honeytoken", Attack, &["honeytoken/redeem"]),
            Campaign::NatOffice => ("nat-office", NearMiss, &[]),
            Campaign::SharedKiosk => ("shared-kiosk", NearMiss, &[]),
            Campaign::LinkScanner => ("link-scanner", NearMiss, &[]),
            Campaign::ResentMail => ("resent-mail", NearMiss, &[]),
            Campaign::QuietDeploy => ("quiet-deploy", NearMiss, &[]),
        };
        Self {
            line,
            campaign: Some(name),
            kind,
            expect,
        }
    }

    /// Appends the line of the labels file, without a newline.
    pub fn push_json(&self, out: &mut String) {
        out.push_str("{\"line\":");
        push_number(out, self.line);
        out.push_str(",\"campaign\":");
        match self.campaign {
            Some(name) => push_string(out, name),
            None => out.push_str("null"),
        }
        out.push_str(",\"kind\":");
        push_string(out, self.kind.as_str());
        out.push_str(",\"expect\":[");
        for (index, detector) in self.expect.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_string(out, detector);
        }
        out.push_str("]}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_json_line() {
        let mut out = String::new();
        Label::new(7, Campaign::RotatingIps).push_json(&mut out);
        assert_eq!(
            out,
            r#"{"line":7,"campaign":"rotating-ips","kind":"attack","expect":["spike/global","token/without-use"]}"#
        );
        out.clear();
        Label::new(1, Campaign::None).push_json(&mut out);
        assert_eq!(
            out,
            r#"{"line":1,"campaign":null,"kind":"benign","expect":[]}"#
        );
    }
}
