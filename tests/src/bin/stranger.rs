//! Asks a daemon as whoever it runs as, for a while: `stranger TARGET PATH EVERY_MS SECONDS [HEADER…]`, one answer a line.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use treehouse_tests::http::{self, Target};

fn main() -> ExitCode {
    match poll(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn poll(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [target, path, every, seconds, headers @ ..] = arguments else { return Err("too few arguments".into()) };
    let (target, every) = (target.parse::<Target>()?, Duration::from_millis(every.parse()?));
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let (mut next, end) = (Instant::now(), Instant::now() + Duration::from_secs_f64(seconds.parse()?));
    let mut out = std::io::stdout().lock();
    loop {
        let answer = http::ask(&target, path, &headers)?;
        writeln!(out, "{}", serde_json::json!({ "status": answer.status, "headers": answer.headers, "body": answer.body }))?;
        next += every;
        if next >= end {
            return Ok(());
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
