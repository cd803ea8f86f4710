//! Golden files: the exact bytes of both formats for the fixed machine.
//!
//! `UPDATE_GOLDEN=1 cargo test -p treehouse-exporters` writes them anew.

use std::path::Path;

use exporters::View;
use exporters::accept::Format;
use exporters::scrape::Scrape;

use crate::machine::{context, machine};

fn written(format: Format, view: View) -> Vec<u8> {
    let mut body = Vec::new();
    Scrape::new().exporter(format).write(&machine(), view, &context(), &mut body);
    body
}

fn compare(name: &str, body: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, body).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(golden, std::str::from_utf8(body).unwrap(), "{} (UPDATE_GOLDEN=1 writes it anew)", path.display());
}

#[test]
fn the_text_is_the_golden_file() {
    compare("metrics.txt", &written(Format::Text, View::Fine));
}

#[test]
fn the_coarse_text_is_the_golden_file() {
    compare("metrics.coarse.txt", &written(Format::Text, View::Coarse));
}

#[test]
fn the_openmetrics_text_is_the_golden_file() {
    compare("metrics.openmetrics", &written(Format::OpenMetrics, View::Fine));
}
