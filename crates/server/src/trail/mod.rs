//! The trail of an attempt: what happened from TCP to the end, kept small enough that every session can have one.
//!
//! A [`Trail`] belongs to a control connection and is shared by its calls. It keeps the first `HEAD` bytes and the newest `TAIL` of what is packed
//! into it, and counts what lies between; what came before the network was up is folded (`fold`). [`Packed`] is the part of one attempt, as the history has it on disk.

mod fold;
mod show;
mod step;

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fold::Beginning;
pub(crate) use fold::Samples;
pub use show::{Part, Shown};
pub use step::By;
use step::Step;

use crate::event::Event;
use crate::verdict::{Judgement, Stage};

/// Bytes kept of the beginning.
const HEAD: usize = 2048;
/// Bytes kept of what came last.
const TAIL: usize = 1024;
/// The largest step in bytes, with its time.
const LARGEST: usize = step::LONGEST_WORDS + 32;
/// What grows grows by so many bytes, until the network is up: from there on little comes, for a long time.
const GROWTH: usize = 128;
/// The format of [`Packed`].
pub const FORMAT: u8 = 1;

/// What a trail costs at most.
pub const MOST_BYTES: usize = size_of::<Trail>() + HEAD + TAIL + LARGEST;
const _: () = assert!(MOST_BYTES < 4096);

/// A step with its time since the start in milliseconds, and the call that it belongs to: 0 is the control connection.
type Entry<'a> = (u32, u8, Step<'a>);

/// What happened on a control connection and in its calls.
#[derive(Debug)]
pub struct Trail {
    start: Instant,
    began: SystemTime,
    /// What came before it settled.
    beginning: Option<Beginning>,
    /// What follows, or everything.
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Steps between the two that are not kept.
    left_out: u32,
    /// Calls so far; those beyond 255 share a number.
    calls: u8,
    is_head_full: bool,
    /// Echoes are answered, and that has been told.
    echoes: bool,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            began: SystemTime::now(),
            beginning: None,
            head: Vec::new(),
            tail: Vec::new(),
            left_out: 0,
            calls: 0,
            is_head_full: false,
            echoes: false,
        }
    }
}

impl Trail {
    /// A call begins. Gives its number.
    pub(crate) fn new_call(&mut self) -> u8 {
        self.calls = self.calls.saturating_add(1);
        self.calls
    }

    /// How long ago the control connection began.
    pub(crate) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// When the control connection began.
    pub(crate) fn began(&self) -> SystemTime {
        self.began
    }

    /// Keeps what there is to keep of an event.
    pub(crate) fn note(&mut self, call: u8, peer: Ipv4Addr, event: &Event) {
        match event {
            Event::EchoAnswered(_) if std::mem::replace(&mut self.echoes, true) => return,
            Event::EchoMissing(_) => self.echoes = false,
            _ => {}
        }
        let Some(step) = Step::of(peer, event) else { return };
        self.keep(&(self.millis(), call, step));
    }

    /// Little comes for a long time: what has come so far may take its time to be read.
    pub(crate) fn settle(&mut self, samples: &mut Samples) {
        if !self.head.is_empty() {
            self.beginning = Some(samples.fold(&by_the_step_before(&self.head())));
            self.head = Vec::new();
        }
    }

    /// The end: what was missing, if it did not get as far as a network, and the verdict.
    pub(crate) fn note_end(&mut self, call: u8, stage: Stage, judgement: &Judgement) {
        let millis = self.millis();
        let missing = stage.missing().filter(|_| !judgement.verdict.is_fine);
        if let Some(missing) = missing {
            self.keep(&(millis, call, Step::Words(missing.into())));
        }
        self.keep(&(millis, call, Step::verdict(judgement)));
    }

    fn millis(&self) -> u32 {
        u32::try_from(self.age().as_millis()).unwrap_or(u32::MAX)
    }

    fn keep(&mut self, entry: &Entry<'_>) {
        // Steps are bounded and hold nothing that cannot be written.
        let Ok(packed) = postcard::to_allocvec(entry) else { return };
        let beginning = self.beginning.as_ref().map_or(0, Beginning::len);
        self.is_head_full |= beginning + self.head.len() + packed.len() > HEAD;
        let buffer = if self.is_head_full { &mut self.tail } else { &mut self.head };
        if buffer.capacity() - buffer.len() < packed.len() {
            let growth = if self.beginning.is_some() { 0 } else { GROWTH };
            buffer.reserve_exact(packed.len().max(growth));
        }
        buffer.extend_from_slice(&packed);
        while self.tail.len() > TAIL {
            let rest = postcard::take_from_bytes::<Entry<'_>>(&self.tail)
                .map_or(0, |(_, rest)| rest.len());
            self.tail.drain(..self.tail.len() - rest);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// The part of one call and of its control connection; of everything, when `call` is 0.
    pub(crate) fn packed(&self, call: u8) -> Packed {
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let began = u64::try_from(began).unwrap_or(u64::MAX);
        let head = of_call(&self.head(), call);
        let header = (FORMAT, began, head.len() as u32, self.left_out);
        // Numbers can always be written.
        let mut bytes = postcard::to_allocvec(&header).unwrap_or_default();
        bytes.extend(head);
        bytes.extend(of_call(&self.tail, call));
        Packed(bytes.into())
    }

    /// The steps behind so many, of one call and its connection or of everything when `call` is 0; and how many there are now.
    pub(crate) fn since(&self, call: u8, seen: u32) -> (Vec<Shown>, u32) {
        let mut shown = Vec::new();
        let mut count = 0;
        let show = |packed: &[u8], count: &mut u32, shown: &mut Vec<Shown>| {
            for (millis, of, step) in entries(packed) {
                if *count >= seen && is_of(of, call) {
                    shown.push(step.show(millis));
                }
                *count += 1;
            }
        };
        show(&self.head(), &mut count, &mut shown);
        let missed = self.left_out.saturating_sub(seen.saturating_sub(count));
        count += self.left_out;
        if missed > 0 {
            shown.push(Shown::gap(missed));
        }
        show(&self.tail, &mut count, &mut shown);
        (shown, count)
    }

    /// All that came first.
    fn head(&self) -> Cow<'_, [u8]> {
        let Some(beginning) = &self.beginning else { return Cow::Borrowed(&self.head) };
        let mut head = by_the_start(&beginning.whole());
        head.extend_from_slice(&self.head);
        head.into()
    }

    /// Bytes that it takes now.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> usize {
        let beginning = self.beginning.as_ref().map_or(0, Beginning::cost);
        size_of::<Self>() + beginning + self.head.capacity() + self.tail.capacity()
    }
}

/// What is packed there, up to what cannot be read.
fn entries(mut packed: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    std::iter::from_fn(move || {
        let (entry, rest) = postcard::take_from_bytes(packed).ok()?;
        packed = rest;
        Some(entry)
    })
}

/// The opposite of [`entries`], for what has been read: that can be written.
fn pack<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<u8> {
    entries.flat_map(|entry| postcard::to_allocvec(&entry).unwrap_or_default()).collect()
}

/// The same steps with their times since the step before: those of one trail are then much like those of another.
fn by_the_step_before(packed: &[u8]) -> Vec<u8> {
    let mut before = 0;
    with_times(packed, |millis| millis.wrapping_sub(std::mem::replace(&mut before, millis)))
}

/// The same steps with their times since the start again.
fn by_the_start(packed: &[u8]) -> Vec<u8> {
    let mut now = 0u32;
    with_times(packed, |millis| {
        now = now.wrapping_add(millis);
        now
    })
}

fn with_times(packed: &[u8], mut time: impl FnMut(u32) -> u32) -> Vec<u8> {
    pack(entries(packed).map(|(millis, of, step)| (time(millis), of, step)))
}

/// Whether a step belongs to a call or to its connection; 0 asks for everything.
fn is_of(step: u8, call: u8) -> bool {
    call == 0 || step == 0 || step == call
}

/// Entries of one call and of its connection.
fn of_call(packed: &[u8], call: u8) -> Vec<u8> {
    pack(entries(packed).filter(|(_, of, _)| is_of(*of, call)))
}

/// The trail of one attempt, as the history keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Arc<[u8]>);

impl Packed {
    /// As it was written to a disk.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// As it is written to a disk.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What a person reads, in order; `None` if another version has written it.
    #[must_use]
    pub fn show(&self) -> Option<Vec<Shown>> {
        let ((format, _, head_len, left_out), entries) =
            postcard::take_from_bytes::<(u8, u64, u32, u32)>(&self.0).ok()?;
        let (head, tail) =
            entries.split_at_checked(head_len as usize).filter(|_| format == FORMAT)?;
        let mut shown: Vec<Shown> = show_all(head).collect();
        if left_out > 0 {
            shown.push(Shown::gap(left_out));
        }
        shown.extend(show_all(tail));
        Some(shown)
    }

    /// When its control connection began, in seconds since 1970; `None` if another version has written it.
    #[must_use]
    pub fn began(&self) -> Option<u64> {
        let ((format, millis), _) = postcard::take_from_bytes::<(u8, u64)>(&self.0).ok()?;
        (format == FORMAT).then_some(millis / 1000)
    }
}

fn show_all(packed: &[u8]) -> impl Iterator<Item = Shown> {
    entries(packed).map(|(millis, _, step)| step.show(millis))
}

#[cfg(test)]
mod tests;
