//! What differs between operating systems: process groups, and which variables every program needs.

use std::ffi::OsStr;

pub(super) use group::{Group, separate};

/// Whether a variable of our own environment is passed on to every server. Anything else may be a secret, or change what
/// a program loads.
pub(super) fn passes(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    SAFE.contains(&name) || TRUST.contains(&name) || (cfg!(unix) && name.starts_with("LC_"))
}

/// Where the certificates of a company's own authority are: without them package runners such as `npx` and `uvx` cannot
/// reach their registry. They name files, and hold no secret.
const TRUST: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"];

#[cfg(unix)]
const SAFE: &[&str] = &["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM"];
#[cfg(not(unix))]
const SAFE: &[&str] = &[
    "PATH",
    "PATHEXT",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "COMSPEC",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
];

#[cfg(unix)]
mod group {
    use std::io;

    use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

    /// Has a command start in a process group of its own.
    pub(in super::super) fn separate(command: &mut std::process::Command) {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }

    /// A process group, by the id of the process that began it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(in super::super) struct Group(i32);

    impl Group {
        /// The group that the process `id` began.
        pub(in super::super) fn of(id: u32) -> Option<Self> {
            // 0 and 1 mean something else to `kill`.
            i32::try_from(id).ok().filter(|&id| id > 1).map(Self)
        }

        /// The id of the group.
        pub(in super::super) fn id(self) -> i32 {
            self.0
        }

        fn signal(self, signal: Signal) {
            if let Some(group) = Pid::from_raw(self.0) {
                // Fails when it is gone already, which is what is wanted.
                let _ = kill_process_group(group, signal);
            }
        }

        /// Asks every process of the group to end.
        pub(in super::super) fn terminate(self) {
            self.signal(Signal::TERM);
        }

        /// Ends every process of the group.
        pub(in super::super) fn kill(self) {
            self.signal(Signal::KILL);
        }

        /// Whether any process of the group is left, be it as a zombie.
        pub(in super::super) fn is_alive(self) -> bool {
            Pid::from_raw(self.0).is_some_and(|group| {
                test_kill_process_group(group)
                    .map_err(io::Error::from)
                    .map_or_else(|error| error.kind() == io::ErrorKind::PermissionDenied, |()| true)
            })
        }
    }
}

#[cfg(not(unix))]
mod group {
    /// Does nothing: there are no process groups.
    pub(in super::super) fn separate(_: &mut std::process::Command) {}

    /// Stands for the process alone, which its handle ends.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(in super::super) struct Group(i32);

    impl Group {
        pub(in super::super) fn of(id: u32) -> Option<Self> {
            i32::try_from(id).ok().map(Self)
        }

        pub(in super::super) fn id(self) -> i32 {
            self.0
        }

        pub(in super::super) fn terminate(self) {}

        pub(in super::super) fn kill(self) {}

        pub(in super::super) fn is_alive(self) -> bool {
            false
        }
    }
}
