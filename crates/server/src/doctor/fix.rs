//! The changes that are safe, made and taken back.

use std::io;
use std::path::{Path, PathBuf};

use super::{Check, Remedy};
use crate::event::{Bus, Event, Record, Subscriber};
use crate::host::{Host, Journal};

/// Makes the changes of all checks that have one, each noted below `state_dir` before it is made. `told` hears of each before, and of how it went.
///
/// # Errors
///
/// When the state directory cannot be used; then nothing was changed.
pub fn fix(
    checks: &[Check],
    state_dir: &Path,
    mut told: impl FnMut(&Remedy, Option<&io::Result<()>>),
) -> io::Result<()> {
    let journal = Journal::open(&directory(state_dir))?;
    for remedy in checks.iter().filter_map(|check| check.remedy.as_ref()) {
        told(remedy, None);
        let change = remedy.change();
        journal.note(&change)?;
        let made = match remedy {
            Remedy::Sysctl { path, value, .. } => sys::sysctl::write(path, value),
            Remedy::Table { script, .. } => sys::nft::apply(script),
        };
        if made.is_err() {
            journal.strike(&change);
        }
        told(remedy, Some(&made));
    }
    Ok(())
}

/// Takes back what [`fix()`] changed. `told` hears of each change.
///
/// # Errors
///
/// When the state directory or the kernel cannot be used.
pub fn unfix(state_dir: &Path, told: impl Fn(&str) + 'static) -> io::Result<()> {
    // What a host finds left over it undoes.
    let bus = Bus::new(vec![Box::new(Told(told))]);
    Host::open(&directory(state_dir), &bus).map(drop)
}

/// Apart from what the server notes, which undoes that at its start.
fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("doctor")
}

struct Told<F>(F);

impl<F: Fn(&str)> Subscriber for Told<F> {
    fn take(&self, record: &Record) {
        if let Event::LeftoverUndone(what) = &record.event {
            (self.0)(what);
        }
    }
}
