//! Counts tests from what `cargo test` prints.

use std::fmt;

/// More of a line than this is never kept: a result is far shorter, and a test may print without end.
const LONGEST_LINE: usize = 512;

/// What the lines that begin with `test result:` add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that ended well, those that skipped themselves among them.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests marked `#[ignore]`.
    pub(crate) ignored: u64,
}

/// Reads output piece by piece, wherever the pieces are cut.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    line: Vec<u8>,
    counts: Counts,
}

impl Tally {
    /// Takes the next piece.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        if let Some(rest) = pieces.next() {
            self.keep(rest);
        }
        for piece in pieces {
            self.end_line();
            self.keep(piece);
        }
    }

    /// The sum; a last line without an end counts too.
    pub(crate) fn finish(mut self) -> Counts {
        self.end_line();
        self.counts
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend(bytes.iter().take(room));
    }

    fn end_line(&mut self) {
        if let Some(counts) = std::str::from_utf8(&self.line).ok().and_then(parse) {
            self.counts.passed += counts.passed;
            self.counts.failed += counts.failed;
            self.counts.ignored += counts.ignored;
        }
        self.line.clear();
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
fn parse(line: &str) -> Option<Counts> {
    let (_verdict, figures) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let figure = |name: &str| {
        figures
            .split("; ")
            .filter_map(|figure| figure.split_once(' '))
            .find_map(|(count, what)| (what == name).then(|| count.parse().ok())?)
    };
    Some(Counts { passed: figure("passed")?, failed: figure("failed")?, ignored: figure("ignored")? })
}

/// The closing line: what passed is what ended well less what skipped itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Takes the counts of the test programs, and how many tests said that they skipped themselves.
    pub(crate) fn new(counts: Counts, skipped_themselves: u64) -> Self {
        Self {
            passed: counts.passed.saturating_sub(skipped_themselves),
            failed: counts.failed,
            skipped: counts.ignored + skipped_themselves,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/one-0123456789abcdef)

running 3 tests
test a ... ok
test b ... ok
test c ... ignored

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/two.rs (target/debug/deps/two-0123456789abcdef)

running 12 tests
test d ... FAILED

test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s

   Doc-tests one
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s; merged doctests compilation took 0.50s
error: 1 target failed
";
    const SUM: Counts = Counts { passed: 17, failed: 2, ignored: 1 };

    fn count<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Counts {
        let mut tally = Tally::default();
        pieces.into_iter().for_each(|piece| tally.read(piece));
        tally.finish()
    }

    #[test]
    fn the_results_of_all_programs_are_added() {
        assert_eq!(count([OUTPUT.as_bytes()]), SUM);
    }

    #[test]
    fn it_does_not_matter_where_the_pieces_are_cut() {
        for size in [1, 2, 7, 64, 100] {
            assert_eq!(count(OUTPUT.as_bytes().chunks(size)), SUM, "pieces of {size}");
        }
    }

    #[test]
    fn a_last_line_without_an_end_counts() {
        assert_eq!(count([OUTPUT.trim_end_matches("error: 1 target failed\n").trim_end().as_bytes()]), SUM);
    }

    #[test]
    fn only_whole_results_at_the_start_of_a_line_count() {
        let lines: [&[u8]; 6] = [
            b"  test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n",
            b"the test result: ok. 1 passed; 0 failed; 0 ignored\n",
            b"test result: ok. many passed; 0 failed; 0 ignored\n",
            b"test result: ok. 1 passed\n",
            b"test result: \xff\n",
            b"test result\n",
        ];
        assert_eq!(count(lines), Counts::default());
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut tally = Tally::default();
        for _ in 0..1000 {
            tally.read(&[b'x'; 1000]);
        }
        assert_eq!(tally.line.len(), LONGEST_LINE);
        tally.read(b"\ntest result: ok. 1 passed; 0 failed; 0 ignored");
        assert_eq!(tally.finish().passed, 1);
    }

    #[test]
    fn a_test_that_skipped_itself_is_not_a_test_that_passed() {
        assert_eq!(Totals::new(SUM, 3).to_string(), "14 passed, 2 failed, 4 skipped");
        assert_eq!(Totals::new(Counts::default(), 0).to_string(), "0 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn more_skips_than_tests_do_not_wrap_around() {
        let counts = Counts { passed: 1, ..Counts::default() };
        assert_eq!(Totals::new(counts, 5).to_string(), "0 passed, 0 failed, 5 skipped");
    }
}
