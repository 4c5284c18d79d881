//! Plots as SVG. They have a ground of their own, so that they can be read on a light and on a
//! dark page.

#![expect(clippy::float_arithmetic, reason = "places on a drawing, not limits or times")]

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, TextStyle};

const WIDTH: u32 = 760;
const LINES_HEIGHT: u32 = 400;
/// Beside the lines, for their names.
const NAMES_WIDTH: u32 = 110;
/// Marks on an axis.
const MARKS: usize = 11;
/// Marks on an axis that grows by factors; more would run into each other.
const LOG_MARKS: usize = 6;
const GROUND: RGBColor = RGBColor(250, 250, 247);
const INK: RGBColor = RGBColor(38, 38, 44);
const GRID: RGBColor = RGBColor(217, 217, 210);
/// Told apart by most who do not see all colours (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 135, 98),
    RGBColor(174, 92, 140),
    RGBColor(150, 110, 0),
    RGBColor(90, 90, 100),
];

/// A line through points.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// From where to where y was found at each of the points; nothing where that is not known.
    pub(crate) ranges: Vec<(f64, f64)>,
}

/// Where the points of a plot lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    /// Whether x grows by factors.
    pub(crate) log_x: bool,
    /// Whether y grows by factors.
    pub(crate) log_y: bool,
}

/// Draws lines.
///
/// # Errors
///
/// A file that cannot be written.
pub(crate) fn lines(file: &Path, axes: Axes<'_>, lines: &[Line]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let ends = || lines.iter().flat_map(|line| &line.ranges).flat_map(|(low, high)| [*low, *high]);
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (x_low, x_high) = bounds(&mut points().map(|point| point.0));
    let (y_low, y_high) = bounds(&mut points().map(|point| point.1).chain(ends()));
    if points().next().is_none() {
        return Err(anyhow!("{}: nothing was measured", axes.title));
    }
    let x_high = if x_high > x_low { x_high } else { x_low + 1.0 };
    let (y_low, y_high) = if axes.log_y {
        // Whole powers of ten, so that there are marks to read it by.
        (ten_to(y_low.log10().floor()), ten_to((y_high * 1.01).log10().ceil()))
    } else {
        (0.0, y_high.max(1e-3) * 1.2)
    };
    match (axes.log_x, axes.log_y) {
        (true, true) => draw(
            file,
            axes,
            lines,
            (x_low.max(1e-3)..x_high).log_scale(),
            (y_low..y_high).log_scale(),
        ),
        (true, false) => {
            draw(file, axes, lines, (x_low.max(1e-3)..x_high).log_scale(), y_low..y_high)
        }
        (false, true) => draw(file, axes, lines, x_low..x_high, (y_low..y_high).log_scale()),
        (false, false) => draw(file, axes, lines, x_low..x_high, y_low..y_high),
    }
}

fn draw<X, Y>(file: &Path, axes: Axes<'_>, lines: &[Line], x: X, y: Y) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let root = SVGBackend::new(file, (WIDTH, LINES_HEIGHT)).into_drawing_area();
    root.fill(&GROUND)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(axes.title, text(17))
        .margin(12)
        .margin_right(if lines.len() > 1 { NAMES_WIDTH } else { 24 })
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(12))
        .axis_desc_style(text(13))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .x_labels(if axes.log_x { LOG_MARKS } else { MARKS })
        .y_labels(if axes.log_y { LOG_MARKS } else { MARKS })
        .draw()?;
    let left = i32::try_from(WIDTH - NAMES_WIDTH)? + 12;
    for ((line, colour), place) in lines.iter().zip(COLOURS.iter().cycle()).zip(0..) {
        let points = line.points.iter().copied();
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?;
        let ranges = line.points.iter().zip(&line.ranges);
        chart.draw_series(ranges.map(|((x, _), (low, high))| {
            PathElement::new(vec![(*x, *low), (*x, *high)], colour.stroke_width(1))
        }))?;
        if lines.len() > 1 {
            let top = 60 + 22 * place;
            let stroke = vec![(left, top), (left + 16, top)];
            root.draw(&PathElement::new(stroke, colour.stroke_width(3)))?;
            let name = text(12).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(line.name.clone(), (left + 22, top), name))?;
        }
    }
    root.present()?;
    Ok(())
}

/// A bar of one or more parts, with text at its end.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) parts: Vec<u64>,
    pub(crate) shown: String,
}

const BAR: i32 = 20;
const BAR_PITCH: i32 = 32;
const BARS_LEFT: i32 = 230;
const BARS_TOP: i32 = 50;
/// Between the names of the parts of bars.
const NAME_PITCH: i32 = 120;

/// Draws one bar for each value, with the value as text at its end.
///
/// # Errors
///
/// A file that cannot be written.
pub(crate) fn bars(file: &Path, title: &str, bars: &[(String, u64, String)]) -> Result<()> {
    let bar = |(name, value, shown): &(String, u64, String)| Bar {
        name: name.clone(),
        parts: vec![*value],
        shown: shown.clone(),
    };
    stacked(file, title, &[], &bars.iter().map(bar).collect::<Vec<_>>())
}

/// Draws bars of parts, which are named above them where they have names.
///
/// # Errors
///
/// A file that cannot be written.
pub(crate) fn stacked(file: &Path, title: &str, names: &[&str], bars: &[Bar]) -> Result<()> {
    let count = i32::try_from(bars.len())?;
    let first = if names.is_empty() { BARS_TOP } else { BARS_TOP + BAR_PITCH };
    let height = u32::try_from(first + count * BAR_PITCH + 12)?;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.fill(&GROUND)?;
    root.draw(&Text::new(title.to_owned(), (16, 16), text(17)))?;
    let right_of = |left, top, colour: RGBColor, width| {
        Rectangle::new([(left, top), (left + width, top + BAR)], colour.filled())
    };
    let name_at = text(13).pos(Pos::new(HPos::Right, VPos::Center));
    let value_at = text(13).pos(Pos::new(HPos::Left, VPos::Center));
    for ((place, name), colour) in (0..).zip(names).zip(COLOURS) {
        let left = BARS_LEFT + place * NAME_PITCH;
        root.draw(&right_of(left, BARS_TOP, colour, BAR))?;
        let at = (left + BAR + 6, BARS_TOP + BAR / 2);
        root.draw(&Text::new((*name).to_owned(), at, value_at.clone()))?;
    }
    let length = |bar: &Bar| bar.parts.iter().sum::<u64>();
    let longest = i64::try_from(bars.iter().map(length).max().unwrap_or(0).max(1))?;
    let room = i64::from(WIDTH) - i64::from(BARS_LEFT) - 110;
    for (place, bar) in (0..).zip(bars) {
        let (top, mut left) = (first + place * BAR_PITCH, BARS_LEFT);
        let middle = top + BAR / 2;
        root.draw(&Text::new(bar.name.clone(), (BARS_LEFT - 10, middle), name_at.clone()))?;
        for (part, colour) in bar.parts.iter().zip(COLOURS) {
            let width = i32::try_from(i64::try_from(*part)? * room / longest)?.max(1);
            root.draw(&right_of(left, top, colour, width))?;
            left += width;
        }
        root.draw(&Text::new(bar.shown.clone(), (left + 8, middle), value_at.clone()))?;
    }
    root.present()?;
    Ok(())
}

fn text(size: u32) -> TextStyle<'static> {
    TextStyle::from(FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal))
        .color(&INK)
}

fn ten_to(power: f64) -> f64 {
    10_f64.powf(power.max(-3.0))
}

/// A short number for an axis: `0.5`, `12`, `20k`, `1M`.
fn number(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e4 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

/// A number as a place on a drawing.
pub(crate) fn place(value: u64) -> f64 {
    // Exact up to 2^32; a drawing is no finer.
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
