//! `rialto key`: a new key, and what to write into the config file.

use std::{io::Write, process::ExitCode};

use rialto::auth::{Key, fresh_key};

/// Prints a key of `principal` and its entry, each on a line of its own, and says on standard error what they are.
pub(super) fn run(principal: &str) -> ExitCode {
    let secret = fresh_key();
    let key = match Key::new(principal, &secret) {
        Ok(key) => key,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: `--principal`: {error}");
            return ExitCode::from(64);
        }
    };
    let entry = serde_json::json!({ "principal": principal, "key": key.to_hash() });
    let written = writeln!(std::io::stdout(), "{secret}\n{entry}");
    let _ = writeln!(
        std::io::stderr(),
        "\nThe first line is the key: it is shown this once, so hand it to its user now, who sends it as\n\
         `Authorization: Bearer …`. The second line goes into the config file, into the list `rialto.auth.keys`;\n\
         with `\"mounts\": [\"docs\"]` in it the key opens these mounts only."
    );
    // Nobody has a key that could not be written.
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
