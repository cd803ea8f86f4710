//! One machine for all tests, and a strict parser of what we write.

use std::sync::Arc;

use carbon_api::counter::{CounterSpec, Wrap};
use carbon_api::domain::{DomainInfo, DomainKind, Provenance, Source};
use carbon_api::grid::{Intensity, IntensityKind};
use carbon_api::snapshot::{CarbonRow, DomainRow, FaultRow, HostRow, Snapshot, WorkloadRow};
use carbon_api::units::{GramsPerKwh, Microjoules};
use carbon_api::usage::WorkloadKind;
use exporters::{CollectorRow, Context, DecisionRow};
use jiff::Timestamp;

/// An instant of the fixed machine.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A row of the workload family.
pub(crate) fn workload(kind: WorkloadKind, name: &str, microjoules: u64) -> WorkloadRow {
    WorkloadRow {
        kind,
        workload: name.into(),
        cgroup: None,
        uid: None,
        provenance: Provenance::Attributed,
        energy: Microjoules(microjoules),
        carbon_g: Some(0.0),
        power_w: 1.5,
        cpu_s: 2.0,
        uncertainty_j: 0.1,
        started_at: at(0),
        gone_at: None,
    }
}

/// The workloads of the fixed machine, some with names that attack a format.
pub(crate) fn workloads() -> Vec<WorkloadRow> {
    vec![
        workload(WorkloadKind::Process, "nginx:812", 123_456_789),
        workload(WorkloadKind::Process, "quote\"back\\slash\nline:13", 1_000_400),
        workload(WorkloadKind::Process, "h\u{e9}llo \u{1f332}{a=\"b\"}:14", 2_000_700),
        workload(WorkloadKind::Cgroup, "/system.slice/cron.service", 1),
        workload(WorkloadKind::Container, "9f2d1c", 42_000_000),
        workload(WorkloadKind::Process, "other", 777_777),
        workload(WorkloadKind::Process, "gone", 5_000_000),
        workload(WorkloadKind::Idle, "idle", 240_000_000),
        workload(WorkloadKind::Unattributed, "cpu", 12_345),
    ]
}

/// A machine with one package and its memory, after ten minutes.
pub(crate) fn machine() -> Snapshot {
    with_workloads(workloads())
}

/// The same machine with other workloads; its host is their sum, finely and coarsely.
pub(crate) fn with_workloads(workloads: Vec<WorkloadRow>) -> Snapshot {
    let fine: Microjoules = workloads.iter().map(|w| w.energy).sum();
    let coarse = workloads.iter().map(|w| w.energy.coarse()).sum();
    let package = Microjoules(fine.0 / 4 * 3);
    let fault = |amount| FaultRow { source: "rapl_powercap", domain: "dram-0".into(), reason: "failed_read", amount };
    Snapshot {
        sequence: 600,
        since: at(0),
        until: at(600),
        ready: true,
        interval_s: 1.0,
        host: vec![HostRow { method: Source::RaplPowercap, provenance: Provenance::Measured, energy: fine, coarse }],
        uncertainty_j: 21.250_000_5,
        coverage: 0.99,
        domains: vec![
            domain(DomainKind::Package, "package-0", package, true),
            domain(DomainKind::Core, "core-0", Microjoules(package.0 / 2), false),
            domain(DomainKind::Dram, "dram-0", fine.saturating_sub(package), true),
        ],
        series: (6, 3),
        workloads,
        carbon: CarbonRow {
            zone: "GB".into(),
            kind: "average",
            operational_g: 0.054_687_512_345,
            embodied_g: Some(4.75),
            unpriced: Microjoules::ZERO,
        },
        intensity: Some(intensity()),
        errors: vec![fault(5)],
        gap_seconds: vec![FaultRow { source: "rapl_powercap", domain: "dram-0".into(), reason: "failed_read", amount: 5.25 }],
        resets: vec![FaultRow { reason: "fall", ..fault(1) }],
        self_energy: Microjoules(1_234_567),
        late_ticks: 2,
        ..Snapshot::empty(at(0), 1.0)
    }
}

fn domain(kind: DomainKind, name: &str, energy: Microjoules, leaf: bool) -> DomainRow {
    DomainRow {
        info: Arc::new(DomainInfo {
            source: Source::RaplPowercap,
            name: name.into(),
            device: "socket0".into(),
            kind,
            contained_in: None,
            duplicate_of: None,
            counter: CounterSpec::new(Wrap::Units { unit_nj: 61_035 }),
            update_s: 0.001,
            integrated: false,
            on_module: false,
            accuracy: 0.05,
        }),
        energy,
        uncertainty_j: 0.5,
        power_w: Some(40.0),
        in_host: leaf,
        leaf,
        lower_bound: false,
    }
}

fn intensity() -> Intensity {
    Intensity {
        zone: "GB".into(),
        zone_asked: "GB".into(),
        g_per_kwh: GramsPerKwh::new(475.5),
        kind: IntensityKind::Average,
        factor_type: Some("lifecycle"),
        provider: "fixed",
        method: "fixed",
        from: at(0),
        until: at(3600),
        as_of: at(0),
        issued_at: at(-60),
        stale: false,
        estimated: false,
        uncertainty_g_per_kwh: 0.0,
        fallbacks: Vec::new(),
        warnings: Vec::new(),
    }
}

/// What the program adds, at the instant of the fixed scrape.
pub(crate) fn context() -> Context<'static> {
    Context {
        scrape_duration_s: Some(0.000_75),
        collectors: &[
            CollectorRow { collector: "rapl_powercap", success: true },
            CollectorRow { collector: "usage/process", success: false },
        ],
        decisions: &[DecisionRow { policy: "shift", outcome: "now", count: 3 }],
        ..Context::new("0.1.0", at(601))
    }
}
