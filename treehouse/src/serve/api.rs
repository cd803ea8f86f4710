//! The answers of `/v1/…`: what a reader may see of a snapshot, as JSON.

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

use super::access::Reading;

/// Why the host is null for a reader who sees one user's energy.
const NOT_THE_HOST: &str =
    "the energy of one user alone: the host's is for root, serve.trusted_group and the token of serve.raw_token_file";

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
    #[serde(flatten)]
    own: Option<OwnEnergy>,
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

/// Only where the answer is of one user, and not of the host.
#[derive(Debug, Serialize, JsonSchema)]
struct OwnEnergy {
    uid: u32,
    /// What that user's processes used, those that ended included; null where no energy is known to be theirs.
    energy_j: Option<f64>,
    /// Why the host is null.
    host_reason: &'static str,
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
    /// Power integrated over time, not a counter of energy.
    integrated: bool,
    /// More than one wrap may lie between two readings.
    lower_bound: bool,
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

/// The word for how fine the figures are.
const fn quality(view: View) -> &'static str {
    match view {
        View::Coarse => "coarsened",
        View::Fine => "fine",
    }
}

impl Energy {
    pub(super) fn of(reading: &Reading) -> Self {
        let (s, view) = (&*reading.snapshot, reading.view);
        let own = reading.user.map(|_| (!s.workloads.is_empty()).then(|| own_energy_j(s, view)));
        let known = own.map_or(s.ready && !s.host.is_empty(), |own| own.is_some());
        let operational = known.then(|| view.grams(s.carbon.operational_g)).filter(|_| s.carbon.unpriced == Microjoules::ZERO);
        let embodied = s.carbon.embodied_g.filter(|_| s.ready);
        let domain = |d: &carbon_api::snapshot::DomainRow| Domain {
            source: d.info.source.name(),
            domain: d.info.name.to_string(),
            kind: d.info.kind.name(),
            energy_j: view.energy(d.energy).joules().value(),
            power_w: d.power_w.map(|w| shown_power(w, view)),
            provenance: d.info.provenance().name(),
            uncertainty_j: view.joules(d.uncertainty_j),
            in_host: d.in_host,
            integrated: d.info.integrated,
            lower_bound: d.lower_bound,
        };
        let gap = |g: &carbon_api::snapshot::GapRow| Gap {
            source: g.source.name(),
            domain: g.domain.to_string(),
            reason: g.reason.name(),
            from: g.from,
            until: g.until,
        };
        let of_rows = || s.workloads.iter().map(|r| r.provenance).max();
        let mut warnings: Vec<String> = s.warnings.iter().map(ToString::to_string).collect();
        if let (Some(uid), Some(None)) = (reading.user, own) {
            warnings.push(format!(
                "no energy is known to be user {uid}'s: no process of theirs alone, or group of such processes, used any so far"
            ));
        }
        Self {
            since: s.since,
            until: s.until,
            durable_until: s.recorded.and_then(|r| r.durable_until),
            own: reading.user.zip(own).map(|(uid, energy_j)| OwnEnergy { uid, energy_j, host_reason: NOT_THE_HOST }),
            host_energy_j: host_j(s, view),
            host_power_w: s.host_power_w().map(|w| shown_power(w, view)),
            uncertainty_j: known.then(|| view.joules(s.uncertainty_j)),
            provenance: s.host_provenance().or_else(of_rows).filter(|_| known).map(Provenance::name),
            coverage: s.coverage,
            quality: quality(view),
            period_s: s.period_s,
            carbon_g: CarbonSum { operational, embodied, total: operational.zip(embodied).map(|(o, m)| o + m) },
            domains: s.domains.iter().filter(|_| s.ready).map(domain).collect(),
            gaps: s.gaps.iter().map(gap).collect(),
            recorded: s.recorded.map(|r| RecordedSum {
                since: r.since,
                until: r.durable_until,
                host_energy_j: view.energy(r.host_energy).joules().value(),
            }),
            warnings,
        }
    }
}

/// Energy of the host, once an interval is closed and where anything covers it.
fn host_j(s: &Snapshot, view: View) -> Option<f64> {
    (s.ready && !s.host.is_empty()).then(|| view.pick(s.host_energy(), s.host_coarse()).joules().value())
}

/// One user's energy is the sum of the rows that are shown of it.
fn own_energy_j(s: &Snapshot, view: View) -> f64 {
    s.workloads.iter().map(|r| view.energy(r.energy)).sum::<Microjoules>().joules().value()
}

/// A mean power tells an energy: milliwatts are as fine as millijoules at one value a second.
fn round_power(watts: f64) -> f64 {
    (watts * 1000.0).round() / 1000.0
}

fn shown_power(watts: f64, view: View) -> f64 {
    match view {
        View::Coarse => round_power(watts),
        View::Fine => watts,
    }
}

/// `GET /v1/workloads`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Workloads {
    #[schemars(with = "String")]
    until: Timestamp,
    by: &'static str,
    #[serde(flatten)]
    own: Option<OwnRows>,
    host_energy_j: Option<f64>,
    quality: &'static str,
    idle_policy: &'static str,
    rows: Vec<Workload>,
}

/// Only where the rows are one user's, and not the host's.
#[derive(Debug, Serialize, JsonSchema)]
struct OwnRows {
    uid: u32,
    /// Why the host is null.
    host_reason: &'static str,
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
    pub(super) fn of(reading: &Reading, cut: Cut) -> Self {
        let (s, view) = (&*reading.snapshot, reading.view);
        let mut rows: Vec<Workload> = Vec::new();
        let mut places: BTreeMap<(WorkloadKind, String, &str), usize> = BTreeMap::new();
        for r in &s.workloads {
            let (kind, name) = cut.row_of(r);
            let next = Workload::of(r, kind, &name, s.idle_policy, view);
            match places.entry((kind, name, r.provenance.name())) {
                std::collections::btree_map::Entry::Occupied(place) => rows[*place.get()].absorb(&next, view),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(rows.len());
                    rows.push(next);
                }
            }
        }
        Self {
            until: s.until,
            by: cut.name(),
            own: reading.user.map(|uid| OwnRows { uid, host_reason: NOT_THE_HOST }),
            host_energy_j: host_j(s, view),
            quality: quality(view),
            idle_policy: s.idle_policy,
            rows,
        }
    }
}

impl Workload {
    fn of(r: &WorkloadRow, kind: WorkloadKind, name: &str, idle_policy: &'static str, view: View) -> Self {
        let energy_j = view.energy(r.energy).joules().value();
        Self {
            kind: kind.name(),
            workload: name.to_owned(),
            energy_j,
            inclusive_energy_j: energy_j,
            power_w: shown_power(r.power_w, view),
            carbon_g: r.carbon_g.map(|g| view.grams(g)),
            cpu_s: r.cpu_s,
            provenance: r.provenance.name(),
            uncertainty_j: view.joules(r.uncertainty_j),
            idle_policy,
            started_at: r.started_at,
            gone_at: r.gone_at,
        }
    }

    fn absorb(&mut self, other: &Self, view: View) {
        // a sum of rounded figures is as round as they are, but for the last bits of a float
        let rounded = |sum: f64, steps: f64| if view == View::Coarse { (sum * steps).round() / steps } else { sum };
        // in whole microjoules, so that the sum stays the sum
        self.energy_j = ((self.energy_j * 1e6).round() + (other.energy_j * 1e6).round()) / 1e6;
        self.inclusive_energy_j = self.energy_j;
        self.power_w = rounded(self.power_w + other.power_w, 1e3);
        self.carbon_g = self.carbon_g.zip(other.carbon_g).map(|(a, b)| rounded(a + b, 1e6)).or(self.carbon_g).or(other.carbon_g);
        self.cpu_s += other.cpu_s;
        self.uncertainty_j = rounded(self.uncertainty_j + other.uncertainty_j, 1e3);
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
