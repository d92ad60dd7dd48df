//! `bench-report FILE`: shows the results of `make bench`.
//!
//! Every program that measures appends lines to the file that `BENCH_RESULTS` names, one a row, as
//! [`samples`] describes.

mod median;
mod samples;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("Usage: bench-report FILE");
        return ExitCode::from(2);
    };
    let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let results = match read.and_then(|text| samples::Results::parse(&text)) {
        Ok(results) => results,
        Err(error) => {
            eprintln!("bench-report: {}: {error}", path.to_string_lossy());
            return ExitCode::FAILURE;
        }
    };
    for row in results.rows() {
        let figure = match row.summary() {
            Some(summary) => {
                let percent = summary.spread() * 100.0;
                format!("{:.4} {} (± {percent:.1} %)", summary.median, row.unit)
            }
            None => row.missing.clone().unwrap_or_default(),
        };
        println!("{} | {} | {} | {figure}", row.group, row.name, row.at);
    }
    ExitCode::SUCCESS
}
