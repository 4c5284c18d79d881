//! What workers count, read from their `/metrics`.

use std::collections::BTreeMap;

use http::{Method, StatusCode};

use super::{Client, Fleet};

const TIMES: &str = "transom_decision_duration_seconds_bucket";

/// Series and their values, fractions cut off, summed up over workers.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<String, i64>);

impl Metrics {
    /// Of all workers of a fleet, taken together.
    ///
    /// # Panics
    ///
    /// If one does not answer.
    pub async fn of(fleet: &Fleet) -> Self {
        let mut all = Self::default();
        for worker in &fleet.workers {
            let client = Client::new(worker.admin);
            let answer = client.send(Method::GET, "/metrics", String::new()).await;
            let answer = answer.expect("a worker that answers");
            assert_eq!(answer.status(), StatusCode::OK);
            all.add(&String::from_utf8_lossy(answer.body()));
        }
        all
    }

    fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let whole = value.split('.').next().and_then(|whole| whole.parse::<i64>().ok());
            *self.0.entry(series.to_owned()).or_default() += whole.unwrap_or(0);
        }
    }

    /// What has come since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = |(series, value): (&String, &i64)| {
            (series.clone(), value - earlier.0.get(series).copied().unwrap_or(0))
        };
        Self(self.0.iter().map(grown).collect())
    }

    /// The sum of the series of this name that have all of these labels, each written `name="value"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> i64 {
        let meant = self.0.iter().filter(|(series, _)| {
            let (of, rest) = series.split_once('{').unwrap_or((series, ""));
            of == name && labels.iter().all(|label| rest.contains(label))
        });
        meant.map(|(_, value)| value).sum()
    }

    /// How long decisions took, whoever decided.
    ///
    /// # Panics
    ///
    /// If an edge is no number.
    pub fn times(&self) -> Times {
        let mut edges: Vec<(u64, i64)> = Vec::new();
        for (series, value) in self.0.iter().filter(|(series, _)| series.starts_with(TIMES)) {
            let edge = series.rsplit_once("le=\"").map_or("", |(_, edge)| edge);
            let edge_us = micros(edge.trim_end_matches("\"}"));
            match edges.iter_mut().find(|(known_us, _)| *known_us == edge_us) {
                Some((_, count)) => *count += value,
                None => edges.push((edge_us, *value)),
            }
        }
        edges.sort_unstable();
        Times(edges)
    }
}

/// `0.05` as microseconds; `+Inf` is the largest number.
fn micros(seconds: &str) -> u64 {
    if seconds == "+Inf" {
        return u64::MAX;
    }
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let number = |digits: &str| digits.parse::<u64>().expect("an edge is a number");
    number(whole) * 1_000_000 + number(&format!("{fraction:0<6}")[..6])
}

/// How many decisions took at most so many microseconds, edge by edge.
#[derive(Debug, Clone)]
pub struct Times(Vec<(u64, i64)>);

impl Times {
    /// How many there were.
    pub fn count(&self) -> i64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// How many took longer than this, which is an edge.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn above(&self, edge_us: u64) -> i64 {
        let within = self.0.iter().find(|(known_us, _)| *known_us == edge_us);
        self.count() - within.unwrap_or_else(|| panic!("{edge_us} us is no edge")).1
    }

    /// The lowest edge that all but so many of a thousand kept within.
    pub fn edge_us(&self, beyond_permille: i64) -> u64 {
        let bound = self.count() * beyond_permille / 1_000;
        let within = self.0.iter().find(|(_, count)| self.count() - count <= bound);
        within.map_or(u64::MAX, |(edge_us, _)| *edge_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP x y
transom_decision_duration_seconds_bucket{source="redis",le="0.05"} 998
transom_decision_duration_seconds_bucket{source="redis",le="0.06"} 999
transom_decision_duration_seconds_bucket{source="redis",le="0.00025"} 1
transom_decision_duration_seconds_bucket{source="redis",le="+Inf"} 1000
transom_decision_duration_seconds_bucket{source="local",le="0.05"} 1
transom_decision_duration_seconds_bucket{source="local",le="0.06"} 1
transom_decision_duration_seconds_bucket{source="local",le="0.00025"} 0
transom_decision_duration_seconds_bucket{source="local",le="+Inf"} 1
transom_redis_errors_total{reason="refused"} 3
transom_redis_errors_total{reason="deadline"} 4
process_cpu_seconds_total 1.75
"#;

    #[test]
    fn times_are_read_over_all_sources() {
        let mut metrics = Metrics::default();
        metrics.add(TEXT);
        let times = metrics.times();
        assert_eq!((times.count(), times.above(50_000), times.above(60_000)), (1_001, 2, 1));
        assert_eq!(
            (times.edge_us(1), times.edge_us(2), times.edge_us(0)),
            (60_000, 50_000, u64::MAX)
        );
    }

    #[test]
    fn series_are_summed_by_their_labels_and_compared_with_an_earlier_reading() {
        let mut metrics = Metrics::default();
        metrics.add(TEXT);
        assert_eq!(metrics.sum("transom_redis_errors_total", &[]), 7);
        assert_eq!(metrics.sum("transom_redis_errors_total", &["reason=\"refused\""]), 3);
        let mut later = metrics.clone();
        later.add(TEXT);
        assert_eq!(later.since(&metrics).sum("transom_redis_errors_total", &[]), 7);
        assert_eq!(metrics.sum("process_cpu_seconds_total", &[]), 1);
    }
}
