//! Joules of a block of code, by this machine's meters or by its model.
//!
//! `cargo run --release -p treehouse-examples --example window`

use std::io::Write;

use carbon_api::Treehouse;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let treehouse = Treehouse::detect()?;
    let mut out = std::io::stdout().lock();
    for size in [1_000_000_u64, 10_000_000, 100_000_000] {
        let window = treehouse.begin();
        let sum = (0..size).fold(0_u64, |sum, x| sum.wrapping_add(std::hint::black_box(x) * x));
        let energy = window.end();
        writeln!(out, "{size:>11} steps (sum {sum}): {energy}")?;
        for warning in &energy.used.warnings {
            writeln!(out, "            {warning}")?;
        }
    }
    Ok(())
}
