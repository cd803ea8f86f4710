//! A forecast as the step function of one job: clipped to its time, with a running integral and its gaps.

use jiff::{SignedDuration, Timestamp};

use crate::grid::{Point, forecast};
use crate::units::GramsPerKwh;

/// The intensity from the release of a job to its deadline. Times inside are nanoseconds from the release.
#[derive(Clone, Debug)]
pub struct Steps {
    release: Timestamp,
    pieces: Vec<Piece>,
}

/// A stretch with one value, or without one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) from: i64,
    pub(super) until: i64,
    /// g/kWh; `None` in a gap.
    pub(super) value: Option<f64>,
    /// The integral from the release to `from`, in g/kWh x s, gaps counted as nothing.
    before: f64,
    /// How many gaps lie before this piece.
    gaps_before: u32,
}

impl Steps {
    /// Clips points (in time order, without overlap) to `[release, deadline)`. What follows the last point is no gap: the
    /// step function ends there, and every plan with it.
    pub fn new(points: &[Point], release: Timestamp, deadline: Timestamp) -> Self {
        let mut steps = Self { release, pieces: Vec::with_capacity(points.len()) };
        for point in forecast::overlapping(points, release, deadline) {
            let from = steps.offset(point.from.max(release));
            let until = steps.offset(point.until.min(deadline));
            if steps.length() < from {
                steps.push(from, None);
            }
            steps.push(until, Some(point.g_per_kwh.value()));
        }
        steps
    }

    /// The first instant at which the job may run.
    pub fn release(&self) -> Timestamp {
        self.release
    }

    /// The deadline, or the end of the forecast where that is earlier.
    pub fn end(&self) -> Timestamp {
        self.instant(self.length())
    }

    /// Nothing is known about the time of the job.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The same value throughout, and no gap: waiting gains nothing.
    pub fn is_flat(&self) -> bool {
        let first = self.pieces.first().and_then(|piece| piece.value);
        first.is_some() && self.pieces.iter().all(|piece| piece.value == first)
    }

    /// The stretches without a value.
    pub fn gaps(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let gaps = self.pieces.iter().filter(|piece| piece.value.is_none());
        gaps.map(|gap| (self.instant(gap.from), self.instant(gap.until)))
    }

    /// The mean over `[from, until)` by the step integral; `None` over a gap, outside, or over no time.
    pub fn mean(&self, from: Timestamp, until: Timestamp) -> Option<GramsPerKwh> {
        let (from, until) = (self.offset(from), self.offset(until));
        let cost = self.cost(from, until)?;
        Some(GramsPerKwh::new(cost / seconds(until - from)))
    }

    /// The mean of all that is known from the release to the end; `None` if nothing is.
    pub fn mean_of_known(&self) -> Option<GramsPerKwh> {
        let last = self.pieces.last()?;
        let known = self.pieces.iter().filter(|piece| piece.value.is_some());
        let known: f64 = known.map(|piece| seconds(piece.until - piece.from)).sum();
        (known > 0.0).then(|| GramsPerKwh::new(last.cost_to(last.until) / known))
    }

    /// Each stretch in time order, gaps included.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The integral over `[from, until)` in g/kWh x s; `None` over a gap, outside, or over no time.
    pub(super) fn cost(&self, from: i64, until: i64) -> Option<f64> {
        if from < 0 || from >= until || until > self.length() {
            return None;
        }
        let first = self.piece_at(from)?;
        let last = self.piece_at(until - 1)?;
        let gaps = last.gaps_before - first.gaps_before + u32::from(last.value.is_none());
        (gaps == 0).then(|| {
            if first.from == last.from {
                // Exact where the integral would round.
                first.value.unwrap_or(f64::NAN) * seconds(until - from)
            } else {
                last.cost_to(until) - first.cost_to(from)
            }
        })
    }

    /// The stretch that holds an instant.
    pub(super) fn piece_at(&self, at: i64) -> Option<&Piece> {
        let index = self.pieces.partition_point(|piece| piece.until <= at);
        self.pieces.get(index).filter(|piece| piece.from <= at)
    }

    /// The starts between `first` and `last` at which a run of several `phases` (their ends, counted from the start of the
    /// run) may be cheapest. The cost of a run is linear in its start between two instants at which the start or a phase's end
    /// crosses an edge of the step function, so that these are enough for the exact optimum.
    pub(super) fn starts(&self, phases: &[i64], first: i64, last: i64) -> Vec<i64> {
        if first > last {
            return Vec::new();
        }
        let mut starts = vec![first, last];
        for end in std::iter::once(&0).chain(phases) {
            let edges = self.pieces.iter().map(|piece| piece.from - end);
            starts.extend(edges.filter(|start| (first..=last).contains(start)));
        }
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// The length from the release to the end.
    pub(super) fn length(&self) -> i64 {
        self.pieces.last().map_or(0, |last| last.until)
    }

    /// Nanoseconds from the release, within what 64 bits hold (292 years).
    pub(super) fn offset(&self, at: Timestamp) -> i64 {
        let offset = at.as_nanosecond() - self.release.as_nanosecond();
        i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX })
    }

    /// The instant that many nanoseconds after the release.
    pub(super) fn instant(&self, offset: i64) -> Timestamp {
        let offset = SignedDuration::from_nanos(offset);
        self.release.saturating_add(offset).unwrap_or(self.release)
    }

    fn push(&mut self, until: i64, value: Option<f64>) {
        let (from, before, gaps_before) = self.pieces.last().map_or((0, 0.0, 0), |last| {
            let gaps = last.gaps_before + u32::from(last.value.is_none());
            (last.until, last.cost_to(last.until), gaps)
        });
        self.pieces.push(Piece { from, until, value, before, gaps_before });
    }
}

impl Piece {
    /// The integral from the release to an instant inside this stretch.
    fn cost_to(&self, at: i64) -> f64 {
        self.before + self.value.unwrap_or(0.0) * seconds(at - self.from)
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A duration in nanoseconds, within what 64 bits hold.
pub(super) fn nanoseconds(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
