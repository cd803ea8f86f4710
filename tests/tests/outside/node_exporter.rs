//! The exporter that most machines run already, on the same counters: at a wrap its series falls, and what was left before the wrap
//! is lost to whoever asks for the increase; ours loses nothing against the truth.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fake_machine::Guard;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::exposition::{Scrape, micro};
use treehouse_tests::lines::Lines;
use treehouse_tests::scratch::Scratch;
use treehouse_tests::wait::eventually;
use treehouse_tests::{http, machine, skip, tools};

use crate::support::{FAKE_MACHINE, on, settled};

/// The largest value of the package's counter, and one count, in microjoules.
const RANGE_UJ: i128 = 262_143_328_850;
const UNIT_UJ: i128 = 62;
/// How far from there it begins.
const LEFT_UJ: i128 = 60_000_000;
const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.25\n[grid]\nzone = \"GB\"\n";
const THEIRS: &str = "node_rapl_package_joules_total";
const OURS: &str = "hw_host_energy_joules_total";

/// A running exporter; killed by its id when it is dropped.
struct NodeExporter {
    child: Child,
    address: SocketAddr,
}

impl NodeExporter {
    fn start(program: &Path, machine: &Guard) -> Self {
        // a port that was free may be taken by the time the program wants it: it ends then
        for _ in 0..3 {
            let (mut exporter, said) = Self::launch(program, machine);
            let answers = eventually("an answer of the exporter, or its end", || {
                let over = exporter.child.try_wait().unwrap().is_some();
                if over { Some(false) } else { exporter.get().map(|_| true) }
            });
            if answers {
                return exporter;
            }
            skip::note(&format!("started again: {}", said.text()));
        }
        panic!("the exporter does not start");
    }

    fn launch(program: &Path, machine: &Guard) -> (Self, Lines) {
        let address = SocketAddr::from(([127, 0, 0, 1], tools::free_port().unwrap()));
        let child = Command::new(program)
            .arg("--path.sysfs")
            .arg(machine.sysfs())
            .arg("--path.procfs")
            .arg(machine.procfs())
            .args(["--collector.disable-defaults", "--collector.rapl", "--log.level=error"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut exporter = Self { child, address };
        let said = exporter.child.stderr.take().map_or_else(Lines::default, Lines::read);
        (exporter, said)
    }

    fn get(&self) -> Option<String> {
        http::get(self.address, "/metrics", &[]).ok().filter(|answer| answer.status == 200).map(|answer| answer.body)
    }

    /// Microjoules of the package.
    fn package(&self) -> i128 {
        let scrape = Scrape::parse(&self.get().unwrap()).unwrap();
        let values: Vec<&str> = scrape.family(THEIRS).map(|(_, value)| value).collect();
        assert_eq!(values.len(), 1, "{scrape:?}");
        micro(values[0]).unwrap()
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `increase()` makes of samples, without its stretching to the ends of a window: a fall is a counter that began at 0 again.
fn increase(samples: &[i128]) -> i128 {
    samples.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
}

fn ours(daemon: &Daemon) -> i128 {
    daemon.scrape().unwrap().sum_micro(OURS).unwrap()
}

#[test]
fn at_a_wrap_theirs_falls_and_ours_goes_on() {
    let Some(program) = tools::find(&["prometheus-node-exporter", "node_exporter"]) else {
        return skip::required("the node exporter is not installed (package prometheus-node-exporter)");
    };
    let start = (RANGE_UJ - LEFT_UJ).to_string();
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "0", "--start-uj", &start]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let daemon = Daemon::ready(on(&scratch, &machine, CONFIGURATION), &["--no-ledger"]).unwrap();
    let exporter = NodeExporter::start(&program, &machine);

    // between two flat lines no timing matters
    settled(&daemon);
    let (mut theirs, mut of_ours) = (vec![exporter.package()], vec![ours(&daemon)]);
    let before = i128::from(machine.truth().unwrap().host_uj);
    machine.ctl("power package-0 40\n").unwrap();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(500));
        theirs.push(exporter.package());
        of_ours.push(ours(&daemon));
    }
    machine.ctl("power package-0 0\n").unwrap();
    let drawn = i128::from(machine.truth().unwrap().host_uj) - before;
    settled(&daemon);
    theirs.push(exporter.package());
    of_ours.push(ours(&daemon));
    assert!(drawn > LEFT_UJ + 10_000_000, "the counter wrapped: {drawn} uJ were drawn");

    // theirs calls itself a counter, says that all is well, and falls
    let text = exporter.get().unwrap();
    assert!(text.contains(&format!("# TYPE {THEIRS} counter\n")), "{text}");
    assert!(text.contains("node_scrape_collector_success{collector=\"rapl\"} 1\n"), "{text}");
    let fall = theirs.windows(2).position(|pair| pair[1] < pair[0]);
    let last = theirs[fall.unwrap_or_else(|| panic!("it did not fall: {theirs:?}"))];
    // what was left from the last sample to the wrap is lost, at any pace of scraping
    let lost = drawn - increase(&theirs);
    assert!((lost - (RANGE_UJ - last)).abs() <= 2 * UNIT_UJ, "{lost} uJ are lost, the last sample was {last}: {theirs:?}");
    let seldom = [theirs[0], theirs[theirs.len() - 1]];
    let lost_seldom = drawn - increase(&seldom);
    assert!(
        (lost_seldom - (RANGE_UJ - theirs[0])).abs() <= 2 * UNIT_UJ,
        "{lost_seldom} uJ are lost between two samples: {theirs:?}"
    );
    assert!(lost_seldom >= lost && lost_seldom > 0);

    // ours
    assert!(of_ours.windows(2).all(|pair| pair[1] >= pair[0]), "{of_ours:?}");
    let slack_uj = 2 * UNIT_UJ + 4000; // shown in whole millijoules a series
    for samples in [&of_ours[..], &[of_ours[0], of_ours[of_ours.len() - 1]]] {
        let risen = increase(samples);
        assert!((risen - drawn).abs() <= slack_uj, "{risen} uJ are told, {drawn} uJ were drawn: {of_ours:?}");
    }
}
