//! The server of the fake machine as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    fake_machine::cli::main()
}
