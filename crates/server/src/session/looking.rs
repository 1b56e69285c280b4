//! Looks at this host, and at the way, when a session goes badly.

use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::Command;
use engine::Instant;
use engine::data::Traffic;

use super::Session;
use crate::event::Event;
use crate::look::{BeyondQuestion, Looks, Question, Seen, WireQuestion};
use crate::verdict::Stage;

/// A client that has not answered in GRE for so long after its call is looked for. Healthy ones take a few round trips.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);

/// When a session that is up is asked with whom its client talks, in seconds since it came up. Who does not answer twice in a row, does not answer.
const REPORTS: [u64; 12] = [3, 6, 10, 13, 20, 23, 30, 33, 63, 120, 123, 600];
/// Looks beyond this host for one session.
const MOST_LOOKS: u8 = 3;

/// Large packets of which none has arrived, that make the sizes be probed.
const LARGE_LOST: u16 = 4;
/// Sizes of LCP packets that are probed when full ones do not pass: the largest that does is told.
const SIZES: [u16; 4] = [1280, 1100, 900, 576];
/// A small packet with data: whether the client answers such a thing at all.
const SMALL: u16 = 64;
/// How long an answer to a probe is waited for, and how often it is asked.
const PROBE_WAIT: Duration = Duration::from_millis(700);
const PROBE_TRIES: u8 = 3;

/// What of a session has been looked at, and when to go on.
#[derive(Debug)]
pub(super) struct Looking {
    /// When to look, while the client has not been heard properly; later, when to ask for the next report.
    at: Option<Instant>,
    reports: u8,
    looks: u8,
    /// How many packets had gone both ways when the last report was asked for.
    packets: u64,
    /// Who had not answered by the last report.
    suspects: Vec<Ipv4Addr>,
    probing: Option<Box<Probing>>,
    has_probed: bool,
    stranger: Option<Ipv4Addr>,
    too_big: u16,
    /// The codes that have been told of the session.
    told: Vec<&'static str>,
}

/// Sizes that are probed.
#[derive(Debug)]
struct Probing {
    at: Instant,
    size: u16,
    tries: u8,
    /// A full packet has not been answered.
    lost: Option<u16>,
}

impl Looking {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: Some(now + SILENCE),
            reports: 0,
            looks: 0,
            packets: 0,
            suspects: Vec::new(),
            probing: None,
            has_probed: false,
            stranger: None,
            too_big: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let probe = self.probing.as_ref().map(|probing| probing.at);
        [self.at, probe].into_iter().flatten().min()
    }
}

impl Session {
    /// Does what is due.
    pub(super) fn look(&mut self, now: Instant) {
        if self.looking.at.take_if(|at| now >= *at).is_some() {
            match self.connected {
                Some(_) => self.ask_for_report(now),
                None => self.look_if_silent(),
            }
        }
        if self.looking.probing.as_ref().is_some_and(|probing| now >= probing.at) {
            self.probe_again(now);
        }
    }

    /// Looks where the client's GRE is, or ours, unless LCP is up.
    fn look_if_silent(&mut self) {
        let stage = self.source.evidence().stage();
        if stage > Stage::Gre {
            return;
        }
        let client = *self.source.peer().ip();
        let sessions = self.shared.others_from(client, self.number);
        if sessions > 0 {
            self.source.publish(Event::SharesAddress { sessions });
        }
        let question = WireQuestion {
            client,
            local: self.outside,
            our_call_id: self.our_call_id,
            peer_call_id: self.peer_call_id,
            is_heard: stage == Stage::Gre,
        };
        let tell = |seen| match seen {
            Ok(Seen::Wire(wire)) => Some(Event::WireWatched(wire)),
            Ok(_) => None,
            Err(why) => Some(Event::NotWatched { why }),
        };
        if !Looks::start(&self.shared, self.number, Question::Wire(question), tell) {
            let why = "too many other attempts are looked at".to_owned();
            self.source.publish(Event::NotWatched { why });
        }
    }

    /// The session is up with these addresses.
    pub(super) fn look_from_now_on(&mut self, now: Instant, remote: Ipv4Addr) {
        let outside = *self.source.peer().ip();
        if outside.is_private() && outside.octets()[..3] == remote.octets()[..3] {
            self.source.publish(Event::ClientsNetwork { address: outside });
        }
        if self.settings.proxy_arp {
            let tell = move |seen| match seen {
                Ok(Seen::Holder(found)) => {
                    let (interface, by) = found?;
                    Some(Event::AddressTaken { address: remote, interface, by })
                }
                Ok(_) => None,
                Err(why) => {
                    let what = "whether another host has the client's address";
                    Some(Event::NotLooked { what, why })
                }
            };
            // Where there is no room the address is not asked for: it is a precaution.
            Looks::start(&self.shared, self.number, Question::Holder(remote), tell);
        }
        self.looking.at = Some(now + Duration::from_secs(REPORTS[0]));
    }

    fn ask_for_report(&mut self, now: Instant) {
        let Some(connected) = self.connected else { return };
        let figures = self.counters.snapshot();
        let packets = figures.received_packets + figures.sent_packets;
        if packets != self.looking.packets {
            self.looking.packets = packets;
            self.command(Command::ReportTraffic);
        }
        self.looking.reports += 1;
        let next = REPORTS.get(usize::from(self.looking.reports));
        self.looking.at = next.map(|seconds| connected + Duration::from_secs(*seconds));
        self.notice(now);
    }

    /// The worker tells with whom the client talks.
    pub(super) fn take_traffic(&mut self, now: Instant, traffic: &Traffic) {
        if let Some(stranger) = traffic.stranger
            && self.looking.stranger.replace(stranger) != Some(stranger)
        {
            self.source.publish(Event::ClientsNetwork { address: stranger });
        }
        if traffic.too_big > self.looking.too_big {
            self.looking.too_big = traffic.too_big;
            self.source.publish(Event::TooBig { count: traffic.too_big });
        }
        let now_silent: Vec<Ipv4Addr> = traffic.unanswered().collect();
        let before = std::mem::replace(&mut self.looking.suspects, now_silent);
        let silent = self.looking.suspects.iter().copied().filter(|it| before.contains(it));
        let destinations: Vec<Ipv4Addr> = silent.collect();
        if !destinations.is_empty() && self.looking.looks < MOST_LOOKS {
            self.look_beyond(destinations);
        }
        if traffic.large_sent >= LARGE_LOST && traffic.large_arrived == 0 {
            self.probe_sizes(now);
        }
        self.notice(now);
    }

    /// Looks at what this host has to do with it that these do not answer.
    fn look_beyond(&mut self, destinations: Vec<Ipv4Addr>) {
        let (Some(interface), Some(ipv4)) =
            (&self.interface, self.permit.and_then(|permit| permit.ipv4()))
        else {
            return;
        };
        let question = BeyondQuestion {
            client: ipv4.remote,
            interface: interface.name().to_owned(),
            destinations: destinations.clone(),
            name_servers: self.settings.dns.iter().flatten().copied().collect(),
        };
        let tell = |seen| match seen {
            Ok(Seen::Beyond(beyond)) => Some(Event::Beyond(beyond)),
            Ok(_) => None,
            Err(why) => {
                let what = "why others do not answer the client";
                Some(Event::NotLooked { what, why })
            }
        };
        // Without room it is tried again with the next report.
        if Looks::start(&self.shared, self.number, Question::Beyond(question), tell) {
            self.looking.looks += 1;
            self.source.publish(Event::Unanswered { destinations });
        }
    }

    /// Asks by LCP Echo-Requests which sizes pass, once in a session.
    fn probe_sizes(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.looking.has_probed, true) {
            let probing = Probing { at: now, size: SMALL, tries: 0, lost: None };
            self.looking.probing = Some(Box::new(probing));
        }
    }

    /// A probe is due, or was not answered in time.
    fn probe_again(&mut self, now: Instant) {
        let Some(mut probing) = self.looking.probing.take() else { return };
        if probing.tries == PROBE_TRIES {
            match (probing.size, probing.lost) {
                // It does not answer data: nothing can be found out this way.
                (SMALL, _) => return,
                (size, None) => probing.lost = Some(size),
                _ => {}
            }
            let next = SIZES.into_iter().find(|size| *size < probing.size);
            let (Some(next), Some(lost)) = (next, probing.lost) else {
                return self.sizes_probed(SMALL, probing.lost.unwrap_or(probing.size));
            };
            debug_assert!(next < lost);
            (probing.size, probing.tries) = (next, 0);
        }
        probing.tries += 1;
        probing.at = now + PROBE_WAIT;
        if let Some(size) = self.link.probe(probing.size) {
            if probing.size != SMALL {
                probing.size = size;
            }
            self.looking.probing = Some(probing);
        }
    }

    /// A probe was answered.
    pub(super) fn probe_answered(&mut self, now: Instant, sent: u16, came: u16) {
        let Some(mut probing) = self.looking.probing.take() else { return };
        let full = self.permit.map_or(SMALL, |permit| permit.mtu());
        match probing.lost {
            // Later answers than the timer's are as good.
            Some(lost) if sent < lost => self.sizes_probed(sent, lost),
            // A client that leaves the data out answers every size alike.
            None if sent == SMALL && came == sent => {
                (probing.size, probing.tries, probing.at) = (full, 0, now);
                self.looking.probing = Some(probing);
            }
            _ => {}
        }
    }

    /// There is a size above which nothing passes.
    fn sizes_probed(&mut self, passes: u16, lost: u16) {
        let client = *self.source.peer().ip();
        let tell = move |seen| {
            let path_mtu = match seen {
                Ok(Seen::PathMtu(mtu)) => mtu,
                _ => None,
            };
            Some(Event::SizesProbed { passes, lost, path_mtu })
        };
        if !Looks::start(&self.shared, self.number, Question::PathMtu(client), tell) {
            self.source.publish(Event::SizesProbed { passes, lost, path_mtu: None });
        }
    }

    /// A look has seen something.
    pub(crate) fn seen(&mut self, now: Instant, event: Event) {
        self.source.publish(event);
        self.notice(now);
    }

    /// Tells what is not right with the session, each once.
    fn notice(&mut self, now: Instant) {
        if self.connected.is_none() {
            return;
        }
        let summary = self.summary(now, crate::event::Ended::Link(engine::ppp::Cause::Local("")));
        for remark in self.source.evidence().remarks(&summary) {
            if !self.looking.told.contains(&remark.verdict.code) {
                self.looking.told.reserve_exact(1);
                self.looking.told.push(remark.verdict.code);
                self.source.publish(Event::Noticed(remark));
                self.trail_grows = true;
            }
        }
    }
}
