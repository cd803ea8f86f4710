//! The fake machine that it measures.

fn main() -> std::process::ExitCode {
    fake_machine::cli::main()
}
