//! Recording rules and alerts, named `level:metric:operations`.

use std::fmt::Write;

use crate::catalogue::{Id, metric};

use super::query::series;
use super::yaml::{GENERATED, quoted};

/// A series computed by Prometheus itself.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) record: String,
    pub(super) expression: String,
}

/// A condition that somebody should hear of.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) name: &'static str,
    pub(super) expression: String,
    pub(super) lasting: &'static str,
    pub(super) severity: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
}

/// Where a person goes on: the page of the daemon itself lists every source with its state and the mend.
pub(super) const RUNBOOK: &str = "http://{{ $labels.instance }}/";

/// The labels that tell the series of a host or of the workload family apart.
const HOST_LABELS: &str = "method, provenance";
const WORKLOAD_LABELS: &str = "kind, workload, provenance";

/// `rules/recording.yml`.
pub(super) fn recording_file() -> String {
    let mut text = format!(
        "{GENERATED}# A rate over 1m needs a scrape interval of at most 15s.\ngroups:\n  - name: treehouse-recording\n    rules:\n"
    );
    for rule in recordings() {
        let _ = write!(text, "      - record: {}\n        expr: {}\n", rule.record, quoted(&rule.expression));
    }
    text
}

/// `rules/alerts.yml`.
pub(super) fn alerts_file() -> String {
    let mut text = format!(
        "{GENERATED}# TreehouseDown takes the scrape job to be called treehouse.\ngroups:\n  - name: treehouse-alerts\n    rules:\n"
    );
    for alert in alerts() {
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {}\n        annotations:\n          \
             summary: {}\n          description: {}\n          runbook_url: {}\n",
            alert.name,
            quoted(&alert.expression),
            alert.lasting,
            alert.severity,
            quoted(alert.summary),
            quoted(alert.description),
            quoted(RUNBOOK),
        );
    }
    text
}

/// Every recording rule. `gone` is in none of them: see the selectors.
pub(super) fn recordings() -> Vec<Recording> {
    let rule = |record, expression| Recording { record, expression };
    let family = |id| metric(id).family_name();
    let host = |matchers: &str, window: &str| {
        format!("sum without ({HOST_LABELS}) (rate({}[{window}]))", series(Id::HostEnergy, matchers))
    };
    vec![
        rule(format!("instance:{}:rate1m", family(Id::HostEnergy)), host("", "1m")),
        rule(
            format!("instance_workload:{}:rate1m", family(Id::WorkloadEnergy)),
            format!("sum without (provenance) (rate({}[1m]))", series(Id::WorkloadEnergy, "")),
        ),
        rule(
            format!("instance:{}:rate1h", family(Id::Emissions)),
            format!("sum without (kind, zone) (rate({}[1h]))", series(Id::Emissions, "kind=\"average\"")),
        ),
        rule(
            MEASURED.to_owned(),
            // a host without any measured series has a share of 0, not none
            format!("({} or 0 * {}) / {}", host("provenance=\"measured\"", "5m"), host("", "5m"), host("", "5m")),
        ),
    ]
}

/// The recorded share of measured energy.
const MEASURED: &str = "instance:treehouse_measured:ratio5m";

/// Every alert.
pub(super) fn alerts() -> Vec<Alert> {
    let mut alerts = alerts_of_meters();
    alerts.extend(alerts_of_figures());
    alerts
}

fn alerts_of_meters() -> Vec<Alert> {
    // a fault's series begins at its first fault: `increase` does not see that one, `unless … offset` does
    let grew = |id, matchers: &str| {
        let faults = series(id, matchers);
        format!("(increase({faults}[10m]) > 0 or ({faults} unless {faults} offset 10m)) > 0")
    };
    vec![
        Alert {
            name: "TreehouseDown",
            expression: "up{job=\"treehouse\"} == 0".to_owned(),
            lasting: "5m",
            severity: "critical",
            summary: "Treehouse on {{ $labels.instance }} does not answer.",
            description: "Prometheus could not scrape it for five minutes: energy of this time will be missing from every rate, not from the counters, if the program still runs.",
        },
        Alert {
            name: "TreehouseMeterErrors",
            expression: grew(Id::MeterErrors, ""),
            lasting: "1m",
            severity: "warning",
            summary: "Reads of {{ $labels.source }} fail on {{ $labels.instance }}.",
            description: "Domain {{ $labels.domain }}, reason {{ $labels.reason }}. The list of sources names the cause and the mend.",
        },
        Alert {
            name: "TreehouseMeterGap",
            expression: grew(Id::MeterGap, "reason!=\"suspend\""),
            lasting: "1m",
            severity: "warning",
            summary: "Domain {{ $labels.domain }} on {{ $labels.instance }} has gaps.",
            description: "No reading for some time, reason {{ $labels.reason }}. Energy of a gap may be missing from all totals.",
        },
        Alert {
            name: "TreehouseFiguresStale",
            expression: format!("{} > 60", series(Id::SampleAge, "")),
            lasting: "1m",
            severity: "warning",
            summary: "The figures of {{ $labels.instance }} stand still.",
            description: "The program answers, but no interval was closed for a minute: its meters or its sampling thread hang.",
        },
    ]
}

fn alerts_of_figures() -> Vec<Alert> {
    let workloads = |wrapped: String| format!("sum without ({WORKLOAD_LABELS}) ({wrapped})");
    let host_level = format!("sum without ({HOST_LABELS}) ({})", series(Id::HostEnergy, ""));
    // the whole family, `gone` with it: a level, not a rate
    let family_level = workloads(metric(Id::WorkloadEnergy).sample_name());
    vec![
        Alert {
            name: "TreehouseIntensityStale",
            expression: format!("{} > 7200", series(Id::IntensityAge, "provider!~\"fixed|static\"")),
            lasting: "10m",
            severity: "warning",
            summary: "The grid intensity of {{ $labels.zone }} on {{ $labels.instance }} is more than two hours old.",
            description: "Provider {{ $labels.provider }} issued nothing since. Energy is priced with the last value it gave.",
        },
        Alert {
            name: "TreehouseUnattributedHigh",
            expression: format!(
                "{} / {} > 0.3",
                workloads(format!("rate({}[5m])", series(Id::WorkloadEnergy, "kind=\"unattributed\""))),
                workloads(format!("rate({}[5m])", series(Id::WorkloadEnergy, "")))
            ),
            lasting: "1h",
            severity: "warning",
            summary: "More than 30 % of the energy of {{ $labels.instance }} belongs to nobody.",
            description: "Usage does not explain it: short-lived processes that only taskstats or cgroups can see, or energy beside the processors.",
        },
        Alert {
            name: "TreehousePartitionBroken",
            expression: format!("abs({family_level} - {host_level}) > 0.001 + 1e-9 * {host_level}"),
            lasting: "5m",
            severity: "critical",
            summary: "The workloads of {{ $labels.instance }} do not sum to the host.",
            description: "Each joule must be in exactly one series. This is a defect of the program: please report it with its version.",
        },
        Alert {
            name: "TreehouseModelOnly",
            expression: format!("{MEASURED} == 0"),
            lasting: "15m",
            severity: "info",
            summary: "Nothing on {{ $labels.instance }} is measured.",
            description: "Every figure comes from a power model. The list of sources names the mend, if there is one.",
        },
        Alert {
            name: "TreehouseOtelOverflow",
            expression: "count by (job, instance) ({__name__=~\"(hw|treehouse)_.+\", otel_metric_overflow=\"true\"}) > 0"
                .to_owned(),
            lasting: "5m",
            severity: "critical",
            summary: "An OpenTelemetry SDK dropped series of {{ $labels.instance }}.",
            description: "A stream passed its limit of series, and the overflow point is not their sum: totals over this stream are wrong.",
        },
    ]
}
