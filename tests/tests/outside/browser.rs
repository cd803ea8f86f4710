//! The web page in a real browser.

use std::path::Path;

use treehouse_tests::child::{self, Ended};
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::Energy;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{machine, skip, tools};

use crate::support::{FAKE_MACHINE, LIMIT, TREEHOUSE, on};

const CONFIGURATION: &str = "[attribution]\nmin_energy_j = 0.5\n[ledger]\nenabled = false\n[grid]\nzone = \"GB\"\n";

/// The page after some seconds of the browser's own time, as it then is.
fn look(program: &Path, scratch: &Scratch, url: &str) -> Ended {
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
    let ended = child::run(&mut command, LIMIT).unwrap();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    ended
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
    std::thread::sleep(std::time::Duration::from_secs(2));
    let before = Energy::of(&daemon).unwrap().host_mj().unwrap();
    let ended = look(&browser, &scratch, &format!("http://{}/", daemon.address()));
    let after = Energy::of(&daemon).unwrap().host_mj().unwrap();
    assert_eq!(console(&ended), [""; 0]);
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
    let ended = look(&browser, &scratch, &format!("http://{}/", daemon.address()));
    assert_eq!(console(&ended), [""; 0]);
    let page = ended.text();
    for figure in ["power", "energy"] {
        let text = plain(between(&page, &format!("id=\"{figure}\">"), "</p>"));
        assert!(text.contains("modelled") && !text.contains("measured"), "{text}");
    }
    assert!(between(&page, "id=\"sources\">", "</tbody>").contains("absent"));
}

#[test]
fn an_error_of_a_script_would_be_seen() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new().unwrap();
    let path = scratch.write("page.html", "<script>console.error('seen'); nothing.at.all</script>").unwrap();
    let ended = look(&browser, &scratch, &format!("file://{}", path.display()));
    assert_eq!(console(&ended).len(), 2, "{}", ended.stderr);
}
