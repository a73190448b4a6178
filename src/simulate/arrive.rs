//! What an arrival does: builds the flow of one account, campaign try or deployment.
//!
//! Owns the stories (who asks, who uses, who steals); does not keep time or order. Invariant:
//! everyday traffic and near misses stay below every shipped bound: one account asks at most twice,
//! tokens are used once, from where they were asked for, while they live.

use super::fact::{Campaign, Kind};
use super::flow::{COPIES_MAX, Flow, MAILER, Mails, SERVICES, Sent, Subject};
use super::plan::Work;
use super::random::{Random, Shuffle, byte, key};
use super::world::{COUNTRIES_COUNT, Origin, World, behind_nat, hosting_core, scanner};

/// How long an extra mail bug lasts.
#[derive(Clone, Copy, Debug)]
struct RetryBug {
    from_ms: i64,
    until_ms: i64,
    copies: u8,
}

/// Makes flows. Holds what must not repeat: serial numbers, accounts, addresses.
#[derive(Debug)]
pub(super) struct Cast {
    world: World,
    accounts: Shuffle,
    everyday_accounts: u64,
    campaign_accounts: u64,
    recoveries: u64,
    serial: u64,
    key: u64,
    retry_bug: Option<RetryBug>,
}

/// People per shared kiosk.
const KIOSK_VISITS: u32 = 4;
/// Machines of the hosting core beyond the flood's.
const ENUMERATOR: u32 = 30;
const DECOY_SEEKER: u32 = 40;
const THIEF: u32 = 52;

impl Cast {
    pub(super) fn new(seed: u64, account_bits: u32) -> Self {
        Self {
            world: World::new(seed),
            accounts: Shuffle::new(seed, 10, account_bits),
            everyday_accounts: 0,
            campaign_accounts: 0,
            recoveries: 0,
            serial: 0,
            key: key(seed, 11),
            retry_bug: None,
        }
    }

    /// The world's activity at a time, as a multiple of its daily mean.
    pub(super) fn level(&mut self, time_ms: i64) -> f64 {
        self.world.level(time_ms)
    }

    /// What one arrival begins, the `nth` of its source: a flow, rarely a second one after it.
    pub(super) fn arrive(
        &mut self,
        work: Work,
        nth: u64,
        now_ms: i64,
        random: &mut Random,
    ) -> (Flow, Option<Flow>) {
        let index = u32::try_from(nth % (1 << 30)).unwrap_or(0);
        let flow = match work {
            Work::Recoveries => return self.recovery(now_ms, random),
            Work::Visits => self.visit(now_ms, random),
            Work::Deploys => {
                let service = byte(nth % u64::from(MAILER));
                self.deploy(now_ms, random, service, Campaign::None)
            }
            Work::Flood(machines) => {
                let origin = hosting_core(random.below(machines));
                self.unwanted(now_ms, random, origin, Campaign::ResetFlood)
            }
            Work::Rotate => {
                let origin = self.world.rotate(random);
                self.unwanted(now_ms, random, origin, Campaign::RotatingIps)
            }
            Work::Enumerate => self.attempt(now_ms, random, nth),
            Work::Steal => self.theft(now_ms, random, index),
            Work::AskDecoys => self.ask_decoy(now_ms, random, index),
            Work::UseDecoys => self.use_decoy(now_ms, index),
            Work::Office(office) => self.shared(now_ms, random, office * 2, Campaign::NatOffice),
            Work::Kiosks => {
                let kiosk = index / KIOSK_VISITS * 2 + 1;
                self.shared(now_ms, random, kiosk, Campaign::SharedKiosk)
            }
            Work::Scan => self.scanned(now_ms, random, index),
            Work::Resend => self.resent(now_ms, random),
            Work::Release {
                copies,
                for_ms,
                label,
            } => self.release(now_ms, random, copies, for_ms, label),
            Work::Aftermath => self.voice(now_ms, random),
        };
        (flow, None)
    }

    fn flow(&mut self, now_ms: i64, subject: Subject, origin: Origin, label: Campaign) -> Flow {
        self.serial += 1;
        Flow::new(now_ms, (self.serial, self.key), subject, origin, label)
    }

    /// A person who has not been seen before, at home.
    fn person(&mut self, now_ms: i64, random: &mut Random) -> (Subject, Origin) {
        let account = self.accounts.of(self.everyday_accounts * 2);
        self.everyday_accounts += 1;
        let country = self.world.country(random, now_ms);
        (Subject::Account(account), self.world.home(account, country))
    }

    /// An account the attacker picks; never one that asks by itself.
    fn target(&mut self) -> u64 {
        self.campaign_accounts += 1;
        self.accounts.of(self.campaign_accounts * 2 + 1)
    }

    fn mails(&self, now_ms: i64, bounce: bool) -> Mails {
        let bug = self
            .retry_bug
            .filter(|bug| (bug.from_ms..bug.until_ms).contains(&now_ms));
        match bug {
            Some(bug) => Mails {
                copies: bug.copies,
                extra: Campaign::DeployRegression,
                bounce,
            },
            None => Mails {
                bounce,
                ..Mails::ONE
            },
        }
    }

    /// Fails to log in up to twice, asks, and uses the token in seven of ten cases. One in 97 mails
    /// bounces and makes a ticket, evenly, so that no window sees a wave of bounces.
    fn recovery(&mut self, now_ms: i64, random: &mut Random) -> (Flow, Option<Flow>) {
        let (subject, origin) = self.person(now_ms, random);
        self.recoveries += 1;
        let bounce = self.recoveries % 97 == 31;
        let again = !bounce && random.chance(40);
        let mut flow = self.flow(now_ms, subject, origin, Campaign::None);
        let mut asks_ms = 0;
        for _ in 0..[0, 0, 0, 0, 0, 1, 1, 1, 2, 2][random.below(10) as usize] {
            flow.at(asks_ms, Kind::LoginFailure);
            asks_ms += random.between(8000, 40_000);
        }
        let sent = flow.request(random, asks_ms, self.mails(now_ms, bounce));
        if !bounce && !again && random.chance(720) {
            flow.redeem(random, sent);
        } else {
            flow.expire(random, sent);
        }
        if bounce {
            flow.at(
                sent.arrived_ms + random.between(240_000, 900_000),
                Kind::TicketOpened,
            );
        }
        let second = again.then(|| {
            let later_ms = now_ms + i64::from(asks_ms + random.between(150_000, 400_000));
            let mut second = self.flow(later_ms, subject, origin, Campaign::None);
            let sent = second.request(random, 0, self.mails(later_ms, false));
            if random.chance(800) {
                second.redeem(random, sent);
            } else {
                second.expire(random, sent);
            }
            second
        });
        (flow, second)
    }

    fn visit(&mut self, now_ms: i64, random: &mut Random) -> Flow {
        let (subject, origin) = self.person(now_ms, random);
        let mut flow = self.flow(now_ms, subject, origin, Campaign::None);
        let mut enters_ms = 0;
        if random.chance(70) {
            flow.at(0, Kind::LoginFailure);
            enters_ms = random.between(4000, 30_000);
        }
        flow.at(enters_ms, Kind::LoginSuccess);
        flow
    }

    fn deploy(&mut self, now_ms: i64, random: &mut Random, service: u8, label: Campaign) -> Flow {
        let place = usize::from(service) % SERVICES.len();
        let subject = Subject::Deploy(u8::try_from(place).unwrap_or(0));
        let mut flow = self.flow(now_ms, subject, hosting_core(0), label);
        flow.at(0, Kind::DeployStarted);
        flow.at(random.between(60_000, 150_000), Kind::DeployFinished);
        flow
    }

    /// A reset nobody will use.
    fn unwanted(
        &mut self,
        now_ms: i64,
        random: &mut Random,
        from: Origin,
        label: Campaign,
    ) -> Flow {
        let target = Subject::Account(self.target());
        let mut flow = self.flow(now_ms, target, from, label);
        let bounce = random.chance(15);
        let sent = flow.request(random, 0, self.mails(now_ms, bounce));
        flow.expire(random, sent);
        if !bounce && random.chance(10) {
            flow.at(
                sent.arrived_ms + random.between(60_000, 900_000),
                Kind::MessageComplained,
            );
        }
        flow
    }

    /// One try; every other account does not exist.
    fn attempt(&mut self, now_ms: i64, random: &mut Random, nth: u64) -> Flow {
        let origin = hosting_core(ENUMERATOR);
        if nth.is_multiple_of(2) {
            return self.unwanted(now_ms, random, origin, Campaign::Enumeration);
        }
        let target = Subject::Account(self.target());
        let mut flow = self.flow(now_ms, target, origin, Campaign::Enumeration);
        flow.known = false;
        flow.at(0, Kind::RecoveryRequested);
        flow
    }

    /// An everyday recovery, then the thief.
    fn theft(&mut self, now_ms: i64, random: &mut Random, index: u32) -> Flow {
        let (subject, origin) = self.person(now_ms, random);
        let mut flow = self.flow(now_ms, subject, origin, Campaign::None);
        flow.origins[1] = hosting_core(THIEF + index % 4);
        let sent = flow.request(random, 0, self.mails(now_ms, false));
        let used_ms = flow.redeem(random, sent);
        let stolen_ms = used_ms + random.between(130_000, 300_000);
        flow.other_at(stolen_ms, Kind::TokenUsed, Campaign::TokenTheft);
        if random.chance(600) {
            let changed_ms = stolen_ms + random.between(15_000, 40_000);
            flow.other_at(changed_ms, Kind::PasswordChanged, Campaign::TokenTheft);
            flow.other_at(
                changed_ms + 2500,
                Kind::SessionRevoked,
                Campaign::TokenTheft,
            );
            flow.other_at(changed_ms + 9000, Kind::LoginSuccess, Campaign::TokenTheft);
        }
        flow
    }

    fn ask_decoy(&mut self, now_ms: i64, random: &mut Random, index: u32) -> Flow {
        let origin = hosting_core(DECOY_SEEKER + index % 8);
        let subject = Subject::Decoy(1 + u64::from(index));
        let mut flow = self.flow(now_ms, subject, origin, Campaign::HoneytokenRequest);
        let sent = flow.request(random, 0, self.mails(now_ms, false));
        flow.expire(random, sent);
        flow
    }

    fn use_decoy(&mut self, now_ms: i64, index: u32) -> Flow {
        let origin = hosting_core(DECOY_SEEKER + index % 8);
        let subject = Subject::Decoy(1 + u64::from(index));
        let mut flow = self.flow(now_ms, subject, origin, Campaign::HoneytokenRedeem);
        flow.decoy_token = 1 + u64::from(index);
        flow.at(0, Kind::TokenUsed);
        flow
    }

    /// Somebody behind an address many share; nearly all finish.
    fn shared(&mut self, now_ms: i64, random: &mut Random, place: u32, label: Campaign) -> Flow {
        let (subject, home) = self.person(now_ms, random);
        let mut flow = self.flow(now_ms, subject, behind_nat(place, home), label);
        let sent = flow.request(random, 0, self.mails(now_ms, false));
        if random.chance(950) {
            flow.redeem(random, sent);
        } else {
            flow.expire(random, sent);
        }
        flow
    }

    /// The mail provider opens the link seconds after the mail was sent; the person uses it later.
    fn scanned(&mut self, now_ms: i64, random: &mut Random, index: u32) -> Flow {
        let (subject, origin) = self.person(now_ms, random);
        let mut flow = self.flow(now_ms, subject, origin, Campaign::LinkScanner);
        flow.origins[1] = scanner(index);
        flow.other_method = if index.is_multiple_of(2) {
            "HEAD"
        } else {
            "GET"
        };
        let sent = flow.request(random, 0, self.mails(now_ms, false));
        let opened_ms = sent.sent_ms + random.between(1500, 6000);
        flow.other_at(opened_ms, Kind::TokenUsed, Campaign::LinkScanner);
        flow.redeem(random, sent);
        flow
    }

    /// "Send it again": two mails for one token.
    fn resent(&mut self, now_ms: i64, random: &mut Random) -> Flow {
        let (subject, origin) = self.person(now_ms, random);
        let mut flow = self.flow(now_ms, subject, origin, Campaign::ResentMail);
        let mails = Mails {
            copies: 2,
            extra: Campaign::ResentMail,
            bounce: false,
        };
        let sent = flow.request(random, 0, mails);
        let later = Sent {
            arrived_ms: sent.arrived_ms + 60_000,
            ..sent
        };
        flow.redeem(random, later);
        flow
    }

    /// A mailer deploy, its bug from the end of the deploy on, and the way back.
    fn release(
        &mut self,
        now_ms: i64,
        random: &mut Random,
        copies: u8,
        for_ms: u32,
        label: Campaign,
    ) -> Flow {
        let mut flow = self.deploy(now_ms, random, MAILER, label);
        if copies > 1 {
            let from_ms = now_ms + 150_000;
            let until_ms = from_ms + i64::from(for_ms);
            let copies = copies.min(COPIES_MAX);
            self.retry_bug = Some(RetryBug {
                from_ms,
                until_ms,
                copies,
            });
            flow.at(150_000 + for_ms, Kind::DeployRolledback);
        }
        flow
    }

    /// Somebody got a mail they did not ask for.
    fn voice(&mut self, now_ms: i64, random: &mut Random) -> Flow {
        let target = self.target();
        let country = random.below(COUNTRIES_COUNT) as usize;
        let home = self.world.home(target, country);
        let mut flow = self.flow(now_ms, Subject::Account(target), home, Campaign::None);
        let phishing = random.chance(400);
        flow.at(
            0,
            if phishing {
                Kind::PhishingReported
            } else {
                Kind::TicketOpened
            },
        );
        flow
    }
}
