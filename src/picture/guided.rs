//! The guided filter: smoothing planes along the edges of another one.
//!
//! After He, Sun and Tang, "Guided Image Filtering" (ECCV 2010). In every square window the wanted values
//! are taken for a linear function of the guide, fitted by least squares with a penalty on its slope:
//!
//! ```text
//! slope = (mean(guide value) - mean(guide) mean(value)) / (variance(guide) + penalty)
//! base  = mean(value) - slope mean(guide)
//! result = mean(slope) guide + mean(base)             means over all windows that hold the pixel
//! ```
//!
//! So the result has edges where the guide has them, and is the mean of the values where the guide is flat.
//! All means are running sums: the time does not depend on the size of the windows.

/// Columns and rows.
type Extent = (usize, usize);

/// Two planes filtered with a third as their guide, each of them `extent.0 x extent.1`. Windows reach
/// `radius` pixels to each side, as far as the picture goes.
pub(super) fn guided(
    guide: &[f32],
    values: &[[f32; 2]],
    extent: Extent,
    radius: usize,
    penalty: f64,
) -> Vec<[f32; 2]> {
    let mut lines = vec![[0.0f32; 4]; guide.len()];
    let moments = |i: usize| {
        let (g, [a, b]) = (f64::from(guide[i]), values[i].map(f64::from));
        [g, g * g, a, g * a, b, g * b]
    };
    box_means(extent, radius, moments, |i, [g, gg, a, ga, b, gb]| {
        let line = |v: f64, gv: f64| {
            let slope = (gv - g * v) / (gg - g * g + penalty);
            [slope, v - slope * g].map(|v| v as f32)
        };
        let ([slope_a, base_a], [slope_b, base_b]) = (line(a, ga), line(b, gb));
        lines[i] = [slope_a, base_a, slope_b, base_b];
    });
    let mut filtered = vec![[0.0; 2]; guide.len()];
    box_means(
        extent,
        radius,
        |i| lines[i].map(f64::from),
        |i, [slope_a, base_a, slope_b, base_b]| {
            let g = f64::from(guide[i]);
            filtered[i] = [slope_a * g + base_a, slope_b * g + base_b].map(|v| v as f32);
        },
    );
    filtered
}

/// Calls `write` with the mean of `read` over the window around each pixel.
///
/// Sums are in float64, in which adding and taking away again leaves an error of 1e-13 at most, and take the
/// memory of one row.
fn box_means<const N: usize>(
    (width, height): Extent,
    radius: usize,
    read: impl Fn(usize) -> [f64; N],
    mut write: impl FnMut(usize, [f64; N]),
) {
    let mut columns = vec![[0.0; N]; width];
    let change = |columns: &mut [[f64; N]], y: usize, sign: f64| {
        for (x, column) in columns.iter_mut().enumerate() {
            add(column, read(y * width + x), sign);
        }
    };
    (0..radius.min(height)).for_each(|y| change(&mut columns, y, 1.0));
    for y in 0..height {
        if y + radius < height {
            change(&mut columns, y + radius, 1.0);
        }
        if y > radius {
            change(&mut columns, y - radius - 1, -1.0);
        }
        let rows = (y + radius).min(height - 1) - y.saturating_sub(radius) + 1;
        let mut sum = [0.0; N];
        columns.iter().take(radius).for_each(|column| add(&mut sum, *column, 1.0));
        for x in 0..width {
            if x + radius < width {
                add(&mut sum, columns[x + radius], 1.0);
            }
            if x > radius {
                add(&mut sum, columns[x - radius - 1], -1.0);
            }
            let pixels = rows * ((x + radius).min(width - 1) - x.saturating_sub(radius) + 1);
            write(y * width + x, sum.map(|v| v / pixels as f64));
        }
    }
}

fn add<const N: usize>(sum: &mut [f64; N], values: [f64; N], sign: f64) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += sign * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows larger than the picture, of one pixel, and between, against sums over each window.
    #[test]
    fn running_sums_are_sums() {
        for ((width, height), radius) in [((1, 1), 3), ((5, 3), 0), ((7, 4), 2), ((3, 8), 1), ((4, 9), 20)] {
            let value = |i: usize| [(i * 37 % 19) as f64, (i * 11 % 7) as f64 - 3.0];
            let mut count = 0;
            box_means((width, height), radius, value, |i, means| {
                let (x, y) = (i % width, i / width);
                let near = |j: &usize| (j % width).abs_diff(x) <= radius && (j / width).abs_diff(y) <= radius;
                let window: Vec<_> = (0..width * height).filter(near).map(value).collect();
                for (k, mean) in means.into_iter().enumerate() {
                    let expected = window.iter().map(|v| v[k]).sum::<f64>() / window.len() as f64;
                    assert!(
                        (mean - expected).abs() < 1e-12,
                        "{width} x {height}, {radius}: {mean}, {expected}"
                    );
                }
                count += 1;
            });
            assert_eq!(count, width * height);
        }
    }

    /// A plane that is a linear function of the guide stays unchanged, and one that has an edge elsewhere
    /// gets it where the guide has it.
    #[test]
    fn edges_follow_the_guide() {
        let (width, height) = (40, 5);
        let step = |at: usize| move |i: usize| if i % width < at { 0.2f32 } else { 0.8 };
        let guide: Vec<f32> = (0..width * height).map(step(20)).collect();
        let values: Vec<_> = (0..width * height).map(|i| [1.0 - 2.0 * guide[i], step(23)(i)]).collect();
        let filtered = guided(&guide, &values, (width, height), 8, 1e-5);
        for (i, [linear, _]) in filtered.iter().enumerate() {
            assert!((linear - values[i][0]).abs() < 1e-3, "pixel {i}: {linear}");
        }
        let jump = |plane: usize, at: usize| filtered[at][plane] - filtered[at - 1][plane];
        assert!(jump(1, 20) > 0.3 && jump(1, 23) < 0.05, "{} {}", jump(1, 20), jump(1, 23));
    }
}
