//! How many files this process may have open: systemd and shells begin programs with room for a thousand.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit to `wanted`, or as far as that is allowed. Gives what holds then; `None`: there is no limit.
pub(crate) fn allow(wanted: u64) -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let current = limit.current.filter(|current| *current < wanted)?;
    let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
    limit.current = Some(raised);
    Some(setrlimit(Resource::Nofile, limit).map_or(current, |()| raised))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        let (Some(current), Some(most)) = (before.current, before.maximum) else { return };
        assert_eq!(allow(1), None);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(current));
        if current < most {
            assert_eq!(allow(current + 1), Some(current + 1));
            assert_eq!(allow(u64::MAX), Some(most));
        }
    }
}
