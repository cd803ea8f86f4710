//! Every metric, named once: OpenTelemetry name, unit, kind, help and attribute keys.
//!
//! Names for Prometheus are derived from these (OpenTelemetry's compatibility rules) and written nowhere else. `hw.*` follows the
//! semantic conventions of OpenTelemetry, but for one thing: `hw.host.energy` is sent as a double, since whole joules would
//! lose the microjoules. There is no convention for the energy of a process or for carbon: `treehouse.*` is ours.

use crate::name;

/// Which metric, for code that feeds or reads one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// Energy of the whole host.
    HostEnergy,
    /// Energy of one consuming component.
    ComponentEnergy,
    /// Energy of one workload.
    WorkloadEnergy,
    /// Grams of CO2-equivalent.
    Emissions,
    /// Grid intensity in force.
    Intensity,
    /// Its age.
    IntensityAge,
    /// Decisions of policies.
    Decisions,
    /// Failed reads.
    MeterErrors,
    /// Seconds without a reading.
    MeterGap,
    /// Counters that started anew.
    MeterResets,
    /// What the program itself used.
    SelfEnergy,
    /// Half width of the host's 95 % interval.
    Uncertainty,
    /// Workloads with a series of their own, and those without.
    WorkloadSeries,
    /// Whether a source works.
    CollectorSuccess,
    /// Age of the figures.
    SampleAge,
    /// Ticks that came late.
    LateTicks,
    /// Time of the last scrape.
    ScrapeDuration,
    /// The version.
    BuildInfo,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A monotone sum since the start of the process: a counter.
    Sum,
    /// A value that goes up and down.
    Gauge,
    /// Always 1; the labels are the information.
    Info,
}

/// How many series a metric can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Bounded by hardware, zones and policies: may pass through an OpenTelemetry SDK instrument.
    Host,
    /// One for each workload: never through an SDK instrument, which drops series beyond 2 000 without an error.
    Entity,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Which one.
    pub id: Id,
    /// Its OpenTelemetry name.
    pub name: &'static str,
    /// Its unit in UCUM; empty where it has none (never `1`, which collectors turn into `_ratio`).
    pub unit: &'static str,
    /// The unit's words where the name itself carries them, because the derivation would misspell the unit.
    pub spelled_unit: Option<&'static str>,
    /// How its values behave.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
    /// Attribute keys, in the order in which labels are written.
    pub attributes: &'static [&'static str],
    /// How many series it can have.
    pub series: Series,
}

/// Every metric, in the order in which they are shown.
pub static CATALOGUE: [Metric; 18] = [
    Metric {
        attributes: &["method", "provenance"],
        ..sum(
            Id::HostEnergy,
            "hw.host.energy",
            "J",
            "Energy of the whole host, by kind of meter and provenance; the host is the sum.",
        )
    },
    Metric {
        attributes: &["hw.id", "hw.type", "hw.name", "method", "provenance"],
        ..sum(Id::ComponentEnergy, "hw.energy", "J", "Energy of a consuming component; none of them contains another.")
    },
    Metric {
        attributes: &["kind", "workload", "provenance"],
        series: Series::Entity,
        ..sum(
            Id::WorkloadEnergy,
            "treehouse.workload.energy",
            "J",
            "Energy of a workload; each joule of the host is in exactly one series.",
        )
    },
    Metric {
        attributes: &["scope", "zone", "kind"],
        ..sum(
            Id::Emissions,
            "treehouse.carbon.emissions",
            "g",
            "Carbon in grams of CO2-equivalent, as first stated; kinds of accounting never add.",
        )
    },
    Metric {
        spelled_unit: Some("grams_per_kilowatt_hour"),
        attributes: &["zone", "kind", "provider"],
        ..gauge(
            Id::Intensity,
            "treehouse.grid.intensity.grams_per_kilowatt_hour",
            "{gCO2e/kWh}",
            "Grid intensity in force, in grams of CO2-equivalent per kilowatt-hour.",
        )
    },
    Metric {
        attributes: &["zone", "provider"],
        ..gauge(Id::IntensityAge, "treehouse.grid.intensity.age", "s", "Time since the provider issued the intensity in force.")
    },
    Metric {
        attributes: &["policy", "outcome"],
        ..sum(Id::Decisions, "treehouse.decisions", "{decision}", "Decisions taken, by policy and by what became of them.")
    },
    Metric {
        attributes: &["source", "reason", "domain"],
        ..sum(Id::MeterErrors, "treehouse.meter.errors", "{error}", "Reads of a source that failed.")
    },
    Metric {
        attributes: &["source", "reason", "domain"],
        ..sum(Id::MeterGap, "treehouse.meter.gap", "s", "Time for which a domain had no reading.")
    },
    Metric {
        attributes: &["source", "reason", "domain"],
        ..sum(
            Id::MeterResets,
            "treehouse.meter.resets",
            "{reset}",
            "Times that a domain's raw counter started anew, which is a gap and never energy.",
        )
    },
    sum(Id::SelfEnergy, "treehouse.self.energy", "J", "Energy that this program itself used."),
    Metric {
        attributes: &["kind"],
        ..gauge(
            Id::Uncertainty,
            "treehouse.energy.uncertainty",
            "J",
            "Half width of the 95 % interval of the energy since process start.",
        )
    },
    Metric {
        attributes: &["state"],
        ..gauge(
            Id::WorkloadSeries,
            "treehouse.workload.series",
            "{series}",
            "Workloads that have a series of their own, and those folded into the workload other.",
        )
    },
    Metric {
        attributes: &["collector"],
        ..gauge(Id::CollectorSuccess, "treehouse.collector.success", "", "1 where the last read of a source went well, else 0.")
    },
    gauge(
        Id::SampleAge,
        "treehouse.sample.age",
        "s",
        "Time since the end of the last closed interval, up to which all energies count.",
    ),
    sum(Id::LateTicks, "treehouse.late_ticks", "{tick}", "Samples that were taken later than one period after the one before."),
    gauge(Id::ScrapeDuration, "treehouse.scrape.duration", "s", "Time that the last scrape took."),
    Metric {
        kind: Kind::Info,
        attributes: &["version"],
        ..gauge(Id::BuildInfo, "treehouse.build_info", "", "The version of this program.")
    },
];

/// The entry of a metric.
pub fn metric(id: Id) -> &'static Metric {
    let found = CATALOGUE.iter().find(|m| m.id == id);
    // every id has an entry: `every_id_has_one_entry`
    found.unwrap_or(&CATALOGUE[0])
}

const fn sum(id: Id, name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { id, name, unit, spelled_unit: None, kind: Kind::Sum, help, attributes: &[], series: Series::Host }
}

const fn gauge(id: Id, name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { kind: Kind::Gauge, ..sum(id, name, unit, help) }
}

impl Metric {
    /// The name of its samples in both Prometheus formats: `hw_host_energy_joules_total`.
    pub fn sample_name(&self) -> String {
        name::of_samples(self.name, self.unit, self.kind)
    }

    /// The name of its family in OpenMetrics: `hw_host_energy_joules`.
    pub fn family_name(&self) -> String {
        name::of_family(self.name, self.unit, self.kind)
    }

    /// The unit's words, with which the family's name ends: `joules`; `None` where it has no unit.
    pub fn unit_words(&self) -> Option<String> {
        let derived = name::unit_words(self.unit);
        match self.spelled_unit {
            Some(spelled) => Some(spelled.to_owned()),
            None => (!derived.is_empty()).then_some(derived),
        }
    }

    /// The names of its labels, in the order of its attributes.
    pub fn label_names(&self) -> impl Iterator<Item = String> + '_ {
        self.attributes.iter().map(|key| name::of_label(key))
    }

    /// True for a sum of joules, whose help says how it is sampled.
    pub fn is_energy_sum(&self) -> bool {
        self.kind == Kind::Sum && self.unit == "J"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The public contract: name, type, labels. Typed by hand, so that a change of the derivation shows.
    const CONTRACT: [(&str, Kind, &str); 18] = [
        ("hw_host_energy_joules_total", Kind::Sum, "method provenance"),
        ("hw_energy_joules_total", Kind::Sum, "hw_id hw_type hw_name method provenance"),
        ("treehouse_workload_energy_joules_total", Kind::Sum, "kind workload provenance"),
        ("treehouse_carbon_emissions_grams_total", Kind::Sum, "scope zone kind"),
        ("treehouse_grid_intensity_grams_per_kilowatt_hour", Kind::Gauge, "zone kind provider"),
        ("treehouse_grid_intensity_age_seconds", Kind::Gauge, "zone provider"),
        ("treehouse_decisions_total", Kind::Sum, "policy outcome"),
        ("treehouse_meter_errors_total", Kind::Sum, "source reason domain"),
        ("treehouse_meter_gap_seconds_total", Kind::Sum, "source reason domain"),
        ("treehouse_meter_resets_total", Kind::Sum, "source reason domain"),
        ("treehouse_self_energy_joules_total", Kind::Sum, ""),
        ("treehouse_energy_uncertainty_joules", Kind::Gauge, "kind"),
        ("treehouse_workload_series", Kind::Gauge, "state"),
        ("treehouse_collector_success", Kind::Gauge, "collector"),
        ("treehouse_sample_age_seconds", Kind::Gauge, ""),
        ("treehouse_late_ticks_total", Kind::Sum, ""),
        ("treehouse_scrape_duration_seconds", Kind::Gauge, ""),
        ("treehouse_build_info", Kind::Info, "version"),
    ];

    #[test]
    fn the_derived_names_are_the_contract() {
        let derived: Vec<(String, Kind, String)> =
            CATALOGUE.iter().map(|m| (m.sample_name(), m.kind, m.label_names().collect::<Vec<_>>().join(" "))).collect();
        let contract: Vec<(String, Kind, String)> =
            CONTRACT.iter().map(|&(name, kind, labels)| (name.into(), kind, labels.into())).collect();
        assert_eq!(derived, contract);
    }

    #[test]
    fn every_id_has_one_entry() {
        let ids: HashSet<Id> = CATALOGUE.iter().map(|m| m.id).collect();
        assert_eq!(ids.len(), CATALOGUE.len());
        for entry in &CATALOGUE {
            assert_eq!(metric(entry.id).name, entry.name);
        }
    }

    #[test]
    fn a_unit_is_the_end_of_its_family_name() {
        for metric in &CATALOGUE {
            if let Some(words) = metric.unit_words() {
                let family = metric.family_name();
                assert!(family.ends_with(&format!("_{words}")), "{family} {words}");
            }
            assert_ne!(metric.unit, "1", "{}", metric.name);
        }
    }

    #[test]
    fn no_name_or_label_is_what_promtool_refuses() {
        for metric in &CATALOGUE {
            let name = metric.sample_name();
            for word in ["counter", "gauge", "summary", "histogram"] {
                assert!(!name.contains(word), "{name} {word}");
            }
            assert!(metric.label_names().all(|l| !["le", "quantile", "job", "instance"].contains(&l.as_str())));
            assert!(metric.help.ends_with('.'), "{name}: the help is one sentence");
        }
    }

    #[test]
    fn only_workloads_are_unbounded() {
        let entity = |m: &&Metric| m.attributes.contains(&"workload");
        for metric in &CATALOGUE {
            assert_eq!(metric.series == Series::Entity, entity(&metric), "{}", metric.name);
        }
    }
}
