//! The chart of the requests of clients that share a store.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use tu_token::simulation::stores::{Comparison, Outcome};

use crate::chart::{BOUND, FONT, GRID, INK, MEAN, OUTAGE, PAPER, REQUESTS, SIZE};

/// Each point is the mean of this many minutes.
const SMOOTHED: usize = 5;

/// Writes the chart as SVG. Fails if the file cannot be written.
pub fn draw(compared: &Comparison, path: &Path) -> Result<(), Box<dyn Error>> {
    let sharers = &compared.redis.sharers;
    let hours = sharers.length.as_secs_f64() / 3600.0;
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
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18).into_font().color(&INK))
        .margin(12)
        .margin_right(28)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(0.0..hours, (low..high).log_scale())?;
    let outage = &sharers.outage;
    let (from, to) = (outage.from.as_secs_f64() / 3600.0, outage.to.as_secs_f64() / 3600.0);
    chart.draw_series([Rectangle::new([(from, low), (to, high)], OUTAGE.filled())])?;
    let style = ("sans-serif", 12).into_font().color(&INK);
    let minutes = (outage.to - outage.from).as_secs() / 60;
    let text = format!("no Redis server, {minutes} min");
    chart.draw_series([Text::new(text, (to + 0.03, high * 0.93), style)])?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(FONT.into_font().color(&INK))
        .x_labels(13)
        .x_label_formatter(&|hour| format!("{hour:.1} h"))
        .y_label_formatter(&|number| format!("{number}"))
        .x_desc("time since the first program started")
        .y_desc("requests a minute (logarithmic)")
        .draw()?;
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
