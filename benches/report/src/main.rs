//! `bench-report RESULTS [FACTS DIRECTORY]`: shows the results of `make bench`; with facts and a directory, makes
//! performance.md there, with its charts.
//!
//! Every program that measures appends lines to the file that `BENCH_RESULTS` names, one a row, as
//! [`samples`] describes.

mod bars;
mod content;
mod curves;
mod facts;
mod median;
mod page;
mod parts;
mod samples;
mod shown;
mod tables;
mod targets;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use facts::Facts;
use page::Page;
use samples::Results;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.as_slice() {
        [results] => read(results).map(|results| show(&results)),
        [results, facts, directory] => write(results, facts, Path::new(directory)),
        _ => {
            eprintln!("Usage: bench-report RESULTS [FACTS DIRECTORY]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn text_of(path: &str) -> Result<String, Box<dyn Error>> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}").into())
}

fn read(path: &str) -> Result<Results, Box<dyn Error>> {
    Results::parse(&text_of(path)?).map_err(|error| format!("{path}: {error}").into())
}

/// A line for each row.
fn show(results: &Results) {
    for row in results.rows() {
        let figure = match row.summary() {
            Some(summary) => format!("{} {}", tables::Table::figure(&summary), row.unit),
            None => row.missing.clone().unwrap_or_default(),
        };
        println!("{} | {} | {} | {figure}", row.group, row.name, row.at);
    }
}

fn write(results: &str, facts: &str, directory: &Path) -> Result<(), Box<dyn Error>> {
    let (results, facts) = (read(results)?, Facts::parse(&text_of(facts)?));
    for bars in &content::BARS {
        bars.draw(&results, directory)?;
    }
    for curves in &content::CURVES {
        curves.draw(&results, directory)?;
    }
    let page = directory.join("performance.md");
    std::fs::write(&page, Page { results: &results, facts: &facts }.text()?)?;
    println!("{}", targets::markdown(&content::TARGETS, &results));
    println!("Written: {}", page.display());
    Ok(())
}
