//! The answers of `/v1/…`: one snapshot as JSON, coarsened to whole millijoules for readers over TCP.

use std::collections::BTreeMap;
use std::sync::Mutex;

use carbon_api::domain::Provenance;
use carbon_api::snapshot::{Snapshot, WorkloadRow};
use carbon_api::units::Microjoules;
use carbon_api::usage::WorkloadKind;
use exporters::View;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// What unprivileged readers see.
const VIEW: View = View::Coarse;

/// Decisions since the start, by policy and outcome.
pub(super) type Decisions = Mutex<BTreeMap<(String, String), u64>>;

/// `GET /v1/energy`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Energy {
    #[schemars(with = "String")]
    since: Timestamp,
    #[schemars(with = "String")]
    until: Timestamp,
    #[schemars(with = "Option<String>")]
    durable_until: Option<Timestamp>,
    host_energy_j: Option<f64>,
    host_power_w: Option<f64>,
    uncertainty_j: Option<f64>,
    provenance: Option<&'static str>,
    coverage: f64,
    quality: &'static str,
    period_s: f64,
    carbon_g: CarbonSum,
    domains: Vec<Domain>,
    gaps: Vec<Gap>,
    recorded: Option<RecordedSum>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CarbonSum {
    operational: Option<f64>,
    embodied: Option<f64>,
    total: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Domain {
    source: &'static str,
    domain: String,
    kind: &'static str,
    energy_j: f64,
    power_w: Option<f64>,
    provenance: &'static str,
    uncertainty_j: f64,
    in_host: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Gap {
    source: &'static str,
    domain: String,
    reason: &'static str,
    #[schemars(with = "String")]
    from: Timestamp,
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RecordedSum {
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
    host_energy_j: f64,
}

fn joules(energy: Microjoules) -> f64 {
    energy.coarse().joules().value()
}

impl Energy {
    pub(super) fn of(s: &Snapshot) -> Self {
        let known = s.ready && !s.host.is_empty();
        let operational = known.then(|| VIEW.grams(s.carbon.operational_g)).filter(|_| s.carbon.unpriced == Microjoules::ZERO);
        let embodied = s.carbon.embodied_g.filter(|_| s.ready);
        let domain = |d: &carbon_api::snapshot::DomainRow| Domain {
            source: d.info.source.name(),
            domain: d.info.name.to_string(),
            kind: d.info.kind.name(),
            energy_j: joules(d.energy),
            power_w: d.power_w.map(round_power),
            provenance: d.info.source.provenance().name(),
            uncertainty_j: VIEW.joules(d.uncertainty_j),
            in_host: d.in_host,
        };
        let gap = |g: &carbon_api::snapshot::GapRow| Gap {
            source: g.source.name(),
            domain: g.domain.to_string(),
            reason: g.reason.name(),
            from: g.from,
            until: g.until,
        };
        Self {
            since: s.since,
            until: s.until,
            durable_until: s.recorded.and_then(|r| r.durable_until),
            host_energy_j: known.then(|| s.host_coarse().joules().value()),
            host_power_w: s.host_power_w().map(round_power),
            uncertainty_j: known.then(|| VIEW.joules(s.uncertainty_j)),
            provenance: s.host_provenance().map(Provenance::name),
            coverage: s.coverage,
            quality: "coarsened",
            period_s: s.period_s,
            carbon_g: CarbonSum { operational, embodied, total: operational.zip(embodied).map(|(o, m)| o + m) },
            domains: s.domains.iter().map(domain).collect(),
            gaps: s.gaps.iter().map(gap).collect(),
            recorded: s.recorded.map(|r| RecordedSum {
                since: r.since,
                until: r.durable_until,
                host_energy_j: joules(r.host_energy),
            }),
            warnings: s.warnings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A mean power tells an energy: milliwatts are as fine as millijoules at one value a second.
fn round_power(watts: f64) -> f64 {
    (watts * 1000.0).round() / 1000.0
}

/// `GET /v1/workloads`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Workloads {
    #[schemars(with = "String")]
    until: Timestamp,
    by: &'static str,
    host_energy_j: Option<f64>,
    idle_policy: &'static str,
    rows: Vec<Workload>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Workload {
    kind: &'static str,
    workload: String,
    energy_j: f64,
    inclusive_energy_j: f64,
    power_w: f64,
    carbon_g: Option<f64>,
    cpu_s: f64,
    provenance: &'static str,
    uncertainty_j: f64,
    idle_policy: &'static str,
    #[schemars(with = "String")]
    started_at: Timestamp,
    #[schemars(with = "Option<String>")]
    gone_at: Option<Timestamp>,
}

/// Another cut of the same energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The series of the metrics.
    Partition,
    /// Each process; groups that are counted as a whole stay whole.
    Process,
    /// Processes under the group that they sit in.
    Cgroup,
    /// Containers, and the rest of the host as one row of each kind.
    Container,
    /// Spans, of which this version records none: the rest as one row of each kind.
    Span,
    /// Payers, of which this version records none: the rest as one row of each kind.
    Payer,
}

impl Cut {
    pub(super) const NAMES: &'static str = "partition, process, cgroup, container, span, payer";

    pub(super) fn parse(name: Option<&str>) -> Option<Self> {
        Some(match name {
            None | Some("partition") => Self::Partition,
            Some("process") => Self::Process,
            Some("cgroup") => Self::Cgroup,
            Some("container") => Self::Container,
            Some("span") => Self::Span,
            Some("payer") => Self::Payer,
            Some(_) => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Process => "process",
            Self::Cgroup => "cgroup",
            Self::Container => "container",
            Self::Span => "span",
            Self::Payer => "payer",
        }
    }

    /// Kind and name of the row that a series goes to.
    fn row_of(self, r: &WorkloadRow) -> (WorkloadKind, String) {
        let stays = matches!(r.kind, WorkloadKind::Idle | WorkloadKind::Unattributed)
            || (r.kind == WorkloadKind::Container && matches!(self, Self::Cgroup | Self::Container));
        let own = || (r.kind, r.workload.to_string());
        match self {
            Self::Partition | Self::Process => own(),
            _ if stays => own(),
            Self::Cgroup => match &r.cgroup {
                Some(group) => (WorkloadKind::Cgroup, group.to_string()),
                None if r.kind == WorkloadKind::Process => (WorkloadKind::Cgroup, "/".into()),
                None => own(),
            },
            Self::Container => (r.kind, "host".into()),
            Self::Span => (r.kind, "no span".into()),
            Self::Payer => (r.kind, "no payer".into()),
        }
    }
}

impl Workloads {
    pub(super) fn of(s: &Snapshot, cut: Cut) -> Self {
        let mut rows: Vec<Workload> = Vec::new();
        let mut places: BTreeMap<(WorkloadKind, String, &str), usize> = BTreeMap::new();
        for r in &s.workloads {
            let (kind, name) = cut.row_of(r);
            let next = Workload::of(r, kind, &name, s.idle_policy);
            match places.entry((kind, name, r.provenance.name())) {
                std::collections::btree_map::Entry::Occupied(place) => rows[*place.get()].absorb(&next),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(rows.len());
                    rows.push(next);
                }
            }
        }
        let host_energy_j = (s.ready && !s.host.is_empty()).then(|| s.host_coarse().joules().value());
        Self { until: s.until, by: cut.name(), host_energy_j, idle_policy: s.idle_policy, rows }
    }
}

impl Workload {
    fn of(r: &WorkloadRow, kind: WorkloadKind, name: &str, idle_policy: &'static str) -> Self {
        Self {
            kind: kind.name(),
            workload: name.to_owned(),
            energy_j: joules(r.energy),
            inclusive_energy_j: joules(r.energy),
            power_w: round_power(r.power_w),
            carbon_g: r.carbon_g.map(|g| VIEW.grams(g)),
            cpu_s: r.cpu_s,
            provenance: r.provenance.name(),
            uncertainty_j: VIEW.joules(r.uncertainty_j),
            idle_policy,
            started_at: r.started_at,
            gone_at: r.gone_at,
        }
    }

    fn absorb(&mut self, other: &Self) {
        // in whole millijoules, so that the sum stays the sum
        self.energy_j = ((self.energy_j * 1000.0).round() + (other.energy_j * 1000.0).round()) / 1000.0;
        self.inclusive_energy_j = self.energy_j;
        self.power_w += other.power_w;
        self.carbon_g = self.carbon_g.zip(other.carbon_g).map(|(a, b)| a + b).or(self.carbon_g).or(other.carbon_g);
        self.cpu_s += other.cpu_s;
        self.uncertainty_j += other.uncertainty_j;
        self.started_at = self.started_at.min(other.started_at);
        self.gone_at = self.gone_at.zip(other.gone_at).map(|(a, b)| a.max(b));
    }
}

/// `GET /v1/power`: the page's chart.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Power {
    pub(super) period_s: f64,
    pub(super) points: Vec<PowerPoint>,
}

/// Mean power of one stretch.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PowerPoint {
    #[schemars(with = "String")]
    at: Timestamp,
    power_w: Option<f64>,
}

impl PowerPoint {
    pub(super) fn new((at, power_w): (Timestamp, Option<f64>)) -> Self {
        Self { at, power_w: power_w.map(round_power) }
    }
}

/// `GET /v1/policies`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Policies {
    pub(super) policies: Vec<PolicyRow>,
}

/// One policy that can decide.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PolicyRow {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}
