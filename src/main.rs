//! The `rialto` binary: hands over to the command line.

mod demo;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
