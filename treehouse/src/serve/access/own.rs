//! What of a snapshot is one user's: the series of that user's processes and groups, and one row for the rest of theirs.

use carbon_api::snapshot::{CarbonRow, Snapshot, UserRow, WorkloadRow};
use carbon_api::units::Microjoules;
use carbon_api::usage::WorkloadKind;

/// Name of the row for what has no series of its own.
const REST: &str = "other";

/// A snapshot of one user's energy alone. It is not `ready`: nothing is known of the host.
///
/// Where the user is not in `rests`, no energy is known to be theirs, and there are no rows.
pub(super) fn of(s: &Snapshot, rests: &[UserRow], uid: u32) -> Snapshot {
    let host_j = s.host_energy().joules().value();
    let relative = if host_j > 0.0 { s.uncertainty_j / host_j } else { 0.0 };
    let mut workloads: Vec<WorkloadRow> = s.workloads.iter().filter(|r| r.uid == Some(uid)).cloned().collect();
    let series = workloads.len();
    workloads.extend(rests.iter().filter(|r| r.uid == uid).map(|rest| WorkloadRow {
        kind: WorkloadKind::Process,
        workload: REST.into(),
        cgroup: None,
        uid: Some(uid),
        provenance: rest.provenance,
        energy: rest.energy,
        carbon_g: rest.carbon_g,
        power_w: rest.power_w,
        cpu_s: rest.cpu_s,
        uncertainty_j: relative * rest.energy.joules().value(),
        started_at: s.since,
        gone_at: None,
    }));
    let unpriced: Microjoules = workloads.iter().filter(|r| r.carbon_g.is_none()).map(|r| r.energy).sum();
    Snapshot {
        sequence: s.sequence,
        until: s.until,
        until_ns: s.until_ns,
        interval_s: s.interval_s,
        uncertainty_j: workloads.iter().map(|r| r.uncertainty_j).sum(),
        coverage: s.coverage,
        series: (series, 0),
        idle_policy: s.idle_policy,
        carbon: CarbonRow {
            zone: s.carbon.zone.clone(),
            kind: s.carbon.kind,
            operational_g: workloads.iter().filter_map(|r| r.carbon_g).sum(),
            embodied_g: None,
            unpriced,
        },
        intensity: s.intensity.clone(),
        late_ticks: s.late_ticks,
        workloads,
        ..Snapshot::empty(s.since, s.period_s)
    }
}
