//! The chart of requests per minute over the day.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use tu_token::simulation::report::{Report, thousands};
use tu_token::simulation::scenario::{Spell, Trouble};

use crate::frame::{self, INK, PAPER, SIZE};

pub(crate) type Plane<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, LogCoord<f64>>>;

pub(crate) const REQUESTS: RGBColor = frame::COLOURS[0];
pub(crate) const MEAN: RGBColor = frame::COLOURS[1];
pub(crate) const BOUND: RGBColor = frame::COLOURS[2];
pub(crate) const OUTAGE: RGBColor = RGBColor(248, 214, 214);
const THROTTLED: RGBColor = RGBColor(248, 238, 200);

/// Writes the chart as SVG. Fails if the file cannot be written.
pub fn draw(report: &Report, path: &Path) -> Result<(), Box<dyn Error>> {
    let scenario = &report.scenario;
    let hours = in_hours(scenario.length);
    let mean = report.calm_mean();
    let most = report.requests().iter().max().copied().unwrap_or(1) as f64;
    // A logarithmic scale, because outages exceed ten times the mean. Minutes with almost no requests
    // are drawn on the lower edge.
    let (low, high) = ((mean / 20.0).max(1.0), most * 2.0);

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&PAPER)?;
    let clients = thousands(u64::from(scenario.clients));
    let title = format!("Token requests a minute of {clients} clients");
    let mut chart = plane(&area, &title, hours, (low, high))?;
    shade(&mut chart, report, low, high)?;
    axes(&mut chart, "time of day", &|hour| format!("{hour:02.0}:00"), &|number| {
        thousands(*number as u64)
    })?;
    level(
        &mut chart,
        hours,
        mean,
        MEAN,
        &format!("mean of the calm minutes: {}", thousands(mean as u64)),
    )?;
    let bound = scenario.bounds.echo;
    level(&mut chart, hours, mean * bound, BOUND, &format!("{bound:.0} x mean: bound of an echo"))?;
    let minutes = report.requests().iter().enumerate();
    let points = minutes.map(|(at, n)| ((at as f64 + 0.5) / 60.0, (*n as f64).max(low)));
    chart.draw_series(LineSeries::new(points, REQUESTS.stroke_width(1)))?;
    area.present()?;
    Ok(())
}

/// A chart of requests a minute, without axes: what is behind their grid is drawn first.
pub(crate) fn plane<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    title: &str,
    hours: f64,
    (low, high): (f64, f64),
) -> Result<Plane<'a>, Box<dyn Error>> {
    Ok(frame::frame(area, title).build_cartesian_2d(0.0..hours, (low..high).log_scale())?)
}

/// Draws the axes and their grid.
pub(crate) fn axes(
    chart: &mut Plane,
    time: &str,
    time_label: frame::Label,
    number_label: frame::Label,
) -> Result<(), Box<dyn Error>> {
    let requests = "requests a minute (logarithmic)";
    frame::axes(chart, (time, time_label), (requests, number_label))
}

/// Shades the time of an outage.
pub(crate) fn shade_spell(
    chart: &mut Plane,
    spell: &Spell,
    (low, high): (f64, f64),
    colour: RGBColor,
) -> Result<(), Box<dyn Error>> {
    let corners = [(in_hours(spell.from), low), (in_hours(spell.to), high)];
    chart.draw_series([Rectangle::new(corners, colour.filled())])?;
    Ok(())
}

pub(crate) fn in_hours(time: Duration) -> f64 {
    time.as_secs_f64() / 3600.0
}

/// Shades the times of trouble and labels them.
fn shade(chart: &mut Plane, report: &Report, low: f64, high: f64) -> Result<(), Box<dyn Error>> {
    for spell in &report.scenario.spells {
        let minutes = (spell.to - spell.from).as_secs() / 60;
        let (colour, what) = match spell.trouble {
            Trouble::Outage => (OUTAGE, "outage"),
            Trouble::Throttled => (THROTTLED, "half 429"),
        };
        shade_spell(chart, spell, (low, high), colour)?;
        let text = format!("{what}, {minutes} min");
        let style = ("sans-serif", 12).into_font().color(&INK);
        chart.draw_series([Text::new(text, (in_hours(spell.from), high * 0.93), style)])?;
    }
    Ok(())
}

/// Draws a dashed line across, labelled where the request line is calm.
fn level(
    chart: &mut Plane,
    hours: f64,
    height: f64,
    colour: RGBColor,
    name: &str,
) -> Result<(), Box<dyn Error>> {
    let ends = [(0.0, height), (hours, height)];
    chart.draw_series(DashedLineSeries::new(ends, 6, 4, colour.stroke_width(1)))?;
    let style = ("sans-serif", 12).into_font().color(&colour);
    chart.draw_series([Text::new(name.to_owned(), (hours * 0.64, height * 1.2), style)])?;
    Ok(())
}
