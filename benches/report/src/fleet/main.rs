//! The fleet's figures against its size, by the simulation of docs/simulation.md.
//!
//! Clients do not affect each other: the simulated endpoint does not slow down. So a fleet that would take too
//! long is sampled: a smaller one is simulated, with several seeds, and its requests are multiplied. The seeds'
//! spread is the error of the sample.

use std::fs::OpenOptions;
use std::io::{self, Write};

use tu_token::simulation::report::Report;
use tu_token::simulation::{self, scenario::Scenario};

const HOURS: u32 = Scenario::LEAST_HOURS;
const SIZES: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// What is taken from a simulated fleet.
struct Figures {
    /// Token requests a minute of 1,000 clients: the mean, and the highest minute after the long outage.
    mean: f64,
    peak: f64,
    /// Seconds after the long outage until 99 % of the clients have a token.
    recovery: f64,
}

impl Figures {
    fn of(report: &Report) -> Self {
        let thousands = f64::from(report.scenario.clients) / 1000.0;
        let end = report.scenario.outages().last().map_or(0, |outage| outage.to.as_secs() / 60);
        let after = &report.requests()[end as usize..];
        let peak = after.iter().max().copied().unwrap_or_default() as f64;
        let recovery = report.recoveries().last().map_or(0.0, |one| one.most.as_secs_f64());
        Self { mean: report.calm_mean() / thousands, peak: peak / thousands, recovery }
    }
}

/// The largest simulated fleet takes longest.
fn seeds_of(simulated: u32, most: u32) -> u64 {
    if simulated < most { 5 } else { 3 }
}

/// The fleets that this one stands for: itself, and all that are too large if it is the largest.
fn sizes_of(simulated: u32, most: u32) -> impl Iterator<Item = u32> {
    SIZES.into_iter().filter(move |size| *size == simulated || (simulated == most && *size > most))
}

fn main() -> io::Result<()> {
    let is_full = std::env::var("FULL").is_ok_and(|value| value == "1");
    let most = if is_full { 1_000_000 } else { 100_000 };
    for simulated in SIZES.into_iter().filter(|clients| *clients <= most) {
        for seed in 1..=seeds_of(simulated, most) {
            let report = simulation::run(&Scenario::day(simulated, HOURS, seed));
            let figures = Figures::of(&report);
            for clients in sizes_of(simulated, most) {
                let row = if simulated < clients { "sampled" } else { "simulated" };
                write(
                    "fleet: mean",
                    row,
                    clients,
                    "requests a minute of 1,000 clients",
                    figures.mean,
                )?;
                write(
                    "fleet: peak",
                    row,
                    clients,
                    "requests a minute of 1,000 clients",
                    figures.peak,
                )?;
                write("fleet: recovery", row, clients, "s", figures.recovery)?;
            }
        }
    }
    Ok(())
}

/// Appends a row to the file that `BENCH_RESULTS` names, if it names one.
fn write(group: &str, row: &str, clients: u32, unit: &str, figure: f64) -> io::Result<()> {
    let line = format!("{group}\t{row}\t{clients}\t{unit}\t{figure}");
    match std::env::var_os("BENCH_RESULTS") {
        Some(path) => {
            writeln!(OpenOptions::new().append(true).create(true).open(path)?, "{line}")
        }
        None => writeln!(io::stdout(), "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_fleet_stands_for_all_larger_ones() {
        assert_eq!(sizes_of(10_000, 100_000).collect::<Vec<_>>(), [10_000]);
        let sampled: Vec<_> = sizes_of(100_000, 100_000).collect();
        assert_eq!(sampled, [100_000, 1_000_000, 10_000_000]);
    }
}
