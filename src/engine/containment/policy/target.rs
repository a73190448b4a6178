//! Which target an alert's response is about: the field it names, as a scope and a clean value.
//!
//! Owns the table from fields to scopes. A value that is not what its scope says is refused, so
//! that no enforcer is ever handed text an attacker wrote in place of an address.

use std::net::IpAddr;

use super::Withheld;
use crate::engine::alert::Alert;
use crate::engine::containment::allow::{AllowList, Cidr, asn_number};
use crate::engine::containment::{Scope, Target, Verb};
use crate::engine::detector::plan::Respond;
use crate::model::WallTime;

/// The flow this product guards, when a response names no part of it.
const FLOW: &str = "account_recovery";
/// What `freeze_deploys` is about when it names no service.
const DEPLOYS: &str = "deploys";
/// Longest value of a target; longer ones are no ids.
const VALUE_LEN_MAX: usize = 512;

impl Scope {
    pub(super) const fn is_network(self) -> bool {
        matches!(self, Self::Ip | Self::Cidr)
    }

    fn of_field(field: &str) -> Option<Self> {
        match field {
            "source.ip" => Some(Self::Ip),
            "source.cidr" => Some(Self::Cidr),
            "source.as.number" => Some(Self::Asn),
            "source.geo.country_iso_code" => Some(Self::Geo),
            "user.id" | "user.target.id" | "user.email" => Some(Self::Account),
            "token.id" | "session.id" => Some(Self::Token),
            "deploy.service" | "deploy.environment" | "url.path" | "message.channel"
            | "message.provider" | "organization.id" => Some(Self::Flow),
            _ => None,
        }
    }
}

/// Whether the list keeps an alert's actions off a target: by itself, or by its autonomous system.
#[must_use]
pub fn is_protected(target: &Target, alert: &Alert, list: &AllowList, now: WallTime) -> bool {
    let field = "source.as.number";
    let network = alert.key.get(field).or_else(|| alert.context.get(field));
    let network = network.filter(|_| target.scope.is_network());
    let asn = network.and_then(|text| asn_number(text));
    asn.is_some_and(|asn| list.covers_asn(asn, now)) || list.covers(target, now)
}

/// The target of one response to an alert.
pub(super) fn of(alert: &Alert, respond: &Respond) -> Result<Target, Withheld> {
    let Some(field) = &respond.target else {
        let value = if respond.verb == Verb::FreezeDeploys {
            DEPLOYS
        } else {
            FLOW
        };
        return Ok(Target {
            scope: Scope::Flow,
            value: value.to_owned(),
        });
    };
    let raw = alert.key.get(field).or_else(|| alert.context.get(field));
    let scope = Scope::of_field(field).ok_or(Withheld::NoScope)?;
    let raw = raw.map(|text| text.trim()).filter(|text| !text.is_empty());
    let value = clean(scope, raw.ok_or(Withheld::NoTarget)?).ok_or(Withheld::InvalidTarget)?;
    Ok(Target { scope, value })
}

fn clean(scope: Scope, raw: &str) -> Option<String> {
    match scope {
        Scope::Ip => {
            let ip: IpAddr = raw.parse().ok()?;
            let ip = ip.to_canonical();
            (!ip.is_unspecified() && !ip.is_multicast()).then(|| ip.to_string())
        }
        Scope::Cidr => Cidr::parse(raw).map(|range| range.to_string()),
        Scope::Asn => asn_number(raw).filter(|n| *n != 0).map(|n| n.to_string()),
        Scope::Geo => {
            let letters = raw.len() == 2 && raw.bytes().all(|b| b.is_ascii_alphabetic());
            letters.then(|| raw.to_ascii_uppercase())
        }
        Scope::Account | Scope::Token | Scope::Flow => {
            let fits = raw.len() <= VALUE_LEN_MAX && !raw.chars().any(char::is_control);
            fits.then(|| raw.to_owned())
        }
    }
}
