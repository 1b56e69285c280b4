//! Whether somebody keeps the clock.

/// Whether the kernel was told that its clock follows a time source (`adjtimex(2)`); `None` when it does not say.
#[must_use]
pub fn is_kept() -> Option<bool> {
    // SAFETY: all bytes zero is a valid `timex`: it consists of integers. No mode bit is set, so nothing is changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `state` is valid for writes, and nobody else has it.
    match unsafe { libc::adjtimex(&raw mut state) } {
        -1 => None,
        _ => Some(state.status & libc::STA_UNSYNC == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_same_twice() {
        assert_eq!(is_kept(), is_kept());
    }
}
