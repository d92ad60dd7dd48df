//! The chart of the requests of clients that share a store.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use tu_token::simulation::stores::{Comparison, Outcome};

use crate::chart::{BOUND, MEAN, OUTAGE, REQUESTS, axes, in_hours, plane, shade_spell};
use crate::frame::{INK, PAPER, SIZE};

/// Each point is the mean of this many minutes.
const SMOOTHED: usize = 5;

/// Writes the chart as SVG. Fails if the file cannot be written.
pub fn draw(compared: &Comparison, path: &Path) -> Result<(), Box<dyn Error>> {
    let sharers = &compared.redis.sharers;
    let hours = in_hours(sharers.length);
    let lines = [
        ("no store", &compared.none, BOUND),
        ("files", &compared.file, MEAN),
        ("Redis", &compared.redis, REQUESTS),
    ];
    let series = lines.map(|(name, outcome, colour)| (name, points(outcome), colour));
    let heights = series.iter().flat_map(|(_, points, _)| points.iter().map(|point| point.1));
    let high = heights.fold(1.0, f64::max) * 2.0;
    let low = compared.alone.in_calm() / 20.0 / 3.0;

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&PAPER)?;
    let title = format!(
        "Token requests a minute of {} clients with one key, on {} machines",
        sharers.clients, sharers.machines
    );
    let mut chart = plane(&area, &title, hours, (low, high))?;
    let outage = &sharers.outage;
    shade_spell(&mut chart, outage, (low, high), OUTAGE)?;
    let style = ("sans-serif", 12).into_font().color(&INK);
    let minutes = (outage.to - outage.from).as_secs() / 60;
    let text = format!("no Redis server, {minutes} min");
    chart.draw_series([Text::new(text, (in_hours(outage.to) + 0.03, high * 0.93), style)])?;
    let time = "time since the first program started";
    axes(&mut chart, time, &|hour| format!("{hour:.1} h"), &f64::to_string)?;
    for (name, points, colour) in series {
        let points = points.into_iter().map(|(hour, height)| (hour, height.max(low)));
        let points: Vec<(f64, f64)> = points.collect();
        let label = points.last().map_or((0.0, low), |last| (hours * 0.87, last.1 * 1.5));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(1)))?;
        let style = ("sans-serif", 13).into_font().color(&colour);
        chart.draw_series([Text::new(name, label, style)])?;
    }
    area.present()?;
    Ok(())
}

fn points(outcome: &Outcome) -> Vec<(f64, f64)> {
    let requests = outcome.requests();
    let mean = |minutes: &[f64]| minutes.iter().sum::<f64>() / minutes.len() as f64;
    let middle = |at: usize| (at as f64 + SMOOTHED as f64 / 2.0) / 60.0;
    requests.windows(SMOOTHED).enumerate().map(|(at, some)| (middle(at), mean(some))).collect()
}
