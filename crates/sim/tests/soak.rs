//! Sessions that come and go for ever.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use engine::control::{CallIds, QUARANTINE};
use engine::ppp::MppePolicy;
use engine::{Instant, Random};
use sim::{Pair, Quality, Settings, Side};

/// Set-ups and tear-downs where the environment names no other number.
const SESSIONS: u64 = 1_000;
/// The variable that does.
const VARIABLE: &str = "GRETEL_SOAK";

/// A session from its TCP connection to its end, with a call id of the server's.
fn session(call_ids: &mut CallIds, number: u64) {
    let now = Instant::ZERO + Duration::from_millis(number);
    let id = call_ids.allocate(now).unwrap();
    let policy = MppePolicy::REQUIRE_128;
    let (server, client) = (Settings::server(policy), Settings::client(policy));
    let mut pair = Pair::new(server, client, Quality::CLEAN, true, number);
    assert!(pair.run_until(Duration::from_secs(10), Pair::is_open), "{number} does not open");
    pair.hang_up(if number.is_multiple_of(2) { Side::Server } else { Side::Client });
    assert!(pair.run_until(Duration::from_secs(60), Pair::is_closed), "{number} does not end");
    call_ids.release(now, id);
}

#[test]
fn sessions_that_come_and_go_leave_nothing_behind() {
    let asked = std::env::var(VARIABLE).ok().map(|number| number.parse().unwrap());
    let sessions = asked.unwrap_or(SESSIONS);
    let mut call_ids = CallIds::new(Random::new([7; 32]), QUARANTINE);
    // Until every id has been used and rests there is always more that rests.
    for _ in 0..=u32::from(u16::MAX) {
        let id = call_ids.allocate(Instant::ZERO).unwrap();
        call_ids.release(Instant::ZERO, id);
    }
    session(&mut call_ids, 0);
    let cost = allocation_counter::measure(|| {
        (1..=sessions).for_each(|number| session(&mut call_ids, number));
    });
    assert_eq!(cost.bytes_current, 0, "bytes are left of {sessions} sessions");
    assert_eq!(call_ids.live(), 0);
}
