//! Simulates a day of a fleet of clients, and clients that share a store: `cargo run --release --example fleet` (or `make fleet`).
//!
//! Prints the load on the token endpoint, the effects on callers, and whether every bound holds. Exit
//! code: 0 if so, 1 if a bound is broken, 2 for invalid arguments. docs/simulation.md explains what is
//! simulated and what the figures mean.

use std::process::ExitCode;
use std::time::Instant;

use tu_token::simulation::report::{Report, thousands};
use tu_token::simulation::stores::{Comparison, Sharers};
use tu_token::simulation::{self, scenario::Scenario};
use tu_token_fleet::arguments::{self, Arguments};
use tu_token_fleet::{chart, stores_chart};

/// The jitter of the narrow fleet, as a share of the policy's.
const NARROW: f64 = 0.1;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{}", arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprint!("fleet: {message}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let scenario = Scenario::day(arguments.clients, arguments.hours, arguments.seed);
    let started = Instant::now();
    let report = simulation::run(&scenario);
    println!(
        "{} clients, {} hours, seed {}: {} token requests, simulated in {:.1} s\n",
        thousands(u64::from(arguments.clients)),
        arguments.hours,
        arguments.seed,
        thousands(report.requests().iter().sum()),
        started.elapsed().as_secs_f64(),
    );
    print!("{report}");
    if arguments.narrow_jitter {
        compare(&report, &scenario);
    }
    if let Some(path) = &arguments.svg {
        if let Err(error) = chart::draw(&report, path) {
            eprintln!("fleet: cannot draw {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        println!("\nChart: {}", path.display());
    }
    println!();
    let compared = Comparison::new(&Sharers::usual(arguments.seed));
    print!("{compared}");
    if let Some(path) = &arguments.stores_svg {
        if let Err(error) = stores_chart::draw(&compared, path) {
            eprintln!("fleet: cannot draw {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        println!("\nChart: {}", path.display());
    }
    let is_fine = report.keeps_its_bounds() && compared.keeps_its_bounds();
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Compares with the same fleet with a narrow jitter, whose echoes do not die away. Checks no bounds.
fn compare(wide: &Report, scenario: &Scenario) {
    let narrow = simulation::run(&Scenario { jitter: NARROW, ..scenario.clone() });
    println!("\nWith a tenth of the jitter, for comparison:");
    let mean = |report: &Report| thousands(report.calm_mean() as u64);
    let row = |name: &str, with: String, without: String| {
        println!("{name:<52}{with:>20}{without:>20}");
    };
    row("", "as shipped".to_owned(), "a tenth".to_owned());
    row("mean of the calm minutes", mean(wide), mean(&narrow));
    for outage in scenario.outages() {
        let minutes = (outage.to - outage.from).as_secs() / 60;
        for lifetimes in 1..=4 {
            let echo = |report: &Report| format!("{:.2}x", report.echo(outage, lifetimes));
            let name = format!("outage of {minutes} minutes, echo {lifetimes} lifetimes later");
            row(&name, echo(wide), echo(&narrow));
        }
    }
}
