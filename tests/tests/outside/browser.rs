//! The web page in a real browser.

use std::path::Path;

use treehouse_tests::child::{self, Ended};
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;
use treehouse_tests::{machine, skip, tools};

use crate::support::{FAKE_MACHINE, LIMIT, TREEHOUSE, on};

const CONFIGURATION: &str = "[attribution]\nmin_energy_j = 0.5\n[ledger]\nenabled = false\n[grid]\nzone = \"GB\"\n";

/// How often a page is looked at until it is as it should be: on a busy machine a browser may get no answer in its time.
const LOOKS: u32 = 5;

/// The page after some seconds of the browser's own time, as it then is.
fn look(program: &Path, url: &str) -> Result<Ended, String> {
    // a browser of its own each time: one that came to a bad end leaves a profile that the next one would mend first
    let scratch = Scratch::new().unwrap();
    let mut command = scratch.command(program.to_str().unwrap());
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--virtual-time-budget=6000",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", scratch.path().join("browser").display())).arg(url);
    let ended = child::run(&mut command, LIMIT).map_err(|error| error.to_string())?;
    if ended.code() == Some(0) { Ok(ended) } else { Err(format!("the browser ended with {}: {}", ended.status, ended.stderr)) }
}

/// Looks until the page is as `check` wants it.
fn look_until(program: &Path, url: &str, check: impl Fn(&Ended) -> Result<(), String>) -> Ended {
    let mut problems = Vec::new();
    for _ in 0..LOOKS {
        match look(program, url).and_then(|ended| check(&ended).map(|()| ended)) {
            Ok(ended) => return ended,
            Err(problem) => {
                skip::note(&format!("looked again: {problem}"));
                problems.push(problem);
            }
        }
    }
    panic!("{}", problems.join("\n"))
}

/// A page that got its figures, and no complaint of a script.
fn is_live(ended: &Ended) -> Result<(), String> {
    let (console, text) = (console(ended), ended.text());
    let root = text.split_once("<html").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(root, _)| root);
    if console.is_empty() && root.contains("data-state=\"live\"") { Ok(()) } else { Err(format!("{root} {console:?}")) }
}

fn browser() -> Option<std::path::PathBuf> {
    let found = tools::find(&["chromium", "chromium-browser", "google-chrome"]);
    if found.is_none() {
        skip::required("chromium is not installed (package chromium)");
    }
    found
}

/// What scripts wrote to the console.
fn console(ended: &Ended) -> Vec<&str> {
    ended.stderr.lines().filter(|line| line.contains(":CONSOLE")).collect()
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).map_or(rest, |(inside, _)| inside)
}

/// The text of a piece of a page, without its tags.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in html.replace("&nbsp;", " ").chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            other if !inside => text.push(other),
            _ => {}
        }
    }
    text
}

#[test]
fn the_page_is_live_and_its_rows_sum_to_the_host() {
    let Some(browser) = browser() else { return };
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &[]).unwrap();
    // every row has its energy
    let before = eventually("energy enough for rows", || Energy::of(&daemon).unwrap().host_mj().filter(|&mj| mj > 60_000));
    let ended = look_until(&browser, &format!("http://{}/", daemon.address()), is_live);
    let after = Energy::of(&daemon).unwrap().host_mj().unwrap();
    let page = ended.text();
    let root = between(&page, "<html", ">");
    assert!(root.contains("data-state=\"live\"") && root.contains("data-cover=\"some\""), "{root}");
    let title = between(&page, "<title>", "</title>");
    assert!(title.contains(" W"), "{title}");
    let power = plain(between(&page, "id=\"power\">", "</p>"));
    assert!(power.contains('W') && power.contains("measured") && !power.contains("modelled"), "{power}");
    let sum = plain(between(&page, "id=\"work-sum\">", "</tfoot>"));
    let told = between(&sum, "equals the host, ", " J");
    let told: u64 = told.replace(['.', '\u{2009}'], "").parse().unwrap_or_else(|_| panic!("{told:?} in {sum}"));
    assert!((before..=after).contains(&told), "{told} mJ on the page, {before} before and {after} mJ after");
    let rows = between(&page, "id=\"work-rows\">", "</table>");
    assert!(rows.contains("web.service") && rows.contains("idle"), "{rows}");
    let grid = plain(between(&page, "id=\"grid\">", "</section>"));
    assert!(grid.contains("GB"), "{grid}");
}

#[test]
fn the_page_of_a_machine_without_a_meter_says_modelled() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new().unwrap();
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--sysfs").arg(scratch.folder("empty").unwrap());
    let daemon = Daemon::ready(command, &["--no-ledger"]).unwrap();
    let ended = look_until(&browser, &format!("http://{}/", daemon.address()), is_live);
    let page = ended.text();
    for figure in ["power", "energy"] {
        let text = plain(between(&page, &format!("id=\"{figure}\">"), "</p>"));
        assert!(text.contains("modelled") && !text.contains("measured"), "{text}");
    }
    assert!(between(&page, "id=\"sources\">", "</tbody>").contains("absent"));
}

#[test]
fn a_ledger_tells_what_it_holds_and_before_its_first_commit_nothing() {
    let Some(browser) = browser() else { return };
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let recorded = |commit_s: f64| {
        let scratch = Scratch::new().unwrap();
        let daemon = Daemon::ready(on(&scratch, &machine, &format!("[ledger]\ncommit_s = {commit_s:?}\n")), &[]).unwrap();
        if commit_s < 1.0 {
            eventually("a commit", || Energy::of(&daemon).unwrap().durable_until);
        }
        let page = look_until(&browser, &format!("http://{}/", daemon.address()), is_live).text();
        plain(between(&page, "id=\"recorded\">", "</p>"))
    };
    assert_eq!(recorded(3600.0), "ledger: nothing yet");
    let kept = recorded(0.2);
    assert!(kept.starts_with("ledger: ") && kept.contains(" J since ") && kept.contains(", on disk up to "), "{kept}");
}

#[test]
fn an_error_of_a_script_would_be_seen() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new().unwrap();
    let path = scratch.write("page.html", "<script>console.error('seen'); nothing.at.all</script>").unwrap();
    look_until(&browser, &format!("file://{}", path.display()), |ended| {
        if console(ended).len() == 2 { Ok(()) } else { Err(ended.stderr.clone()) }
    });
}
