//! The command line.

mod key;
mod log;
mod serve;
mod stdio;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// An MCP gateway: any MCP client reaches any MCP server.
#[derive(Debug, Parser)]
#[command(name = "rialto", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the servers of a config file, or the demo.
    Serve {
        /// The config file: an `mcpServers` file in JSON, YAML or TOML. Without it the demo is served.
        file: Option<PathBuf>,
    },
    /// Serve one client on standard input and output: for clients that start their servers themselves.
    Stdio {
        /// The config file, as for `serve`. Without it the demo is served.
        file: Option<PathBuf>,
        /// The mount that the client reaches, where the config has several servers.
        #[arg(long, value_name = "NAME")]
        mount: Option<String>,
    },
    /// Make a key for somebody to come in with, and the entry for the config file that lets them.
    Key {
        /// Whose key it is: a name for the log and for what is kept for each of them.
        #[arg(long, value_name = "NAME", default_value = "me")]
        principal: String,
    },
    /// Ends the children of a gateway that died. Started by the gateway itself.
    #[command(hide = true)]
    Guardian,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The address to listen on, `127.0.0.1:8000` unless the config file says otherwise.
    #[arg(long, global = true, env = "RIALTO_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// What to log, such as `info` or `rialto=debug`.
    #[arg(long, global = true, env = "RIALTO_LOG", value_name = "FILTER", default_value = "info,rmcp=warn")]
    log: String,
    /// How many threads serve; one for each processor when not given.
    #[arg(long, global = true, env = "RIALTO_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// Runs the command that `arguments` ask for.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are asked for; everything else is bad usage (sysexits: EX_USAGE).
            let _ = message.print();
            return if message.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Some(Command::Guardian) => rialto::upstream::child::guardian_main(),
        Some(Command::Key { principal }) => key::run(&principal),
        Some(Command::Stdio { file, mount }) => serve::run_stdio(file, mount, cli.serve),
        Some(Command::Serve { file }) => serve::run(file, cli.serve),
        None => serve::run(None, cli.serve),
    }
}
