//! Runs steps one after the other, times them, and says at the end how each went.

use std::time::{Duration, Instant};

use anyhow::Result;

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Passed,
    /// It found something; the text says what or how to mend it.
    Failed(String),
    /// It could not be run; the text says why.
    NotRun(String),
}

/// All steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// One step that is over.
#[derive(Debug)]
struct Row {
    name: String,
    outcome: Outcome,
    took: Duration,
}

impl Report {
    /// Announces a step, runs it and keeps its outcome; an error is a failure like any other.
    pub(crate) fn run(&mut self, name: &str, what: &str, step: impl FnOnce() -> Result<Outcome>) {
        println!("== {name}: {what}");
        let start = Instant::now();
        let outcome = step().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let row = Row { name: name.to_owned(), outcome, took: start.elapsed() };
        println!("   {}", row.verdict());
        self.rows.push(row);
    }

    /// Prints one line a step.
    pub(crate) fn print(&self) {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        println!("== summary");
        for row in &self.rows {
            println!("   {:width$}  {}", row.name, row.verdict());
        }
    }

    /// Whether nothing failed; where `strict`, whether nothing was left out either.
    pub(crate) fn holds(&self, strict: bool) -> bool {
        self.rows.iter().all(|row| match row.outcome {
            Outcome::Passed => true,
            Outcome::Failed(_) => false,
            Outcome::NotRun(_) => !strict,
        })
    }
}

impl Row {
    fn verdict(&self) -> String {
        let seconds = self.took.as_secs_f64();
        match &self.outcome {
            Outcome::Passed => format!("ok, {seconds:.1} s"),
            Outcome::Failed(why) => format!("FAILED, {seconds:.1} s: {why}"),
            Outcome::NotRun(why) => format!("not run: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn steps_run_on_after_a_failure_and_the_whole_fails() {
        let mut report = Report::default();
        let mut ran = Vec::new();
        for (name, outcome) in [("one", Outcome::Failed("mend it".into())), ("two", Outcome::Passed)] {
            report.run(name, "a step", || {
                ran.push(name);
                Ok(outcome)
            });
        }
        assert_eq!(ran, ["one", "two"]);
        assert!(!report.holds(false));
    }

    #[test]
    fn an_error_is_a_failure_with_its_whole_cause() {
        let mut report = Report::default();
        report.run("one", "a step", || Err(anyhow!("no such file").context("cannot start it")));
        assert_eq!(report.rows[0].outcome, Outcome::Failed("cannot start it: no such file".into()));
        assert!(!report.holds(false));
    }

    #[test]
    fn a_step_left_out_fails_only_where_nothing_may_be() {
        let mut report = Report::default();
        report.run("one", "a step", || Ok(Outcome::NotRun("no program".into())));
        assert!(report.holds(false));
        assert!(!report.holds(true));
    }
}
