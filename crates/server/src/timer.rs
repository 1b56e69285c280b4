//! Waiting for a moment that may never come.

use tokio::time::Instant;

/// Returns at `deadline`; without one, never.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
