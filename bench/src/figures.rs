//! What one run says in numbers.

use std::time::Duration;

/// The figures of one run at one point, or their medians over several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) puts_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU seconds of the three servers for a thousand puts.
    pub(crate) cpu_per_1000: f64,
    /// Syncs of the log for a thousand puts, over the three servers; `None` where one does not say.
    pub(crate) log_syncs_per_1000: Option<f64>,
    /// CPU seconds of the load generator for a thousand puts.
    pub(crate) load_cpu_per_1000: f64,
}

impl Figures {
    /// From the totals of one run; `latencies_us` are those of all `puts`, in any order.
    pub(crate) fn new(
        puts: u64,
        elapsed: Duration,
        mut latencies_us: Vec<u32>,
        cpu_seconds: f64,
        log_syncs: Option<u64>,
        load_cpu_seconds: f64,
    ) -> Self {
        latencies_us.sort_unstable();
        let per_1000 = |amount: f64| amount * 1000.0 / puts as f64;
        Self {
            puts_per_second: puts as f64 / elapsed.as_secs_f64(),
            p50_ms: f64::from(percentile(&latencies_us, 50)) / 1000.0,
            p99_ms: f64::from(percentile(&latencies_us, 99)) / 1000.0,
            cpu_per_1000: per_1000(cpu_seconds),
            log_syncs_per_1000: log_syncs.map(|syncs| per_1000(syncs as f64)),
            load_cpu_per_1000: per_1000(load_cpu_seconds),
        }
    }

    /// Each figure's median over `runs`, of which there is at least one.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        let syncs: Option<Vec<f64>> = runs.iter().map(|run| run.log_syncs_per_1000).collect();
        Self {
            puts_per_second: of(|run| run.puts_per_second),
            p50_ms: of(|run| run.p50_ms),
            p99_ms: of(|run| run.p99_ms),
            cpu_per_1000: of(|run| run.cpu_per_1000),
            log_syncs_per_1000: syncs.map(median),
            load_cpu_per_1000: of(|run| run.load_cpu_per_1000),
        }
    }
}

/// The least value that at least `percent` of all are no greater than; `sorted` is not empty.
fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank.saturating_sub(1)]
}

fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "a median of nothing");
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians_hold_for_few_values() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (50, 99));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99)), (7, 7));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn figures_are_per_second_and_per_thousand() {
        let latencies = vec![1000; 2000];
        let figures = Figures::new(2000, Duration::from_secs(4), latencies, 1.0, Some(500), 0.5);
        assert_eq!(
            figures,
            Figures {
                puts_per_second: 500.0,
                p50_ms: 1.0,
                p99_ms: 1.0,
                cpu_per_1000: 0.5,
                log_syncs_per_1000: Some(250.0),
                load_cpu_per_1000: 0.25,
            }
        );
        let unknown = Figures { log_syncs_per_1000: None, ..figures };
        assert_eq!(Figures::median(&[figures, unknown]).log_syncs_per_1000, None);
    }
}
