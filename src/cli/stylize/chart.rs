//! Curves of losses as an SVG, on a logarithmic scale.

use std::fmt::Write;

/// Width and height of the drawing, and the margins around the curves for numbers and names.
const SIZE: (f64, f64) = (960.0, 420.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
/// The most decades that are shown, below the largest value.
const DECADES: f64 = 6.0;
/// The most points of a curve. More could not be seen.
const POINTS: usize = 480;
/// The colour of the text, and colours that people with any kind of colour vision can tell apart, after Okabe
/// and Ito.
const COLOURS: [&str; 9] =
    ["currentColor", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7d5ba6", "#8c8c8c"];
/// Height of a name beside its curve.
const NAME: f64 = 17.0;

/// A curve: its name and a value for every iteration, starting with the first.
pub struct Series {
    pub name: String,
    pub values: Vec<f64>,
}

/// One SVG element with all curves. Values that have no logarithm are left out.
pub fn chart(series: &[Series]) -> String {
    let values = || series.iter().flat_map(|s| &s.values).copied().filter(|v| v.is_finite() && *v > 0.0);
    let most = values().fold(f64::MIN_POSITIVE, f64::max).log10();
    let least = values().fold(f64::INFINITY, f64::min).log10().clamp(most - DECADES, most);
    // Whole decades, and at least one.
    let (high, low) = (most.ceil(), least.floor().min(most.ceil() - 1.0));
    let count = series.iter().map(|s| s.values.len()).max().unwrap_or(0).max(2);
    let scale = Scale { high, low, last: (count - 1) as f64 };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"losses by iteration\">\n",
        SIZE.0, SIZE.1
    );
    scale.frame(&mut svg);
    let mut names: Vec<(f64, usize)> = Vec::new();
    for (index, one) in series.iter().enumerate() {
        let (path, end) = scale.path(&one.values);
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(svg, "<path class=\"series\" stroke=\"{colour}\" d=\"{path}\"/>");
        names.extend(end.map(|y| (y, index)));
    }
    for (y, index) in spread(names) {
        let (x, colour) = (SIZE.0 - RIGHT + 10.0, COLOURS[index % COLOURS.len()]);
        let name = escape(&series[index].name);
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{x}\" y=\"{:.1}\" style=\"fill:{colour}\">{name}</text>",
            y + 4.0
        );
    }
    svg + "</svg>"
}

/// Names beside the ends of their curves, moved apart where they would cover each other.
fn spread(mut names: Vec<(f64, usize)>) -> Vec<(f64, usize)> {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = TOP;
    for (y, _) in &mut names {
        *y = y.max(free);
        free = *y + NAME;
    }
    // Names that were pushed out at the bottom push the others back up.
    let mut free = SIZE.1 - BOTTOM;
    for (y, _) in names.iter_mut().rev() {
        *y = y.min(free);
        free = *y - NAME;
    }
    names
}

struct Scale {
    high: f64,
    low: f64,
    last: f64,
}

impl Scale {
    fn x(&self, iteration: f64) -> f64 {
        LEFT + (SIZE.0 - LEFT - RIGHT) * iteration / self.last
    }

    fn y(&self, logarithm: f64) -> f64 {
        TOP + (SIZE.1 - TOP - BOTTOM) * (self.high - logarithm) / (self.high - self.low)
    }

    /// The axes with their lines and numbers.
    fn frame(&self, svg: &mut String) {
        let (left, right, bottom) = (LEFT, SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
        for decade in self.low as i32..=self.high as i32 {
            let y = self.y(f64::from(decade));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.0,
                number(decade)
            );
        }
        let step = nice(self.last / 6.0);
        let mut iteration = 0.0;
        while iteration <= self.last {
            let x = self.x(iteration);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{iteration}</text>",
                bottom + 18.0
            );
            iteration += step;
        }
        let middle = f64::midpoint(left, right);
        let y = SIZE.1 - 8.0;
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">iteration</text>");
    }

    /// The path of a curve, and the height at which it ends.
    fn path(&self, values: &[f64]) -> (String, Option<f64>) {
        let step = values.len().div_ceil(POINTS).max(1);
        let last = values.len().saturating_sub(1);
        let (mut path, mut end) = (String::new(), None);
        let shown = values.iter().enumerate().filter(|(i, _)| i.is_multiple_of(step) || *i == last);
        for (i, value) in shown.filter(|(_, v)| v.is_finite() && **v > 0.0) {
            let y = self.y(value.log10().max(self.low));
            let _ = write!(path, "{}{:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' }, self.x(i as f64));
            end = Some(y);
        }
        (path, end)
    }
}

/// A power of ten in readable form.
fn number(decade: i32) -> String {
    match decade {
        0..=4 => 10f64.powi(decade).to_string(),
        -3..=-1 => format!("{:.*}", -decade as usize, 10f64.powi(decade)),
        _ => format!("1e{decade}"),
    }
}

/// 1, 2 or 5 times a power of ten, at least `step` and at least 1.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|s| *s >= step).unwrap_or(power)
}

/// Escapes text for HTML and SVG.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_lie_inside_whatever_the_values() {
        let odd = [0.0, f64::NAN, f64::INFINITY, 1e-300, 1e300, -1.0, 5.0];
        for values in [vec![], vec![0.0], vec![3.0], vec![1.0; 5000], odd.to_vec(), vec![0.0, 0.0]] {
            let svg = chart(&[Series { name: "a<b".into(), values: values.clone() }]);
            assert!(
                !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("a<b"),
                "{values:?}: {svg}"
            );
            for path in svg.split(" d=\"").skip(1) {
                let numbers =
                    path.split('"').next().unwrap().split(['M', 'L', ' ']).filter(|t| !t.is_empty());
                let numbers: Vec<f64> = numbers.map(|t| t.parse().unwrap()).collect();
                assert!(numbers.len() <= 2 * (POINTS + 1));
                for point in numbers.chunks(2) {
                    assert!((LEFT..=SIZE.0 - RIGHT + 0.1).contains(&point[0]), "{values:?}: {point:?}");
                    assert!((TOP - 0.1..=SIZE.1 - BOTTOM + 0.1).contains(&point[1]), "{values:?}: {point:?}");
                }
            }
        }
    }

    #[test]
    fn equal_steps_are_equal_factors() {
        let scale = Scale { high: 3.0, low: 0.0, last: 3.0 };
        let (path, end) = scale.path(&[1000.0, 100.0, 10.0, 1.0]);
        let y: Vec<f64> =
            path.split(['M', 'L']).skip(1).map(|p| p.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert!(y.windows(2).all(|w| (w[1] - w[0] - (y[1] - y[0])).abs() < 0.2 && w[1] > w[0]), "{y:?}");
        assert_eq!(end, Some(SIZE.1 - BOTTOM));
    }

    #[test]
    fn names_never_cover_each_other() {
        let names = spread((0..9).map(|i| (100.0 + f64::from(i), i as usize)).collect());
        assert!(names.windows(2).all(|w| w[1].0 - w[0].0 >= NAME - 1e-9));
        assert!(names[0].0 >= TOP && names[8].0 <= SIZE.1 - BOTTOM);
        let names = spread(vec![(SIZE.1 - BOTTOM, 0), (SIZE.1 - BOTTOM, 1)]);
        assert!(names[1].0 <= SIZE.1 - BOTTOM && names[1].0 - names[0].0 >= NAME - 1e-9);
    }

    #[test]
    fn numbers_are_those_people_write() {
        assert_eq!([-4, -2, 0, 3, 5].map(number), ["1e-4", "0.01", "1", "1000", "1e5"]);
        assert_eq!([0.2, 1.0, 16.0, 83.0, 100.0, 260.0].map(nice), [1.0, 1.0, 20.0, 100.0, 100.0, 500.0]);
    }
}
