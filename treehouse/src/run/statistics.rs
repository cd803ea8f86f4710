//! Several runs of one command: median, least and most of each figure.

use serde::Serialize;

use super::report::Report;

/// The figures of one run, or the medians of several with every run beside them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    pub(super) report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statistics: Option<Statistics>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<Report>,
}

/// Spread of the figures over the runs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Statistics {
    pub(super) n: usize,
    pub(super) wall_s: Spread,
    pub(super) cpu_s: Spread,
    pub(super) energy_j: Option<Spread>,
    pub(super) host_energy_j: Option<Spread>,
    pub(super) operational_g: Option<Spread>,
}

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values[values.len() / 2];
        let median = if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) };
        Some(Self { median, min, max })
    }
}

/// One run is its own summary. Of several the run of median energy (of median time, without energy) speaks for all.
pub(super) fn summary(mut runs: Vec<Report>) -> Summary {
    let all = |f: &dyn Fn(&Report) -> Option<f64>| {
        let values: Option<Vec<f64>> = runs.iter().map(f).collect();
        values.and_then(|v| Spread::of(v.into_iter()))
    };
    let statistics = Statistics {
        n: runs.len(),
        wall_s: Spread::of(runs.iter().map(|r| r.wall_s)).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 }),
        cpu_s: Spread::of(runs.iter().map(|r| r.cpu_s)).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 }),
        energy_j: all(&|r| r.energy_j),
        host_energy_j: all(&|r| r.host_energy_j),
        operational_g: all(&|r| r.carbon_g.operational),
    };
    let figure = |r: &Report| r.energy_j.unwrap_or(r.wall_s);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|&a, &b| figure(&runs[a]).total_cmp(&figure(&runs[b])));
    // a failed run ends the series and is the one to report
    let last = runs.len() - 1;
    let middle = if runs[last].exit_code == 0 { order[last / 2] } else { last };
    if runs.len() == 1 {
        return Summary { report: runs.remove(0), statistics: None, runs: Vec::new() };
    }
    Summary { report: runs[middle].clone(), statistics: Some(statistics), runs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0].into_iter()), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([5.0, 1.0, 3.0].into_iter()), Some(Spread { median: 3.0, min: 1.0, max: 5.0 }));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
