//! The figures as pictures: SVG that needs nothing else to be read.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::Figure;
use super::contestant::{Althing, Bound, Contestant as _};
use super::curve::{NODES, Step};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Colours that differ for the colour-blind too, for as many series as there can be.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// One line of a chart.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A chart with both axes logarithmic.
struct Chart {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    series: Vec<Series>,
}

/// Writes `lookup.svg` and, if there is a curve, `balance.svg`.
pub(super) fn write(folder: &Path, figures: &[Figure], curve: &[Step]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let chart = Chart {
        title: "Finding the owner of a key, 160 points a node",
        across: "nodes",
        up: "nanoseconds a lookup",
        series: lookups(figures),
    };
    fs::write(folder.join("lookup.svg"), chart.svg())?;
    if curve.is_empty() {
        return Ok(());
    }
    let line = |name: &str, value: fn(&Step) -> f64| Series {
        name: name.to_owned(),
        points: curve.iter().map(|step| (f64::from(step.points), value(step))).collect(),
    };
    let chart = Chart {
        title: "What more points buy, a hundred nodes",
        across: "points a node",
        up: "percent; nanoseconds; KiB",
        series: vec![
            line("peak above mean, %", |step| (step.peak - 1.0) * 100.0),
            line("deviation, %", |step| step.deviation * 100.0),
            line("lookup, ns", |step| step.lookup_ns),
            line("memory a node, KiB", |step| step.kib_per_node),
        ],
    };
    assert_eq!(NODES, 100, "the title says so");
    fs::write(folder.join("balance.svg"), chart.svg())
}

/// A line for each contestant, in the order of the report.
fn lookups(figures: &[Figure]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for figure in figures.iter().filter(|figure| figure.measure == "lookup") {
        let point = (f64::from(figure.nodes), figure.value);
        match all.iter_mut().find(|series| series.name == figure.contestant) {
            Some(series) => series.points.push(point),
            None => all.push(Series { name: figure.contestant.to_owned(), points: vec![point] }),
        }
    }
    all
}

impl Chart {
    fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Axis::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Axis::over(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>", self.title);
        self.frame(&mut svg, &x, &y);
        let mut ends: Vec<f64> = Vec::new();
        for (number, series) in self.series.iter().enumerate() {
            draw(&mut svg, series, number, &x, &y, &mut ends);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The lines of the powers of ten and what is written at the axes.
    fn frame(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for power in x.powers() {
            let at = x.place(power);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{power}</text>",
                bottom + 18.0
            );
        }
        for power in y.powers() {
            let at = y.place(power);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{power}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
        let (middle, height) = (f64::midpoint(LEFT, right), f64::midpoint(TOP, bottom));
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(18 {height}) rotate(-90)\" text-anchor=\"middle\">\
             {}</text>",
            HEIGHT - 12.0,
            self.across,
            self.up
        );
    }
}

/// A line, and its name at its end, moved away from the names that are there already.
fn draw(svg: &mut String, series: &Series, number: usize, x: &Axis, y: &Axis, ends: &mut Vec<f64>) {
    let colour = match series.name.as_str() {
        Bound::NAME => "#000",
        _ => COLOURS[number % COLOURS.len()],
    };
    let width = if series.name == Althing::NAME { 3.5 } else { 1.5 };
    let dashes = if series.name == Bound::NAME { " stroke-dasharray=\"5 4\"" } else { "" };
    let mut path = String::new();
    for (place, point) in series.points.iter().enumerate() {
        let step = if place == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{step}{:.1} {:.1}", x.place(point.0), y.place(point.1));
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}/>"
    );
    let Some(last) = series.points.last() else { return };
    let mut height = y.place(last.1);
    while let Some(other) = ends.iter().find(|other| (*other - height).abs() < 13.0) {
        height = other - 13.0;
    }
    ends.push(height);
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
        WIDTH - RIGHT + 8.0,
        height + 4.0,
        series.name
    );
}

/// A logarithmic axis from one place of the picture to another.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).max(1e-3).log10();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10();
        // A little room, and at least some where all values are the same.
        let margin = (high - low).max(0.5) * 0.03;
        Self { low: low - margin, high: high + margin, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(1e-3).log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn powers(&self) -> impl Iterator<Item = f64> + '_ {
        (-3..9)
            .map(|power| 10_f64.powi(power))
            .filter(|power| (self.low..=self.high).contains(&power.log10()))
    }
}
