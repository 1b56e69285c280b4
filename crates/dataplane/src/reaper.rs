//! Closing interfaces: some 20 ms each, which no worker has.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sys::sandbox::{Role, Sandbox};
use sys::tun::Tun;

use crate::Notice;
use crate::dataplane::Notify;

/// How often a refused notice is offered again, and after how long.
const OFFERS: u32 = 500;
const OFFER_INTERVAL: Duration = Duration::from_millis(10);

/// What is to be closed, and what is to be said then.
pub(crate) struct Remains {
    pub(crate) tun: Option<Tun>,
    pub(crate) notice: Option<Notice>,
}

/// Starts the thread. It ends when all senders are gone and everything is closed; once `is_ending`, a notice is offered once only.
pub(crate) fn start(
    sandbox: Sandbox,
    notify: Arc<Notify>,
    is_ending: Arc<AtomicBool>,
) -> io::Result<(Sender<Remains>, JoinHandle<()>)> {
    let (sender, remains) = channel();
    let builder = thread::Builder::new().name("gretel-reaper".to_owned());
    let thread = builder.spawn(move || {
        // The workers, which fail in the same way, have somebody to say it to.
        if sandbox.enter(Role::Packets).is_ok() {
            reap(&remains, &*notify, &is_ending);
        }
    })?;
    Ok((sender, thread))
}

fn reap(remains: &Receiver<Remains>, notify: &Notify, is_ending: &AtomicBool) {
    while let Ok(Remains { tun, notice }) = remains.recv() {
        drop(tun);
        // This notice ends a session: it is worth waiting for the control plane.
        let mut refused = notice.and_then(|notice| notify(notice).err());
        for _ in 0..OFFERS {
            let Some(notice) = refused.take().filter(|_| !is_ending.load(Ordering::Relaxed)) else {
                break;
            };
            thread::sleep(OFFER_INTERVAL);
            refused = notify(notice).err();
        }
    }
}
