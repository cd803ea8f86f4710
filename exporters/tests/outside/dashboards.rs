//! A linter of the generated boards and rules, and promtool's word on them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use exporters::catalogue::{CATALOGUE, Kind, Metric};
use exporters::dashboards::{self, EMPTY_WHEN_ALL_IS_WELL};
use serde_json::Value;

use crate::programs;

fn file(path: &str) -> String {
    dashboards::files().into_iter().find(|f| f.path == path).unwrap().content
}

fn board() -> Value {
    serde_json::from_str(&file("host.json")).unwrap()
}

fn panels() -> Vec<Value> {
    board()["panels"].as_array().unwrap().clone()
}

/// Every expression of boards and rules, with where it stands.
fn all_expressions() -> Vec<(String, String)> {
    let mut all = dashboards::expressions();
    for path in ["rules/recording.yml", "rules/alerts.yml"] {
        for line in file(path).lines().filter_map(|l| l.trim().strip_prefix("expr: ")) {
            all.push((path.to_owned(), line.trim_matches('\'').replace("''", "'")));
        }
    }
    all
}

/// Each use of a metric of the catalogue: the metric, its matchers, the range behind it, and the function around it.
fn uses(expression: &str) -> Vec<(&'static Metric, String, Option<String>, String)> {
    let mut found = Vec::new();
    for metric in &CATALOGUE {
        let name = metric.sample_name();
        for (at, _) in expression.match_indices(&name) {
            let before = &expression[..at];
            let after = &expression[at + name.len()..];
            let part_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            if before.ends_with(part_of_a_name) || after.starts_with(part_of_a_name) {
                continue;
            }
            let (matchers, after) = match after.strip_prefix('{') {
                Some(inner) => inner.split_once('}').unwrap(),
                None => ("", after),
            };
            let range = after.strip_prefix('[').map(|r| r.split_once(']').unwrap().0.to_owned());
            let function = before.strip_suffix('(').map_or("", |b| b.rsplit(|c| !part_of_a_name(c)).next().unwrap());
            found.push((metric, matchers.to_owned(), range, function.to_owned()));
        }
    }
    found
}

#[test]
fn the_files_in_the_repository_are_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    for generated in dashboards::files() {
        let path = root.join(generated.path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &generated.content).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == generated.content, "{} is stale: run cargo xtask dashboards", generated.path);
    }
}

#[test]
fn every_rate_uses_the_interval_variable() {
    for (title, expression) in dashboards::expressions() {
        let uses = uses(&expression);
        assert!(!uses.is_empty(), "{title}: {expression}");
        for (metric, _, range, function) in uses {
            let panel = panels().into_iter().find(|p| p["title"] == title.as_str()).unwrap();
            match (metric.kind, range.as_deref()) {
                (Kind::Sum, Some("$__rate_interval")) => {
                    assert!(["rate", "increase"].contains(&function.as_str()), "{expression}");
                }
                (Kind::Sum, Some("$__range")) => {
                    assert_eq!(function, "increase", "{expression}");
                    assert!(["stat", "table"].contains(&panel["type"].as_str().unwrap()), "{title}");
                }
                (Kind::Gauge | Kind::Info, None) => {}
                other => panic!("{title}: {other:?} in {expression}"),
            }
        }
    }
}

#[test]
fn no_rule_or_panel_reads_gone() {
    let mut rates = 0;
    for (place, expression) in all_expressions() {
        for (metric, matchers, range, _) in uses(&expression) {
            if metric.attributes.contains(&"workload") && range.is_some() {
                assert!(matchers.contains("workload!=\"gone\""), "{place}: {expression}");
                rates += 1;
            }
        }
    }
    assert!(rates > 8, "{rates}");
}

#[test]
fn every_selector_has_job_and_instance() {
    for (title, expression) in dashboards::expressions() {
        for (_, matchers, _, _) in uses(&expression) {
            assert!(matchers.starts_with("job=~\"$job\", instance=~\"$instance\""), "{title}: {expression}");
        }
    }
}

#[test]
fn average_and_marginal_grams_are_never_added() {
    for (place, expression) in all_expressions() {
        for (metric, matchers, _, _) in uses(&expression) {
            if metric.attributes.contains(&"scope") {
                let apart = expression.contains("kind)") || matchers.contains("kind=\"average\"");
                assert!(apart || matchers.contains("scope=\"embodied\""), "{place}: {expression}");
            }
        }
    }
}

#[test]
fn every_unit_exists() {
    let exist = [
        "watt",
        "kwatt",
        "joule",
        "watth",
        "kwatth",
        "massg",
        "masskg",
        "masst",
        "percentunit",
        "s",
        "si:g/s",
        "suffix: gCO2e/kWh",
        "short",
        "bool_yes_no",
    ];
    for panel in panels() {
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
        assert!(exist.contains(&unit), "{}: {unit}", panel["title"]);
        for column in panel["fieldConfig"]["overrides"].as_array().unwrap() {
            assert!(exist.contains(&column["properties"][0]["value"].as_str().unwrap()), "{column}");
        }
    }
}

#[test]
fn every_panel_has_what_a_reader_needs() {
    let uid = serde_json::json!({ "type": "prometheus", "uid": "${datasource}" });
    let mut ids = std::collections::BTreeSet::new();
    let mut titles = std::collections::BTreeSet::new();
    for panel in panels() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()) && titles.insert(panel["title"].to_string()), "{}", panel["title"]);
        assert!(panel["description"].as_str().unwrap().ends_with('.'), "{}", panel["title"]);
        assert_eq!(panel["datasource"], uid);
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|t| t["datasource"] == uid), "{}", panel["title"]);
        let position = &panel["gridPos"];
        assert!(position["x"].as_u64().unwrap() + position["w"].as_u64().unwrap() <= 24);
    }
    for title in EMPTY_WHEN_ALL_IS_WELL {
        assert!(titles.contains(&format!("{title:?}")), "{title}");
    }
}

#[test]
fn the_board_has_one_datasource_variable_and_job_and_instance() {
    let board = board();
    assert_eq!(board["schemaVersion"], 42);
    assert_eq!((board["editable"].as_bool(), board["refresh"].as_str()), (Some(false), Some("30s")));
    let variables = board["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    assert_eq!((variables[0]["type"].as_str(), variables[0]["label"].as_str()), (Some("datasource"), Some("Data Source")));
    for variable in &variables[1..] {
        assert_eq!(variable["datasource"]["uid"], "${datasource}");
        assert_eq!((variable["multi"].as_bool(), variable["includeAll"].as_bool()), (Some(true), Some(true)));
        assert_eq!((variable["allValue"].as_str(), variable["refresh"].as_u64()), (Some(".+"), Some(2)));
        assert_eq!(variable["label"], variable["name"]);
    }
}

/// A copy of the generated files that promtool can read.
fn written(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    for generated in dashboards::files() {
        let path = folder.join(generated.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, generated.content).unwrap();
    }
    folder
}

fn promtool(test: &str, arguments: &[&str], folder: &Path) {
    let Some(mut promtool) = programs::promtool(test) else { return };
    let output = promtool.args(arguments).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    let name = "promtool_accepts_the_rules_and_their_tests";
    let folder = written("rules");
    promtool(name, &["check", "rules", "rules/recording.yml", "rules/alerts.yml"], &folder);
    promtool(name, &["test", "rules", "rules/tests.yml"], &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn promtool_reads_every_expression_of_the_board() {
    let mut rules = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (at, (_, expression)) in dashboards::expressions().into_iter().enumerate() {
        let filled = expression
            .replace("$__rate_interval", "1m")
            .replace("$__range", "6h")
            .replace("$job", ".+")
            .replace("$instance", ".+");
        assert!(!filled.contains('$'), "{filled}");
        writeln!(rules, "      - record: panel:{at}\n        expr: '{}'", filled.replace('\'', "''")).unwrap();
    }
    let folder = written("panels");
    std::fs::write(folder.join("panels.yml"), rules).unwrap();
    promtool("promtool_reads_every_expression_of_the_board", &["check", "rules", "panels.yml"], &folder);
    std::fs::remove_dir_all(folder).unwrap();
}
