//! The way between workers, for packets that a shared interface gave to one that does not have their session.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sys::event::EventFd;
use sys::tun::OffloadHeader;

/// How many packets or super-packets, and how many bytes of them, may wait for a worker. More are dropped, as from an interface's own queue.
const MAX_PACKETS: usize = 512;
const MAX_BYTES: usize = 1 << 19;

/// Packets for one worker, of any other. Its lock is held for one copy at a time; the bell rings once for all that wait.
#[derive(Debug)]
pub(crate) struct HandOver {
    waiting: Mutex<Handed>,
    is_filled: AtomicBool,
    pub(crate) bell: EventFd,
}

/// Packets as an interface gave them, one behind the other. [`new`](Self::new) makes all room at once.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    bytes: Vec<u8>,
    /// Header and length of each.
    packets: Vec<(OffloadHeader, usize)>,
}

impl HandOver {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::new(Handed::new()),
            is_filled: AtomicBool::new(false),
            bell: EventFd::new()?,
        })
    }

    /// Hands a packet over, and wakes the worker. `false`: too many wait.
    pub(crate) fn push(&self, header: &OffloadHeader, packet: &[u8]) -> bool {
        // Appending leaves the queue whole even when a thread panics.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.push(header, packet) {
            return false;
        }
        if !self.is_filled.swap(true, Ordering::Release) {
            self.bell.signal();
        }
        true
    }

    /// Exchanges what waits for `empty`, whose room serves for the next ones.
    pub(crate) fn take(&self, empty: &mut Handed) {
        if self.is_filled.load(Ordering::Acquire) {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            self.bell.clear();
            self.is_filled.store(false, Ordering::Release);
            mem::swap(&mut *waiting, empty);
        }
    }
}

impl Handed {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(MAX_BYTES), packets: Vec::with_capacity(MAX_PACKETS) }
    }

    fn push(&mut self, header: &OffloadHeader, packet: &[u8]) -> bool {
        let has_room =
            self.packets.len() < MAX_PACKETS && self.bytes.len() + packet.len() <= MAX_BYTES;
        if has_room {
            self.bytes.extend_from_slice(packet);
            self.packets.push((*header, packet.len()));
        }
        has_room
    }

    /// The packets, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OffloadHeader, &[u8])> {
        let mut rest = &self.bytes[..];
        self.packets.iter().map(move |(header, len)| {
            let (packet, behind) = rest.split_at(*len);
            rest = behind;
            (header, packet)
        })
    }

    /// Forgets all, but keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use sys::event::Epoll;

    use super::*;

    const HEADER: OffloadHeader = [7; 10];

    #[test]
    fn packets_of_several_workers_come_out_whole_and_none_is_left_lying() {
        const PACKETS: usize = 20_000;
        let hand_over = HandOver::new().unwrap();
        let epoll = Epoll::new().unwrap();
        epoll.add(&hand_over.bell, 0).unwrap();
        thread::scope(|scope| {
            for giver in [1u8, 2] {
                let hand_over = &hand_over;
                scope.spawn(move || {
                    for number in 0..PACKETS {
                        let packet = vec![giver; number % 1500];
                        while !hand_over.push(&HEADER, &packet) {
                            thread::yield_now();
                        }
                    }
                });
            }
            let (mut handed, mut tokens, mut counts) = (Handed::new(), Vec::new(), [0; 3]);
            while counts[1] + counts[2] + counts[0] < 2 * PACKETS {
                epoll.wait(Some(Duration::from_secs(10)), &mut tokens).unwrap();
                assert_eq!(tokens, [0], "the bell was not rung");
                hand_over.take(&mut handed);
                for (header, packet) in handed.iter() {
                    assert_eq!(*header, HEADER);
                    let giver = packet.first().copied().unwrap_or(0);
                    assert!(packet.iter().all(|byte| *byte == giver));
                    counts[usize::from(giver)] += 1;
                }
                handed.clear();
            }
        });
    }

    #[test]
    fn handing_over_allocates_nothing() {
        let hand_over = HandOver::new().unwrap();
        let (mut handed, packet) = (Handed::new(), [1; 1500]);
        let cost = allocation_counter::measure(|| {
            for _ in 0..100 {
                let taken = (0..MAX_PACKETS).take_while(|_| hand_over.push(&HEADER, &packet));
                let taken = taken.count();
                hand_over.take(&mut handed);
                assert_eq!(
                    handed.iter().map(|(_, packet)| packet.len()).sum::<usize>(),
                    taken * 1500
                );
                handed.clear();
            }
        });
        assert_eq!(cost.count_total, 0, "{cost:?}");
    }

    #[test]
    fn what_is_too_much_is_refused_and_the_rest_kept() {
        let hand_over = HandOver::new().unwrap();
        let super_packet = vec![1; 1 << 16];
        let taken = (0..100).take_while(|_| hand_over.push(&HEADER, &super_packet)).count();
        assert_eq!(taken, MAX_BYTES >> 16);
        let mut handed = Handed::new();
        hand_over.take(&mut handed);
        assert_eq!(handed.iter().count(), taken);
        let taken = (0..1000).take_while(|_| hand_over.push(&HEADER, &[2])).count();
        assert_eq!(taken, MAX_PACKETS);
    }
}
