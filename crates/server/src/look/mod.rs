//! Looks at this host while an attempt goes badly: what its events alone cannot tell.
//!
//! A look runs on a thread of its own, reads and listens, and changes nothing. What it has seen comes back as an event of the session, so that verdicts rest
//! on events as ever. Only a few run at a time; whoever finds no room gets no look, and the verdict says so.

mod address;
mod beyond;
mod wire;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::Semaphore;

use crate::event::Event;
use crate::mailbox::Mail;
use crate::shared::Shared;

pub(crate) use address::holder;
pub use beyond::{Beyond, Obstacle};
pub(crate) use beyond::{Question as BeyondQuestion, look as look_beyond};
pub use wire::Wire;
pub(crate) use wire::{Question as WireQuestion, watch};

/// Looks that run at the same time.
const MOST: usize = 4;

/// Bounds on looks, and the word that ends them.
#[derive(Debug)]
pub(crate) struct Looks {
    room: Arc<Semaphore>,
    stop: Arc<AtomicBool>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), stop: Arc::default() }
    }
}

impl Looks {
    /// Runs `look` on a thread, if there is room, and has what it saw, if anything, published as an event of a session. Whether there is room.
    pub(crate) fn start(
        shared: &Rc<Shared>,
        session: u64,
        look: impl FnOnce(&AtomicBool) -> Option<Event> + Send + 'static,
    ) -> bool {
        let looks = &shared.looks;
        let Ok(permit) = looks.room.clone().try_acquire_owned() else { return false };
        let (stop, shared) = (looks.stop.clone(), shared.clone());
        tokio::task::spawn_local(async move {
            let seen = tokio::task::spawn_blocking(move || {
                let event = look(&stop);
                drop(permit);
                event
            });
            // A look that panicked has seen nothing.
            if let Ok(Some(event)) = seen.await {
                shared.post_to_session(session, Mail::Seen { session, event: Box::new(event) });
            }
        });
        true
    }

    /// The server ends: looks end too.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }
}
