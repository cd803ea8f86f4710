//! Each user's energy: never less than what is shown as theirs, never falling, never another's.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::closed::Share;
use crate::domain::DomainClass;
use crate::family::{Family, FamilySettings};
use crate::stamp::Stamp;
use crate::usage::owner::Owner;
use crate::usage::{Consumer, WorkloadKind};

fn consumer(name: &str, owner: Owner) -> Consumer {
    Consumer { kind: WorkloadKind::Process, name: name.into(), cgroup: None, owner, started_ns: None, quantum_ns: 1 }
}

fn closed(second: u64, shares: &[(Slot, u64)]) -> Closed {
    let at = |s: u64| Stamp { boottime_ns: s * 1_000_000_000, monotonic_ns: s * 1_000_000_000 };
    let share = |&(slot, energy)| Share { slot, class: DomainClass::Cpu, provenance: Provenance::Attributed, energy };
    Closed {
        from: at(second),
        until: at(second + 1),
        shares: shares.iter().map(share).collect(),
        used: shares.iter().map(|&(slot, energy)| (slot, energy * 1000)).collect(),
        ..Closed::default()
    }
}

fn rows(users: &Users) -> Vec<UserRow> {
    let mut rows = Vec::new();
    users.write(&mut rows, 1.0);
    rows
}

#[test]
fn energy_of_an_ended_process_stays_its_users() {
    let (mut users, mut consumers) = (Users::default(), Consumers::default());
    let mine = consumers.insert(consumer("a:1", Owner::User(1000)));
    users.close(&closed(0, &[(mine, 7)]), &consumers, Some(GramsPerKwh::new(3.6e9)));
    consumers.release(mine);
    let other = consumers.insert(consumer("b:2", Owner::User(0)));
    assert_eq!(other, mine, "the slot is used again");
    users.close(&closed(1, &[(other, 5)]), &consumers, None);
    let told: Vec<_> = rows(&users).into_iter().map(|r| (r.uid, r.energy.0, r.power_w, r.carbon_g)).collect();
    assert_eq!(told, [(0, 5, 5e-6, None), (1000, 7, 0.0, Some(0.007))]);
}

#[test]
fn what_is_not_surely_one_users_is_nobodys() {
    let (mut users, mut consumers) = (Users::default(), Consumers::default());
    let slots = [Owner::Unknown, Owner::Mixed].map(|owner| consumers.insert(consumer("x", owner)));
    users.close(&closed(0, &slots.map(|slot| (slot, 9))), &consumers, None);
    assert!(rows(&users).is_empty());
}

#[test]
fn a_flood_of_users_does_not_grow_the_book_without_end() {
    let (mut users, mut consumers) = (Users::default(), Consumers::default());
    let shares: Vec<_> = (0..6000).map(|uid| (consumers.insert(consumer("x", Owner::User(uid))), 1)).collect();
    users.close(&closed(0, &shares), &consumers, None);
    users.close(&closed(1, &shares), &consumers, None);
    assert_eq!(rows(&users).len(), MOST);
    assert!(rows(&users).iter().all(|r| r.energy.0 == 2), "who is in it is counted on");
}

proptest! {
    /// Consumers of three users (and nobody's) come, go, change hands, get series and lose them.
    #[test]
    fn a_users_rows_and_rest_never_fall_and_never_hold_anothers(
        steps in prop::collection::vec((0_usize..8, 0_u64..3_000_000, 0_u32..6), 1..80),
    ) {
        let start = Timestamp::UNIX_EPOCH;
        let settings = FamilySettings { max_workloads: 3, min_energy: Microjoules(500_000), keep_gone_s: 3.0 };
        let (mut family, mut users, mut consumers) = (Family::new(settings, start), Users::default(), Consumers::default());
        let mut slots: Vec<Option<Slot>> = vec![None; 8];
        let mut truth = [0_u64; 3];
        let mut before = [0_u64; 3];
        for (second, (i, energy, event)) in (0_u64..).zip(steps) {
            let now = start + SignedDuration::from_secs(second as i64 + 1);
            let owner = if event < 3 { Owner::User(event) } else { [Owner::Unknown, Owner::Mixed][event as usize % 2] };
            match slots[i] {
                Some(slot) if event == 5 => {
                    family.retire(slot, now);
                    consumers.release(slot);
                    slots[i] = None;
                }
                Some(slot) if event < 4 => consumers.set_owner(slot, owner),
                Some(_) => {}
                None => slots[i] = Some(consumers.insert(consumer(&format!("p:{i}"), owner))),
            }
            let shares: Vec<_> = slots.iter().flatten().map(|&slot| (slot, energy)).collect();
            for (slot, energy) in &shares {
                if let Some(uid) = consumers.get(*slot).and_then(|c| c.owner.uid()) {
                    truth[uid as usize] += energy;
                }
            }
            let interval = closed(second, &shares);
            family.close(&interval, &consumers, None, now, |_| {});
            users.close(&interval, &consumers, None);
            let (mut workloads, users) = (Vec::new(), rows(&users));
            family.write(&mut workloads, 0.0, 1.0);
            let rest = unlisted(&users, &workloads);
            for uid in 0..3_u32 {
                let of = |energy: u64| energy / 1000 * 1000;
                let listed: u64 = workloads.iter().filter(|r| r.uid == Some(uid)).map(|r| r.energy.0).sum();
                let others: u64 = rest.iter().filter(|r| r.uid == uid).map(|r| r.energy.0).sum();
                prop_assert_eq!(listed + others, truth[uid as usize], "user {}", uid);
                let coarse: u64 = workloads.iter().filter(|r| r.uid == Some(uid)).map(|r| of(r.energy.0)).sum::<u64>() + of(others);
                prop_assert!(coarse >= before[uid as usize], "the coarse total of {} fell from {} to {}", uid, before[uid as usize], coarse);
                before[uid as usize] = coarse;
            }
        }
    }
}
