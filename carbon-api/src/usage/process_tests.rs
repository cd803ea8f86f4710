//! Processes that come, go, move, change their user, and ids that are used again.

use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::*;
use crate::system::SystemClock;

fn line(pid: i32, comm: &str, ticks: u64, start: u64) -> String {
    format!("{pid} ({comm}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 0 0\n")
}

fn process(root: &Path, pid: i32, comm: &str, ticks: u64, start: u64, group: &str) {
    let dir = root.join(pid.to_string());
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("stat"), line(pid, comm, ticks, start)).unwrap();
    std::fs::write(dir.join("cgroup"), format!("0::{group}\n")).unwrap();
}

fn names(pass: &UsagePass, consumers: &Consumers) -> Vec<String> {
    pass.rows.iter().map(|r| consumers.get(r.slot).unwrap().name.to_string()).collect()
}

#[test]
fn a_fake_tree_is_read_by_its_stat_files() {
    let dir = tempfile::tempdir().unwrap();
    process(dir.path(), 10, "one", 100, 5, "/");
    process(dir.path(), 9, "two", 200, 6, "/");
    let mut source = ProcessUsage::open(dir.path(), GroupRows::default()).unwrap();
    assert_eq!(source.reader(), Reader::Stat);
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    source.read(&SystemClock, &mut consumers, &mut pass);
    let mut found = names(&pass, &consumers);
    found.sort();
    assert_eq!(found, ["one:10", "two:9"]);
    assert_eq!(consumers.get(pass.rows[0].slot).unwrap().started_ns, None, "it lived before the first pass");
}

#[test]
fn a_reused_pid_is_a_new_process() {
    let dir = tempfile::tempdir().unwrap();
    process(dir.path(), 10, "old", 500, 5, "/");
    let mut source = ProcessUsage::open(dir.path(), GroupRows::default()).unwrap();
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    source.read(&SystemClock, &mut consumers, &mut pass);
    let old = pass.rows[0].slot;
    process(dir.path(), 10, "new", 20, 700, "/");
    pass.clear();
    source.read(&SystemClock, &mut consumers, &mut pass);
    assert_eq!(pass.gone, [old]);
    assert_eq!(names(&pass, &consumers), ["new:10"]);
    assert_eq!(consumers.get(pass.rows[0].slot).unwrap().started_ns, Some(7_000_000_000));
}

#[test]
fn a_process_in_a_counted_group_has_no_row_and_gets_one_when_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    process(dir.path(), 10, "svc", 100, 5, "/system.slice/a.service");
    let mut source = ProcessUsage::open(dir.path(), GroupRows { v2: true, v1: false }).unwrap();
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    source.read(&SystemClock, &mut consumers, &mut pass);
    assert!(pass.rows.is_empty());
    process(dir.path(), 10, "svc", 110, 5, "/");
    pass.clear();
    source.read(&SystemClock, &mut consumers, &mut pass);
    assert_eq!(names(&pass, &consumers), ["svc:10"]);
}

#[test]
fn a_process_is_its_users_and_nobodys_while_its_user_changes() {
    let dir = tempfile::tempdir().unwrap();
    process(dir.path(), 10, "svc", 100, 5, "/a.service");
    let folder = dir.path().join("10");
    let own = std::fs::metadata(&folder).unwrap().uid();
    let mut source = ProcessUsage::open(dir.path(), GroupRows::default()).unwrap();
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    let mut look = || {
        pass.clear();
        source.read(&SystemClock, &mut consumers, &mut pass);
        (consumers.get(pass.rows[0].slot).unwrap().owner, consumers.owners.of_v2("/a.service"))
    };
    assert_eq!(look(), (Owner::User(own), Owner::User(own)));
    if own != 0 {
        return;
    }
    // the look after the first tick sees that the service has dropped root; the interval before is not closed until the next
    std::os::unix::fs::chown(&folder, Some(65534), None).unwrap();
    let later: Vec<_> = (0..3).map(|_| look()).collect();
    assert_eq!(later.iter().map(|l| l.0).collect::<Vec<_>>(), [Owner::Mixed, Owner::Mixed, Owner::User(65534)]);
    assert!(later.iter().all(|l| l.1 == Owner::Mixed), "what root used in the group is still in its counter");
    // a program of root's in its place is not the user's for longer than that
    std::os::unix::fs::chown(&folder, Some(0), None).unwrap();
    let later: Vec<_> = (0..LOOK_AT_OWNER).map(|_| look().0).collect();
    assert_eq!(later.iter().find(|o| **o != Owner::User(65534)), Some(&Owner::Mixed));
}

#[test]
fn an_ended_process_is_gone_once() {
    let dir = tempfile::tempdir().unwrap();
    process(dir.path(), 10, "x", 1, 5, "/");
    let mut source = ProcessUsage::open(dir.path(), GroupRows::default()).unwrap();
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    source.read(&SystemClock, &mut consumers, &mut pass);
    std::fs::remove_dir_all(dir.path().join("10")).unwrap();
    for expected in [1, 0] {
        pass.clear();
        source.read(&SystemClock, &mut consumers, &mut pass);
        assert_eq!((pass.rows.len(), pass.gone.len()), (0, expected));
    }
}

#[test]
fn the_clock_of_our_own_process_agrees_with_the_kernel() {
    let mut source = ProcessUsage::open(Path::new("/proc"), GroupRows::default()).unwrap();
    assert_eq!(source.reader(), Reader::Clock);
    let (mut consumers, mut pass) = (Consumers::default(), UsagePass::default());
    let before = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    source.read(&SystemClock, &mut consumers, &mut pass);
    let after = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    let me = format!(":{}", std::process::id());
    let row = pass.rows.iter().find(|r| consumers.get(r.slot).unwrap().name.ends_with(&me)).unwrap();
    assert!((nanoseconds(before)..=nanoseconds(after)).contains(&row.cpu_ns));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_pid(&bytes);
    }
}
