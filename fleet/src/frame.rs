//! What all charts share: size, colours, and the frame with its axes.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// Width and height of a chart.
pub const SIZE: (u32, u32) = (960, 480);
const FONT: (&str, u32) = ("sans-serif", 14);

/// The background: charts have their own, so that they are readable on dark pages too.
pub const PAPER: RGBColor = RGBColor(252, 252, 250);
/// Text and axes.
pub const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// The lines, in the order in which they are given out.
pub const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 90, 156),
    RGBColor(20, 125, 60),
    RGBColor(190, 70, 0),
    RGBColor(120, 60, 150),
    RGBColor(110, 110, 110),
];

/// Turns a value of an axis into its label.
pub type Label<'a> = &'a dyn Fn(&f64) -> String;

/// A frame with its title, for the coordinates of the chart.
pub fn frame<'a, 'b>(
    area: &'a DrawingArea<SVGBackend<'b>, Shift>,
    title: &str,
) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut frame = ChartBuilder::on(area);
    frame
        .caption(title, ("sans-serif", 18).into_font().color(&INK))
        .margin(12)
        .margin_right(28)
        .x_label_area_size(44)
        .y_label_area_size(76);
    frame
}

/// Draws the axes and their grid. Each axis has a name, and labels for its values.
pub fn axes<X, Y>(
    chart: &mut ChartContext<SVGBackend, Cartesian2d<X, Y>>,
    (x_name, x_label): (&str, Label),
    (y_name, y_label): (&str, Label),
) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(FONT.into_font().color(&INK))
        .x_labels(13)
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .x_desc(x_name)
        .y_desc(y_name)
        .draw()?;
    Ok(())
}
