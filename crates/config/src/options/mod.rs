//! pppd's options files.

mod reader;
mod values;

pub(crate) use reader::{Reader, seconds};
pub use values::{MppeOptions, OctetsDirection, PppOptions, ScriptOptions, TimerOptions};
