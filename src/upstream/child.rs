//! Temporary.
use super::{EraChoice, Unavailable};
use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
/// x
#[derive(Clone, Debug)]
pub struct Guardian;
impl Guardian {
    /// x
    pub fn start() -> std::io::Result<Self> {
        Ok(Self)
    }
    /// x
    pub async fn children_ended(&self) {}
}
/// x
#[derive(Clone)]
pub struct CommandTarget {
    /// x
    pub command: String,
    /// x
    pub args: Vec<String>,
    /// x
    pub env: Vec<(String, String)>,
    /// x
    pub cwd: Option<PathBuf>,
}
/// x
#[derive(Default, Clone)]
pub struct ChildSettings {
    /// x
    pub era: EraChoice,
    /// x
    pub start_timeout: Duration,
    /// x
    pub guardian: Option<Guardian>,
}
/// x
pub struct ChildConnector;
impl ChildConnector {
    /// x
    pub fn new(name: Arc<str>, _: CommandTarget, _: ChildSettings) -> Unavailable {
        Unavailable::new(name, "x".into())
    }
}
/// x
pub fn guardian_main() -> ExitCode {
    ExitCode::SUCCESS
}
