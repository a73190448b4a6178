//! From a scenario and a number of events to rates, sizes and starting lines.
//!
//! Owns every number behind a scenario's promises; does not make events. Invariant: campaigns begin
//! after a quiet lead-in of two fifths of the lines (less in `mixed`), and end before the input
//! does, at any number of events from `EVENTS_MIN` on.

use super::fact::{Campaign, Kind};
use super::random::{small, whole};
use super::scenario::Scenario;
use super::schema::Schema;

/// What a source of arrivals does at each arrival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Work {
    /// Everyday recoveries.
    Recoveries,
    /// Everyday log-ins.
    Visits,
    /// Everyday deploys of services that send no mail.
    Deploys,
    /// Resets from so many machines of the hosting core.
    Flood(u32),
    /// One reset per address and account.
    Rotate,
    /// One machine, one try per account.
    Enumerate,
    /// A recovery whose token a thief uses again.
    Steal,
    /// Resets of decoy accounts.
    AskDecoys,
    /// Uses of planted tokens.
    UseDecoys,
    /// Recoveries behind the address of office n.
    Office(u32),
    /// Four recoveries per shared kiosk.
    Kiosks,
    /// Recoveries whose link a scanner opens first.
    Scan,
    /// Recoveries with a second mail asked for.
    Resend,
    /// A deploy of the mailer and, if it brings a bug, how many mails per token for how long.
    Release {
        copies: u8,
        for_ms: u32,
        label: Campaign,
    },
    /// Tickets and phishing reports of people who got mails.
    Aftermath,
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pacing {
    /// Independent arrivals.
    Random,
    /// Independent arrivals, more by day than by night.
    Daily,
    /// Regular, up to this share of the gap later, in per mille.
    Even(u32),
}

/// A source of arrivals and when it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Launch {
    /// Begins once so many lines are written...
    pub(super) at_line: u64,
    /// ...and then so much event time has passed.
    pub(super) delay_ms: i64,
    pub(super) work: Work,
    /// How many arrivals.
    pub(super) count: u64,
    pub(super) gap_ms: f64,
    pub(super) pacing: Pacing,
}

/// The whole run in numbers.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Sorted by starting line.
    pub(super) launches: Vec<Launch>,
    /// No everyday deploys after this line, so that none stands before a campaign by chance.
    pub(super) deploys_until: u64,
    /// Size of the account space in bits.
    pub(super) account_bits: u32,
}

const MINUTE_MS: f64 = 60_000.0;
/// The least everyday rate of recoveries per minute: lower ones leave holes of minutes.
const RATE_MIN: f64 = 5.0;

/// Expected events of an everyday recovery (with one visit beside it), in per mille.
const EVERYDAY: [(Kind, u32); 14] = [
    (Kind::LoginFailure, 770),
    (Kind::RecoveryRequested, 1040),
    (Kind::TokenIssued, 1040),
    (Kind::MessageQueued, 1040),
    (Kind::MessageSent, 1040),
    (Kind::MessageDelivered, 1030),
    (Kind::MessageBounced, 10),
    (Kind::MessageClicked, 716),
    (Kind::TokenUsed, 716),
    (Kind::PasswordChanged, 716),
    (Kind::SessionRevoked, 716),
    (Kind::LoginSuccess, 1716),
    (Kind::TokenExpired, 324),
    (Kind::TicketOpened, 10),
];

/// Events of a reset nobody asked for.
const UNWANTED: [Kind; 6] = [
    Kind::RecoveryRequested,
    Kind::TokenIssued,
    Kind::MessageQueued,
    Kind::MessageSent,
    Kind::MessageDelivered,
    Kind::TokenExpired,
];

/// Longest span by number of events, in minutes; between the points linear.
const SPANS: [(f64, f64); 6] = [
    (20_000.0, 480.0),
    (100_000.0, 660.0),
    (500_000.0, 900.0),
    (1e6, 1080.0),
    (3e6, 1260.0),
    (1e7, 1440.0),
];

impl Plan {
    pub(super) fn new(scenario: Scenario, schema: Schema, events: u64) -> Self {
        let sizes = Sizes::new(scenario, schema, events);
        let mut launches = sizes.everyday(schema);
        if sizes.unwanted_lines > 0.0 {
            launches.extend(sizes.campaigns(scenario));
        } else {
            launches.extend(
                sizes
                    .campaigns(scenario)
                    .into_iter()
                    .filter(Launch::is_release),
            );
        }
        launches.retain(|launch| launch.count > 0);
        launches.sort_by_key(|launch| launch.at_line);
        let undisturbed = matches!(scenario, Scenario::Benign | Scenario::NearMisses);
        let always = undisturbed || schema == Schema::Github;
        Self {
            launches,
            deploys_until: if always { u64::MAX } else { sizes.line(0.2) },
            account_bits: (64 - events.leading_zeros() + 1).clamp(17, 40),
        }
    }
}

impl Launch {
    fn is_release(&self) -> bool {
        matches!(self.work, Work::Release { .. })
    }

    fn new(at_line: u64, work: Work, count: f64, gap_ms: f64, pacing: Pacing) -> Self {
        Self {
            at_line,
            delay_ms: 0,
            work,
            count: whole(count),
            gap_ms,
            pacing,
        }
    }

    fn after_minutes(self, minutes: f64) -> Self {
        Self {
            delay_ms: i64::from(small(minutes * MINUTE_MS)),
            ..self
        }
    }
}

/// What the numbers follow from.
struct Sizes {
    events: f64,
    /// Everyday recoveries per minute.
    rate: f64,
    /// Expected length of the run.
    minutes: f64,
    /// Lines of a reset nobody asked for, in this schema.
    unwanted_lines: f64,
}

impl Sizes {
    fn new(scenario: Scenario, schema: Schema, events: u64) -> Self {
        let events = events as f64;
        let share = match scenario {
            Scenario::ResetFlood => 0.25,
            Scenario::RotatingIps => 0.40,
            Scenario::Incident2026 => 0.38,
            Scenario::Mixed => 0.42,
            Scenario::DeployRegression => 0.25,
            Scenario::Benign
            | Scenario::Enumeration
            | Scenario::TokenTheft
            | Scenario::Honeytoken
            | Scenario::NearMisses => 0.02,
        };
        let known = EVERYDAY.iter().filter(|(kind, _)| schema.knows(*kind));
        let lines = f64::from(known.map(|(_, per_mille)| per_mille).sum::<u32>()) / 1000.0;
        let recoveries = events * (1.0 - share) / lines.max(0.1);
        let rate = (recoveries / span_minutes(events)).max(RATE_MIN);
        let unwanted = UNWANTED.iter().filter(|kind| schema.knows(**kind)).count();
        let unwanted_lines = f64::from(u32::try_from(unwanted).unwrap_or(0));
        Self {
            events,
            rate,
            minutes: recoveries / rate,
            unwanted_lines,
        }
    }

    /// The line that ends a share of the run.
    fn line(&self, share: f64) -> u64 {
        whole(self.events * share)
    }

    /// Unwanted resets that fill a share of the run's lines, each line `weight` times.
    fn resets(&self, share: f64, weight: f64) -> f64 {
        self.events * share / (self.unwanted_lines.max(1.0) * weight)
    }

    fn everyday(&self, schema: Schema) -> Vec<Launch> {
        let forever = u64::MAX as f64;
        if schema == Schema::Github {
            let gap_ms = (span_minutes(self.events) * MINUTE_MS * 2.0 / self.events).max(1000.0);
            return vec![Launch::new(
                0,
                Work::Deploys,
                forever,
                gap_ms,
                Pacing::Random,
            )];
        }
        let gap_ms = MINUTE_MS / self.rate;
        let mut all = vec![
            Launch::new(0, Work::Recoveries, forever, gap_ms, Pacing::Daily),
            Launch::new(0, Work::Visits, forever, gap_ms, Pacing::Daily),
        ];
        if schema.knows(Kind::DeployFinished) {
            all.push(Launch::new(
                0,
                Work::Deploys,
                forever,
                50.0 * MINUTE_MS,
                Pacing::Even(300),
            ));
        }
        all
    }

    fn campaigns(&self, scenario: Scenario) -> Vec<Launch> {
        let lead_in = self.line(0.4);
        match scenario {
            Scenario::Benign => Vec::new(),
            Scenario::ResetFlood => vec![self.flood(lead_in, self.resets(0.25, 1.0))],
            Scenario::RotatingIps => vec![self.rotate(lead_in, self.resets(0.40, 1.0))],
            Scenario::Enumeration => vec![self.enumerate(lead_in)],
            Scenario::TokenTheft => vec![self.steal(lead_in)],
            Scenario::DeployRegression => {
                let minutes = (0.18 * self.minutes).clamp(30.0, 180.0);
                vec![release(lead_in, 6, minutes, Campaign::DeployRegression)]
            }
            Scenario::Honeytoken => self.decoys(lead_in),
            Scenario::NearMisses => self.near_misses(),
            Scenario::Incident2026 => self.incident(lead_in),
            Scenario::Mixed => self.mixed(),
        }
    }

    /// At least 100 resets a minute from each machine.
    fn flood(&self, at_line: u64, resets: f64) -> Launch {
        let minutes = (2.5 * (self.events / 20_000.0).sqrt()).clamp(2.5, 30.0);
        let per_minute = (resets / minutes).max(330.0);
        let machines = small((per_minute / 400.0).clamp(3.0, 24.0));
        Launch::new(
            at_line,
            Work::Flood(machines),
            resets,
            MINUTE_MS / per_minute,
            Pacing::Random,
        )
    }

    /// Ten times the usual resets.
    fn rotate(&self, at_line: u64, resets: f64) -> Launch {
        let gap_ms = MINUTE_MS / (10.0 * self.rate);
        Launch::new(at_line, Work::Rotate, resets, gap_ms, Pacing::Random)
    }

    /// 30 to 36 accounts in any 15 minutes, three at most in one.
    fn enumerate(&self, at_line: u64) -> Launch {
        let tries = (self.events / 130.0).clamp(100.0, 1200.0);
        Launch::new(at_line, Work::Enumerate, tries, 25_000.0, Pacing::Even(200))
    }

    fn steal(&self, at_line: u64) -> Launch {
        let thefts = (self.events / 400.0).clamp(30.0, 5000.0);
        let gap_ms = 0.3 * self.minutes * MINUTE_MS / thefts;
        Launch::new(at_line, Work::Steal, thefts, gap_ms, Pacing::Random)
    }

    fn decoys(&self, at_line: u64) -> Vec<Launch> {
        let asked = (self.events / 2000.0).clamp(10.0, 40.0);
        let ask = Launch::new(
            at_line,
            Work::AskDecoys,
            asked,
            100_000.0,
            Pacing::Even(400),
        );
        let redeem = Launch::new(at_line, Work::UseDecoys, 3.0, 240_000.0, Pacing::Even(500));
        vec![ask, redeem.after_minutes(12.0)]
    }

    fn near_misses(&self) -> Vec<Launch> {
        let offices = small((self.events / 200_000.0).clamp(1.0, 40.0));
        // Over five minutes between two people of an office: at most two in any ten minutes.
        let mut all: Vec<Launch> = (0..offices)
            .map(|n| Launch::new(0, Work::Office(n), 60.0, 304_000.0, Pacing::Even(300)))
            .collect();
        let forever = u64::MAX as f64;
        let rarely_ms = 16.0 * MINUTE_MS / self.rate;
        all.extend([
            Launch::new(0, Work::Kiosks, forever, 125_000.0, Pacing::Even(200)),
            Launch::new(0, Work::Scan, forever, rarely_ms, Pacing::Random),
            Launch::new(0, Work::Resend, forever, 160_000.0, Pacing::Even(500)),
            release(self.line(0.35), 1, 0.0, Campaign::QuietDeploy),
        ]);
        all
    }

    /// Minute 0 the deploy, 6 the hot core, 7 the rotating flood, 9 the decoys, 15 the complaints.
    fn incident(&self, at_line: u64) -> Vec<Launch> {
        let resets = self.resets(0.38, 1.5);
        let decoys = Launch::new(at_line, Work::AskDecoys, 4.0, 70_000.0, Pacing::Even(500));
        let voices = (self.events / 600.0).clamp(20.0, 400.0);
        let aftermath = Launch::new(
            at_line,
            Work::Aftermath,
            voices,
            2_400_000.0 / voices,
            Pacing::Random,
        );
        vec![
            release(at_line, 2, 40.0, Campaign::DeployRegression),
            self.flood(at_line, resets * 0.35).after_minutes(6.0),
            self.rotate(at_line, resets * 0.65).after_minutes(7.0),
            decoys.after_minutes(9.0),
            aftermath.after_minutes(15.0),
        ]
    }

    fn mixed(&self) -> Vec<Launch> {
        let mut all = self.near_misses();
        all.retain(|launch| !launch.is_release());
        all.extend(self.decoys(self.line(0.26)));
        all.push(release(
            self.line(0.28),
            6,
            20.0,
            Campaign::DeployRegression,
        ));
        all.push(self.enumerate(self.line(0.30)));
        all.push(self.steal(self.line(0.32)));
        all.push(self.flood(self.line(0.58), self.resets(0.12, 1.0)));
        all.push(self.rotate(self.line(0.70), self.resets(0.20, 1.0)));
        all
    }
}

/// A mailer deploy; with `copies` above 1 it brings a bug for so many minutes.
fn release(at_line: u64, copies: u8, minutes: f64, label: Campaign) -> Launch {
    let work = Work::Release {
        copies,
        for_ms: small(minutes * MINUTE_MS),
        label,
    };
    Launch::new(at_line, work, 1.0, 1.0, Pacing::Even(0))
}

fn span_minutes(events: f64) -> f64 {
    let mut before = SPANS[0];
    for point in SPANS {
        if events < point.0 {
            let way = (events - before.0) / (point.0 - before.0);
            return before.1 + way.max(0.0) * (point.1 - before.1);
        }
        before = point;
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::scenario::{EVENTS_MIN, scenarios};

    #[test]
    fn spans_stay_within_a_day() {
        for events in [1, 20_000, 60_000, 1_000_000, 10_000_000, 1_000_000_000] {
            let sizes = Sizes::new(Scenario::Benign, Schema::Tidegate, events);
            assert!(sizes.minutes <= 1441.0, "{events}: {}", sizes.minutes);
            assert!(sizes.rate >= RATE_MIN);
        }
        let sizes = Sizes::new(Scenario::Benign, Schema::Tidegate, EVENTS_MIN);
        assert!(
            sizes.minutes > 240.0,
            "20,000 events leave time for a baseline"
        );
    }

    #[test]
    fn campaigns_leave_a_lead_in() {
        for info in scenarios() {
            let plan = Plan::new(info.scenario, Schema::Tidegate, 20_000);
            let campaigns = plan.launches.iter().filter(|l| l.at_line > 0);
            let first = campaigns.map(|l| l.at_line).min();
            match info.scenario {
                Scenario::Benign => assert_eq!(first, None),
                Scenario::Mixed => assert_eq!(first, Some(5200)),
                Scenario::NearMisses => assert_eq!(first, Some(7000)),
                _ => assert_eq!(first, Some(8000), "{}", info.name),
            }
        }
    }
}
