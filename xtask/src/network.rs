//! What is fetched from elsewhere: tried several times, since a mirror or a network fails for a moment and not for a reason.

use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Pauses between attempts.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45), Duration::from_secs(120)];

/// Variables with which cargo is patient itself.
pub(crate) const CARGO: [(&str, &str); 2] = [("CARGO_NET_RETRY", "10"), ("CARGO_HTTP_TIMEOUT", "120")];

/// Options with which apt-get is patient itself, and waits for another apt-get that is at work.
pub(crate) const APT: [&str; 8] = [
    "--option",
    "Acquire::Retries=5",
    "--option",
    "Acquire::http::Timeout=60",
    "--option",
    "Acquire::https::Timeout=60",
    "--option",
    "DPkg::Lock::Timeout=600",
];

/// Does it until it succeeds, five times at most; true if it did.
///
/// # Errors
/// Whatever an attempt returns: that is none of the network's doing, and is not tried again.
pub(crate) fn insist(what: &str, attempt: impl FnMut() -> Result<bool>) -> Result<bool> {
    insist_with(&PAUSES, what, attempt)
}

fn insist_with(pauses: &[Duration], what: &str, mut attempt: impl FnMut() -> Result<bool>) -> Result<bool> {
    for pause in pauses {
        if attempt()? {
            return Ok(true);
        }
        println!("   {what} failed; it is tried again in {} s", pause.as_secs());
        thread::sleep(*pause);
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_for_a_moment_succeeds() {
        let mut times = 0;
        let attempt = || {
            times += 1;
            Ok(times == 3)
        };
        assert!(insist_with(&[Duration::ZERO; 4], "it", attempt).unwrap());
        assert_eq!(times, 3);
    }

    #[test]
    fn what_fails_for_good_fails() {
        let mut times = 0;
        let attempt = || {
            times += 1;
            Ok(false)
        };
        assert!(!insist_with(&[Duration::ZERO; 2], "it", attempt).unwrap());
        assert_eq!(times, 3);
        assert!(insist_with(&PAUSES, "it", || anyhow::bail!("no such program")).is_err());
    }
}
