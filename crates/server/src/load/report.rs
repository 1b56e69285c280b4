//! The figures of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::Histogram;
use crate::connect::{Failure, Stage};

/// Kinds of trouble that are told apart; those beyond are counted together.
const MOST_KINDS: usize = 64;

/// Figures so far, or at the end.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How long it took.
    pub elapsed: Duration,
    /// Sessions that were begun; those that were tried again count again.
    pub begun: u64,
    /// Sessions that came up.
    pub came_up: u64,
    /// Sessions that did not.
    pub failed: u64,
    /// Sessions that came up and ended before they were to.
    pub lost: u64,
    /// Sessions that ended when they were to.
    pub left: u64,
    /// Sessions that were up at the same time, at most.
    pub most: u64,
    /// Sessions that are on their way up.
    pub rising: u64,
    /// Sessions that are up.
    pub live: u64,
    /// Sessions that say goodbye.
    pub leaving: u64,
    /// From a session's TCP connect to its IPv4 addresses.
    pub set_up: Histogram,
    /// From the beginning of the first session to the moment when the last came up.
    pub set_up_took: Duration,
    /// From the first goodbye to the last session's end.
    pub tear_down_took: Duration,
    /// Answers to LCP Echo-Requests.
    pub echo: Histogram,
    /// LCP Echo-Requests without one.
    pub echo_missing: u64,
    /// Echo-Requests that were sent through the tunnels.
    pub pings: u64,
    /// Their answers.
    pub ping: Histogram,
    /// Bytes of IP packets to the server.
    pub sent_bytes: u64,
    /// Bytes of IP packets from the server.
    pub received_bytes: u64,
    /// GRE packets that this host could not send.
    pub not_sent: u64,
    /// What went wrong, and how often.
    pub troubles: BTreeMap<Trouble, u64>,
}

/// One kind of trouble.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// The stage that failed; [`Stage::Tunnel`]: the session was up.
    pub stage: Stage,
    /// What happened.
    pub message: String,
}

impl Report {
    /// Sessions that came up in a second, while sessions came up.
    #[must_use]
    pub fn rate(&self) -> f64 {
        per_second(self.came_up, self.set_up_took)
    }

    /// The figures as one JSON object; times are in milliseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let troubles = self.troubles.iter().map(|(trouble, count)| {
            json!({
                "stage": trouble.stage.to_string(),
                "message": trouble.message,
                "sessions": count,
            })
        });
        json!({
            "elapsed": millis(self.elapsed),
            "begun": self.begun,
            "came_up": self.came_up,
            "failed": self.failed,
            "lost": self.lost,
            "left": self.left,
            "most": self.most,
            "set_ups_per_second": self.rate(),
            "set_up_took": millis(self.set_up_took),
            "tear_down_took": millis(self.tear_down_took),
            "set_up": times(&self.set_up),
            "echo": times(&self.echo),
            "echo_missing": self.echo_missing,
            "pings": self.pings,
            "ping": times(&self.ping),
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
            "not_sent": self.not_sent,
            "troubles": troubles.collect::<Vec<_>>(),
        })
    }

    pub(super) fn trouble(&mut self, failure: Failure) {
        let Failure { stage, message } = failure;
        let kind = Trouble { stage, message };
        let is_known = self.troubles.len() < MOST_KINDS || self.troubles.contains_key(&kind);
        let kind = if is_known { kind } else { Trouble { stage, message: "other".into() } };
        *self.troubles.entry(kind).or_default() += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sessions    {} begun, {} came up, {} failed, {} lost, {} left; {} at a time at most",
            self.begun, self.came_up, self.failed, self.lost, self.left, self.most
        )?;
        writeln!(
            f,
            "set-up      {:.0} a second over {:.2} s; {}",
            self.rate(),
            self.set_up_took.as_secs_f64(),
            Times(&self.set_up)
        )?;
        if self.left > 0 {
            let rate = per_second(self.left, self.tear_down_took);
            let took = self.tear_down_took.as_secs_f64();
            writeln!(f, "tear-down   {rate:.0} a second over {took:.2} s")?;
        }
        if self.echo.total() + self.echo_missing > 0 {
            let missing = self.echo_missing;
            writeln!(f, "LCP echo    {missing} missing; {}", Times(&self.echo))?;
        }
        if self.pings > 0 {
            let lost = self.pings - self.ping.total().min(self.pings);
            let share = lost as f64 * 100.0 / self.pings as f64;
            writeln!(
                f,
                "ping        {lost} of {} lost ({share:.2} %); {}",
                self.pings,
                Times(&self.ping)
            )?;
        }
        if self.sent_bytes + self.received_bytes > 0 {
            let mbit = |bytes: u64| per_second(bytes, self.elapsed) * 8.0 / 1e6;
            let (sent, received) = (mbit(self.sent_bytes), mbit(self.received_bytes));
            writeln!(
                f,
                "traffic     {sent:.1} Mbit/s sent, {received:.1} Mbit/s received, on average"
            )?;
        }
        if self.not_sent > 0 {
            writeln!(f, "not sent    {} GRE packets, by this host", self.not_sent)?;
        }
        for (trouble, count) in &self.troubles {
            writeln!(f, "{count:7} x   {}: {}", trouble.stage, trouble.message)?;
        }
        Ok(())
    }
}

struct Times<'a>(&'a Histogram);

impl fmt::Display for Times<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| millis(self.0.quantile(share)));
        let max = millis(self.0.max());
        write!(f, "ms: p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}, max {max:.2}")
    }
}

fn times(histogram: &Histogram) -> Value {
    json!({
        "count": histogram.total(),
        "p50": millis(histogram.quantile(0.5)),
        "p90": millis(histogram.quantile(0.9)),
        "p99": millis(histogram.quantile(0.99)),
        "max": millis(histogram.max()),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_counted_by_kind_and_their_kinds_are_bounded() {
        let mut report = Report::default();
        for number in 0..1000 {
            report.trouble(Failure::new(Stage::Call, format!("text {number} of a server")));
            report.trouble(Failure::new(Stage::Call, "text 3 of a server"));
        }
        assert_eq!(report.troubles.len(), MOST_KINDS + 1);
        let count =
            |text: &str| report.troubles[&Trouble { stage: Stage::Call, message: text.into() }];
        assert_eq!(count("text 3 of a server"), 1001);
        assert_eq!(count("other"), 1000 - MOST_KINDS as u64);
    }

    #[test]
    fn the_figures_are_told_in_words_and_as_json() {
        let mut report =
            Report { came_up: 300, set_up_took: Duration::from_secs(2), ..Report::default() };
        report.set_up.add(Duration::from_millis(20));
        report.trouble(Failure::new(Stage::Lcp, "silence"));
        let text = report.to_string();
        assert!(text.contains("150 a second over 2.00 s; ms: p50 20.00"), "{text}");
        assert!(text.contains("1 x   LCP: silence"), "{text}");
        let json = report.to_json();
        assert_eq!(json["set_ups_per_second"], 150.0);
        assert_eq!(json["set_up"]["p99"], 20.0);
        assert_eq!(json["troubles"][0]["stage"], "LCP");
    }
}
