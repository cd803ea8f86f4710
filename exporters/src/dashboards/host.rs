//! The board of a host: watts, joules and grams, who used them, and how far each figure can be trusted.

use crate::catalogue::Id;

use super::board::{Board, Look, Panel, Target, Unit};
use super::query::{gauge, name, over_range, rate, step};

/// The board.
pub(super) fn board() -> Board {
    let mut panels = tiles();
    panels.extend(power());
    panels.extend(carbon());
    panels.extend(trust());
    panels.extend(program());
    Board {
        uid: "treehouse-host",
        title: "Treehouse / Host",
        description: "Energy and carbon of hosts and of what runs on them. Every figure says whether it is measured, attributed or modelled.",
        labels_of: name(Id::BuildInfo),
        panels,
    }
}

fn panel(title: &'static str, look: Look, unit: Unit, width: u32, description: &'static str, targets: Vec<Target>) -> Panel {
    Panel { title, description, look, unit, width, targets }
}

fn one(legend: &'static str, expression: String) -> Vec<Target> {
    vec![Target { expression, legend }]
}

fn tiles() -> Vec<Panel> {
    let all = |inner: String| format!("sum({inner})");
    let sum = |by: &str, inner: String| format!("sum by ({by}) ({inner})");
    let share = format!("{} / {}", all(rate(Id::HostEnergy, "provenance=\"measured\"")), all(rate(Id::HostEnergy, "")));
    vec![
        panel(
            "Power now",
            Look::Stat,
            Unit::Watts,
            4,
            "Mean power of the chosen hosts over the last interval, measured and modelled apart.",
            one("{{provenance}}", sum("provenance", rate(Id::HostEnergy, ""))),
        ),
        panel(
            "Energy over the range",
            Look::Stat,
            Unit::Joules,
            4,
            "Energy of the chosen hosts over the time shown, measured and modelled apart.",
            one("{{provenance}}", sum("provenance", over_range(Id::HostEnergy, ""))),
        ),
        panel(
            "Operational carbon over the range",
            Look::Stat,
            Unit::Grams,
            4,
            "Energy times grid intensity over the time shown, as first stated; as sure as the energy, which may be modelled. Average and marginal grams answer different questions and are never added.",
            one("{{kind}}", sum("kind", over_range(Id::Emissions, "scope=\"operational\""))),
        ),
        panel(
            "Embodied carbon over the range",
            Look::Stat,
            Unit::Grams,
            4,
            "The machines' share of their making over the time shown (modelled from a table).",
            one("embodied", sum("scope", over_range(Id::Emissions, "scope=\"embodied\""))),
        ),
        panel(
            "Grid intensity now",
            Look::Stat,
            Unit::GramsPerKilowattHour,
            4,
            "Grams of CO2-equivalent per kilowatt-hour in force, with zone and provider.",
            one("{{zone}} {{kind}} {{provider}}", format!("avg by (zone, kind, provider) ({})", gauge(Id::Intensity, ""))),
        ),
        panel(
            "Measured share",
            Look::Stat,
            Unit::Share,
            4,
            "The part of the power that a meter covers; the rest comes from a power model. No figure means that nothing is measured.",
            one("measured", share),
        ),
    ]
}

fn power() -> Vec<Panel> {
    let active = "kind!~\"idle|unattributed\"";
    let workloads = "instance, kind, workload, provenance";
    vec![
        panel(
            "Power by host",
            Look::Lines,
            Unit::Watts,
            12,
            "Mean power of each host, measured and modelled apart.",
            one("{{instance}} {{provenance}}", format!("sum by (instance, provenance) ({})", rate(Id::HostEnergy, ""))),
        ),
        panel(
            "Power by domain",
            Look::Stacked,
            Unit::Watts,
            12,
            "Mean power of each consuming component; none of them contains another, so they may be stacked.",
            one(
                "{{instance}} {{hw_name}} {{provenance}}",
                format!("sum by (instance, hw_name, provenance) ({})", rate(Id::ComponentEnergy, "")),
            ),
        ),
        panel(
            "Idle, active, unattributed",
            Look::Stacked,
            Unit::Watts,
            12,
            "Where the hosts' power went: to workloads, to idle processors, or to what usage cannot explain. Together it is the power of the hosts.",
            vec![
                Target { expression: format!("sum({})", rate(Id::WorkloadEnergy, active)), legend: "active" },
                Target { expression: format!("sum({})", rate(Id::WorkloadEnergy, "kind=\"idle\"")), legend: "idle" },
                Target {
                    expression: format!("sum({})", rate(Id::WorkloadEnergy, "kind=\"unattributed\"")),
                    legend: "unattributed",
                },
            ],
        ),
        panel(
            "Unattributed share",
            Look::Lines,
            Unit::Share,
            12,
            "The part of each host's power that usage cannot explain.",
            one(
                "{{instance}}",
                format!(
                    "sum by (instance) ({}) / sum by (instance) ({})",
                    rate(Id::WorkloadEnergy, "kind=\"unattributed\""),
                    rate(Id::WorkloadEnergy, "")
                ),
            ),
        ),
        panel(
            "Top 10 workloads",
            Look::Table,
            Unit::Watts,
            24,
            "The workloads that draw most now, and what they used over the time shown. The workload other stands for all that have no series of their own.",
            vec![
                Target {
                    expression: format!("topk(10, sum by ({workloads}) ({}))", rate(Id::WorkloadEnergy, active)),
                    legend: "power",
                },
                Target {
                    expression: format!(
                        "sum by ({workloads}) ({}) and topk(10, sum by ({workloads}) ({}))",
                        over_range(Id::WorkloadEnergy, active),
                        rate(Id::WorkloadEnergy, active)
                    ),
                    legend: "energy over the range",
                },
            ],
        ),
    ]
}

fn carbon() -> Vec<Panel> {
    vec![
        panel(
            "Emission rate",
            Look::Lines,
            Unit::GramsPerSecond,
            12,
            "Grams of CO2-equivalent per second, by scope and by kind of accounting.",
            one("{{instance}} {{scope}} {{kind}}", format!("sum by (instance, scope, kind) ({})", rate(Id::Emissions, ""))),
        ),
        panel(
            "Grid intensity",
            Look::Lines,
            Unit::GramsPerKilowattHour,
            12,
            "The intensity by which energy is priced.",
            one("{{zone}} {{kind}} {{provider}}", format!("avg by (zone, kind, provider) ({})", gauge(Id::Intensity, ""))),
        ),
    ]
}

fn trust() -> Vec<Panel> {
    let shares = |id| format!("sum by (provenance) ({}) / scalar(sum({}))", rate(id, ""), rate(id, ""));
    vec![
        panel(
            "Measured and modelled",
            Look::Stacked,
            Unit::Share,
            8,
            "The share of the hosts' energy that a meter covers, and the share that a model gave.",
            one("{{provenance}}", shares(Id::HostEnergy)),
        ),
        panel(
            "Provenance of workloads",
            Look::Stacked,
            Unit::Share,
            8,
            "The share of the workloads' energy that is measured, attributed (a share of a meter's reading) or modelled.",
            one("{{provenance}}", shares(Id::WorkloadEnergy)),
        ),
        panel(
            "Uncertainty",
            Look::Lines,
            Unit::Joules,
            8,
            "Half width of the 95 % interval of each host's energy since its program began to count.",
            one("{{instance}}", format!("max by (instance) ({})", gauge(Id::Uncertainty, "kind=\"host\""))),
        ),
        panel(
            "Meter gaps",
            Look::Lines,
            Unit::Seconds,
            8,
            "Seconds without a reading, with the reason. Energy of a gap is missing, never guessed.",
            one("{{instance}} {{domain}} {{reason}}", format!("sum by (instance, domain, reason) ({})", step(Id::MeterGap, ""))),
        ),
        panel(
            "Meter errors",
            Look::Lines,
            Unit::Count,
            8,
            "Reads that failed.",
            one(
                "{{instance}} {{source}} {{reason}}",
                format!("sum by (instance, source, reason) ({})", step(Id::MeterErrors, "")),
            ),
        ),
        panel(
            "Meter resets",
            Look::Lines,
            Unit::Count,
            8,
            "Raw counters that started anew: each is a gap, never energy.",
            one(
                "{{instance}} {{domain}} {{reason}}",
                format!("sum by (instance, domain, reason) ({})", step(Id::MeterResets, "")),
            ),
        ),
        panel(
            "Age of the intensity",
            Look::Lines,
            Unit::Seconds,
            8,
            "Time since the provider issued the intensity in force. A built-in yearly figure is old by nature.",
            one("{{zone}} {{provider}}", format!("max by (zone, provider) ({})", gauge(Id::IntensityAge, ""))),
        ),
        panel(
            "Age of the figures",
            Look::Lines,
            Unit::Seconds,
            8,
            "Time since the last closed interval: about one period while all is well.",
            one("{{instance}}", format!("max by (instance) ({})", gauge(Id::SampleAge, ""))),
        ),
        panel(
            "Sources that work",
            Look::Lines,
            Unit::YesNo,
            8,
            "Whether the last read of each source went well.",
            one("{{instance}} {{collector}}", format!("min by (instance, collector) ({})", gauge(Id::CollectorSuccess, ""))),
        ),
    ]
}

fn program() -> Vec<Panel> {
    vec![
        panel(
            "Own power",
            Look::Lines,
            Unit::Watts,
            6,
            "What measuring itself costs.",
            one("{{instance}}", format!("sum by (instance) ({})", rate(Id::SelfEnergy, ""))),
        ),
        panel(
            "Workload series",
            Look::Lines,
            Unit::Count,
            6,
            "Workloads with a series of their own, and those folded into other.",
            one("{{instance}} {{state}}", format!("sum by (instance, state) ({})", gauge(Id::WorkloadSeries, ""))),
        ),
        panel(
            "Scrape duration",
            Look::Lines,
            Unit::Seconds,
            6,
            "Time to write one scrape.",
            one("{{instance}}", format!("max by (instance) ({})", gauge(Id::ScrapeDuration, ""))),
        ),
        panel(
            "Late ticks",
            Look::Lines,
            Unit::Count,
            6,
            "Samples that came later than one period. They cost resolution in time, never energy.",
            one("{{instance}}", format!("sum by (instance) ({})", step(Id::LateTicks, ""))),
        ),
        panel(
            "Decisions",
            Look::Lines,
            Unit::Count,
            12,
            "Decisions of policies, by what became of them.",
            one("{{policy}} {{outcome}}", format!("sum by (policy, outcome) ({})", step(Id::Decisions, ""))),
        ),
        panel(
            "Versions",
            Look::Lines,
            Unit::Count,
            12,
            "Programs that answer, by version.",
            one("{{version}}", format!("count by (version) ({})", gauge(Id::BuildInfo, ""))),
        ),
    ]
}
