//! The results of a day: the figures, and whether they are within their bounds.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::scenario::{Scenario, Spell, minute_of};
use super::tally::{OutageTally, Tally};

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: String,
    pub measured: String,
    /// The upper bound, and whether the figure is within it.
    pub bound: Option<(String, bool)>,
}

/// How the clients recovered from an outage.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// Clients whose callers had been asking without success.
    pub clients: usize,
    /// Time from the end of the outage until 99 of 100 of them had a token, and until all had.
    pub most: Duration,
    pub all: Duration,
    /// Time until all of those had a token that had no further random failure.
    pub undisturbed: Duration,
    /// How many had no token when the bound was reached.
    pub late: usize,
}

/// The results of a day.
#[derive(Clone, Debug)]
pub struct Report {
    pub scenario: Scenario,
    tally: Tally,
}

impl Report {
    pub(super) fn new(scenario: Scenario, mut tally: Tally) -> Self {
        tally.outages.iter_mut().for_each(|outage| outage.recoveries.sort_unstable());
        Self { scenario, tally }
    }

    /// Token requests in each minute of the day.
    pub fn requests(&self) -> &[u64] {
        &self.tally.requests
    }

    /// Mean token requests of an undisturbed minute.
    pub fn calm_mean(&self) -> f64 {
        let minutes = self.requests().iter().enumerate();
        let calm: Vec<u64> =
            minutes.filter(|(at, _)| self.scenario.is_calm(*at)).map(|(_, n)| *n).collect();
        calm.iter().sum::<u64>() as f64 / calm.len() as f64
    }

    /// The highest minute around the `lifetimes`-th lifetime after an outage, relative to the mean.
    pub fn echo(&self, outage: &Spell, lifetimes: u32) -> f64 {
        // The first echo comes early: tokens are renewed from half of their lifetime on.
        let from = if lifetimes == 1 { 0.25 } else { f64::from(lifetimes) - 0.5 };
        let at = |share: f64| minute_of(outage.to + self.scenario.lifetime.mul_f64(share));
        let (_, peak) = self.peak(at(from)..at(f64::from(lifetimes) + 0.5));
        peak as f64 / self.calm_mean()
    }

    /// The highest of some minutes: its index and its count.
    fn peak(&self, minutes: Range<usize>) -> (usize, u64) {
        let within = minutes.start..minutes.end.min(self.requests().len());
        within.map(|at| (at, self.requests()[at])).max_by_key(|(_, n)| *n).unwrap_or_default()
    }

    fn recovery(&self, outage: &OutageTally) -> Recovery {
        let all = &outage.recoveries;
        let took = |at: usize| all.get(at).map_or(Duration::ZERO, |recovery| recovery.took);
        let undisturbed = all.iter().rev().find(|recovery| !recovery.failed_again);
        let in_time = all.partition_point(|one| one.took <= self.scenario.bounds.recovery);
        Recovery {
            clients: all.len(),
            most: took((all.len() * 99 / 100).saturating_sub(1)),
            all: took(all.len().saturating_sub(1)),
            undisturbed: undisturbed.map_or(Duration::ZERO, |recovery| recovery.took),
            late: all.len() - in_time,
        }
    }

    /// The recovery from each outage.
    pub fn recoveries(&self) -> Vec<Recovery> {
        self.tally.outages.iter().map(|outage| self.recovery(outage)).collect()
    }

    /// Whether all figures are within their bounds.
    pub fn keeps_its_bounds(&self) -> bool {
        self.figures().iter().all(|figure| figure.bound.as_ref().is_none_or(|(_, kept)| *kept))
    }

    /// The whole table.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = self.load();
        figures.extend(self.promises());
        for ((outage, tally), recovery) in
            self.scenario.outages().zip(&self.tally.outages).zip(self.recoveries())
        {
            figures.extend(self.aftermath(outage, tally, &recovery));
        }
        figures
    }

    fn load(&self) -> Vec<Figure> {
        let calm = self.calm_mean();
        let (at, peak) = self.peak(0..self.requests().len());
        let is_up = |minute: &usize| {
            let time = Duration::from_secs(*minute as u64 * 60);
            !self.scenario.outages().any(|outage| outage.covers(time))
        };
        let up = (0..self.requests().len()).filter(is_up);
        let (up_at, up_peak) =
            up.map(|at| (at, self.requests()[at])).max_by_key(|(_, n)| *n).unwrap_or_default();
        let in_means = |n: u64| format!("{} ({:.1}x)", thousands(n), n as f64 / calm);
        vec![
            shown("token requests a minute: mean of the calm minutes", thousands(calm as u64)),
            shown(&format!("  peak, at {}", time_of_day(at)), in_means(peak)),
            shown(
                &format!("  peak outside of outages, at {}", time_of_day(up_at)),
                in_means(up_peak),
            ),
            shown("calls that failed, having no token", thousands(self.tally.failed_calls)),
        ]
    }

    fn promises(&self) -> Vec<Figure> {
        let never = |name: &str, count: u64| Figure {
            name: name.to_owned(),
            measured: thousands(count),
            bound: Some(("0".to_owned(), count == 0)),
        };
        let tally = &self.tally;
        let most = Duration::from_secs(30);
        vec![
            never("calls that failed while a valid token existed", tally.failed_with_token),
            never("tokens handed out after their end", tally.served_dead),
            never("requests sent during a Retry-After", tally.sent_in_retry_after),
            never("second fetches beside one under way", tally.second_flights),
            Figure {
                name: "longest call".to_owned(),
                measured: seconds(tally.longest_call),
                bound: Some((seconds(most), tally.longest_call <= most)),
            },
        ]
    }

    fn aftermath(&self, outage: &Spell, tally: &OutageTally, recovery: &Recovery) -> Vec<Figure> {
        let bounds = &self.scenario.bounds;
        let start = time_of_day(minute_of(outage.from));
        let length = (outage.to - outage.from).as_secs() / 60;
        let name = |text: &str| format!("  {text}");
        let echo = |lifetimes: u32, text: &str| {
            let echo = self.echo(outage, lifetimes);
            let bound = Some((format!("{:.1}x", bounds.echo), echo <= bounds.echo));
            Figure { name: name(text), measured: format!("{echo:.2}x"), bound }
        };
        let requests = tally.most_requests;
        let late = format!(
            "{} of {}",
            thousands(recovery.late as u64),
            thousands(recovery.clients as u64)
        );
        vec![
            shown(&format!("outage of {length} minutes at {start}"), String::new()),
            Figure {
                name: name("most requests of a client during it"),
                measured: thousands(u64::from(requests)),
                bound: Some((
                    bounds.requests_in_outage.to_string(),
                    requests <= bounds.requests_in_outage,
                )),
            },
            Figure {
                name: name("until all have a token that do not fail again"),
                measured: seconds(recovery.undisturbed),
                bound: Some((seconds(bounds.recovery), recovery.undisturbed <= bounds.recovery)),
            },
            shown(&name("  until 99 % of all have one"), seconds(recovery.most)),
            shown(&name("  until the unluckiest has one"), seconds(recovery.all)),
            shown(&name("  clients later than the bound"), late),
            echo(1, "echo one lifetime later, in mean minutes"),
            echo(2, "echo two lifetimes later"),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<52}{:>20}{:>9}", "", "measured", "bound")?;
        for figure in self.figures() {
            write!(f, "{:<52}{:>20}", figure.name, figure.measured)?;
            match figure.bound {
                Some((bound, kept)) => {
                    writeln!(f, "{bound:>9}  {}", if kept { "PASS" } else { "FAIL" })?;
                }
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

fn shown(name: &str, measured: String) -> Figure {
    Figure { name: name.to_owned(), measured, bound: None }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Like 04:10.
pub fn time_of_day(minute: usize) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Like 1,234,567.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
