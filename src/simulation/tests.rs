//! The simulation at a size that a debug build finishes within seconds.

use std::time::Duration;

use super::report::Report;
use super::scenario::Scenario;
use super::stores::{Comparison, Sharers};
use super::tally::Tally;
use super::*;

fn small_day() -> Scenario {
    Scenario::day(1000, Scenario::LEAST_HOURS, 1)
}

#[test]
fn a_small_fleet_stays_within_its_bounds() {
    let report = run(&small_day());
    assert!(report.keeps_its_bounds(), "{report}");
    for recovery in report.recoveries() {
        assert!(recovery.clients > 100, "the outage had no effect: {recovery:?}");
    }
}

#[test]
fn a_narrow_jitter_causes_echoes() {
    let scenario = Scenario { jitter: 0.1, ..small_day() };
    let report = run(&scenario);
    let bound = scenario.bounds.echo;
    assert!(scenario.outages().all(|outage| report.echo(outage, 1) > bound), "{report}");
    assert!(!report.keeps_its_bounds());
}

#[test]
fn the_seed_alone_determines_the_day() {
    let day_of = |seed| Scenario::day(60, Scenario::LEAST_HOURS, seed);
    let policy = &Options::default().policy;
    let day = |seed| run_share(&day_of(seed), policy, 0, 1);
    let shared = run(&day_of(1));
    assert_eq!(shared.requests(), day(1).requests);
    assert_ne!(shared.requests(), day(2).requests);
}

#[test]
fn a_violation_breaks_the_bounds() {
    let scenario = Scenario { spells: Vec::new(), ..small_day() };
    let breaks: [fn(&mut Tally); 5] = [
        |tally| tally.failed_with_token = 1,
        |tally| tally.served_dead = 1,
        |tally| tally.sent_in_retry_after = 1,
        |tally| tally.second_flights = 1,
        |tally| tally.longest_call = Duration::from_millis(30_001),
    ];
    assert!(Report::new(scenario.clone(), Tally::new(&scenario)).keeps_its_bounds());
    for breaks in breaks {
        let mut tally = Tally::new(&scenario);
        breaks(&mut tally);
        assert!(!Report::new(scenario.clone(), tally).keeps_its_bounds());
    }
}

#[test]
fn clients_that_share_a_store_ask_as_rarely_as_one() {
    let sharers = Sharers { keys: 12, programs: 16, clients: 16, ..Sharers::usual(1) };
    let compared = Comparison::new(&sharers);
    assert!(compared.keeps_its_bounds(), "{compared}");
    assert!(compared.none.in_calm() > 10.0 * compared.alone.in_calm(), "{compared}");
    // Without the server, each process fetches once in a lifetime at most, apart from failures.
    assert!(compared.redis.in_outage() > 4.0 * compared.redis.in_calm(), "{compared}");
}

#[test]
fn numbers_are_written_for_people() {
    let written: Vec<_> = [0, 999, 1000, 1_234_567].map(report::thousands).into();
    assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(report::time_of_day(250), "04:10");
}
