//! In the steady state a sample of the host allocates nothing.

use carbon_api::bank::{Bank, Observed};
use carbon_api::meter::rapl::RaplMeter;
use carbon_api::system::SystemClock;
use fake_machine::{PlainTree, TrueMachine};

use allocations::{Counting, allocations};

#[path = "../benches/harness/allocations.rs"]
mod allocations;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_thousand_samples_allocate_nothing() {
    let machine = TrueMachine::builder().cpus(2).package(0, 40.0).core(30.0).dram(5.0).build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut tree = PlainTree::write(directory.path(), &machine, 0).unwrap();
    let (meter, report) = RaplMeter::powercap(&tree.sysfs());
    let mut bank = Bank::new(vec![Box::new(meter.expect(&report.detail))]);
    bank.read(&SystemClock);
    let (mut asked, mut joules) = (0, 0);
    for tenth in 1..=1000 {
        tree.update(&machine, tenth * 100_000).unwrap();
        let before = allocations();
        let (_, observed) = bank.read(&SystemClock);
        asked += allocations() - before;
        for one in observed {
            let Observed::Read(outcome) = one else { panic!("a read failed: {one:?}") };
            joules += outcome.step().expect("energy").energy.0;
        }
    }
    assert!(joules > 0, "the counters moved");
    assert_eq!(asked, 0);
}

#[test]
fn a_growing_vector_is_counted() {
    let before = allocations();
    let mut grows = vec![1_u8; 16];
    grows.extend_from_slice(&[2; 4096]);
    assert_eq!(std::hint::black_box(grows).len(), 4112);
    assert!(allocations() >= before + 2);
}
