//! What a service manager is told: systemd's notification protocol (sd_notify(3)).

use std::time::Duration;

use sd_notify::NotifyState;
use server::Heartbeat;
use server::event::{Event, Record, Subscriber};

/// Tells systemd when the server is ready, and when it stops.
#[derive(Debug)]
pub(crate) struct Supervisor;

impl Subscriber for Supervisor {
    fn take(&self, record: &Record) {
        // Without a service manager there is nobody to tell.
        let _ = match &record.event {
            Event::Started { .. } => sd_notify::notify(&[NotifyState::Ready]),
            Event::Stopping { .. } => sd_notify::notify(&[NotifyState::Stopping]),
            _ => return,
        };
    }
}

/// The sign of life that systemd asked for (`WatchdogSec=`), twice as often as it must come.
pub(crate) fn heartbeat() -> Option<Heartbeat> {
    let interval = sd_notify::watchdog_enabled()? / 2;
    let beat = || {
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
    };
    Some(Heartbeat { interval: interval.max(Duration::from_millis(10)), beat })
}
