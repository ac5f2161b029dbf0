//! The `rialto` binary: hands over to the command line.

mod cli;
mod demo;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
