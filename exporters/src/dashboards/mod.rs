//! Grafana dashboards, Prometheus rules and provisioning, generated from the catalogue.
//!
//! `cargo xtask dashboards` writes them to `dashboards/`, `cargo xtask dashboards --check` compares. No metric is named here: names
//! come from [`catalogue`](crate::catalogue), so a board cannot ask for what is not exported.

mod board;
mod host;
mod provisioning;
mod query;
mod rule_tests;
mod rules;
mod yaml;

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies below `dashboards/`.
    pub path: &'static str,
    /// All of it; ends with a newline.
    pub content: String,
}

/// Titles of the panels that rightly show nothing while no meter fails and no decision was taken.
pub const EMPTY_WHEN_ALL_IS_WELL: [&str; 4] = ["Meter gaps", "Meter errors", "Meter resets", "Decisions"];

/// Every file.
pub fn files() -> Vec<File> {
    let file = |path, content| File { path, content };
    vec![
        file("host.json", host::board().json()),
        file("provisioning/dashboards.yml", provisioning::dashboards()),
        file("provisioning/datasources.yml", provisioning::datasources()),
        file("rules/alerts.yml", rules::alerts_file()),
        file("rules/recording.yml", rules::recording_file()),
        file("rules/tests.yml", rule_tests::file()),
    ]
}

/// Every panel's title with each of its queries, variables in place: `$job`, `$instance`, `$__rate_interval`, `$__range`.
pub fn expressions() -> Vec<(String, String)> {
    let panels = host::board().panels;
    let queries = panels.into_iter().flat_map(|panel| {
        let title = panel.title;
        panel.targets.into_iter().map(move |target| (title.to_owned(), target.expression))
    });
    queries.collect()
}
