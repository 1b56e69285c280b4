//! Looks at this host while an attempt goes badly: what its events alone cannot tell.
//!
//! The [helper](crate::helper) looks, on a thread of its own; it reads and listens, and changes nothing. What it has seen comes back as an event of the
//! session, so that verdicts rest on events as ever. Only a few looks run at a time; whoever finds no room gets none, and the verdict says so.

mod address;
mod beyond;
mod wire;

use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use sys::netlink::Netlink;
use tokio::sync::Semaphore;

use crate::event::Event;
use crate::helper::{Answer, Order};
use crate::mailbox::Mail;
use crate::shared::Shared;

pub(crate) use beyond::Question as BeyondQuestion;
pub use beyond::{Beyond, Obstacle};
pub(crate) use wire::Question as WireQuestion;
pub use wire::Wire;

/// Looks that run at the same time.
const MOST: usize = 4;

/// What is to be found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Where a client's GRE is, or ours.
    Wire(WireQuestion),
    /// What this host has to do with it that others do not answer a client.
    Beyond(BeyondQuestion),
    /// Whether somebody on the local network has an address.
    Holder(Ipv4Addr),
    /// How long packets on the way to an address may be, as far as the kernel knows.
    PathMtu(Ipv4Addr),
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    Wire(Wire),
    Beyond(Beyond),
    /// The interface's name and the hardware address of who has it.
    Holder(Option<(String, [u8; 6])>),
    PathMtu(Option<u32>),
}

/// Looks, until enough has been seen or `stop` is set. Blocks, for seconds.
///
/// # Errors
///
/// What keeps this process from looking.
pub(crate) fn look(question: &Question, stop: &AtomicBool) -> io::Result<Seen> {
    match question {
        Question::Wire(question) => wire::watch(question, stop).map(Seen::Wire),
        Question::Beyond(question) => beyond::look(question).map(Seen::Beyond),
        Question::Holder(address) => address::holder(*address).map(Seen::Holder),
        Question::PathMtu(address) => {
            let way = Netlink::open()?.way(*address, None)?;
            Ok(Seen::PathMtu(way.mtu))
        }
    }
}

/// Bounds on looks.
#[derive(Debug)]
pub(crate) struct Looks {
    room: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Looks {
    /// Has the helper look, if there is room, and publishes what `tell` makes of what it saw, if anything, as an event of a session. Whether there is room.
    pub(crate) fn start(
        shared: &Rc<Shared>,
        session: u64,
        question: Question,
        tell: impl FnOnce(Result<Seen, String>) -> Option<Event> + 'static,
    ) -> bool {
        let Ok(permit) = shared.looks.room.clone().try_acquire_owned() else { return false };
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            let answer = match shared.scripts.helper().begin(Order::Look(question)) {
                Ok((_, mut answers)) => answers.recv().await,
                Err(error) => Some(Answer::Failed(error.to_string())),
            };
            drop(permit);
            let event = tell(match answer {
                Some(Answer::Seen(seen)) => Ok(seen),
                Some(Answer::Failed(why)) => Err(why),
                _ => Err("the process that looks is gone".to_owned()),
            });
            if let Some(event) = event {
                shared.post_to_session(session, Mail::Seen { session, event: Box::new(event) });
            }
        });
        true
    }
}
