//! Sums over the sites of all tiles, on the processor in float64, and what follows from them for the whole
//! picture.

/// Sums over sites of `x - shift`, of each channel and of the products of each pair of channels. Tiles are
/// added in their order, so that the bits do not depend on which device has which tile.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    sum: Vec<f64>,
    products: Vec<f64>,
}

impl Sums {
    pub(crate) fn new(channels: usize) -> Self {
        Self { sum: vec![0.0; channels], products: vec![0.0; channels * channels] }
    }

    /// Adds what a band of a tile has.
    pub(crate) fn add(&mut self, sum: &[f32], products: &[f32]) {
        let add =
            |to: &mut [f64], from: &[f32]| to.iter_mut().zip(from).for_each(|(t, f)| *t += f64::from(*f));
        add(&mut self.sum, sum);
        add(&mut self.products, products);
    }

    /// Mean of each channel and covariance of the channels, of `sites` sites in all. The mean's own shift is
    /// exact, so that nothing large cancels if the shift is near the mean.
    pub(crate) fn moments(&self, shift: &[f32], sites: usize) -> [Vec<f32>; 2] {
        let (c, n) = (self.sum.len(), sites as f64);
        let off: Vec<f64> = self.sum.iter().map(|s| s / n).collect();
        let mean = off.iter().zip(shift).map(|(off, shift)| (f64::from(*shift) + off) as f32).collect();
        let covariance = self.products.iter().enumerate();
        let covariance = covariance.map(|(i, p)| (p / n - off[i / c] * off[i % c]) as f32).collect();
        [mean, covariance]
    }

    /// [`Self::moments`] of unshifted sites.
    pub(crate) fn raw_moments(&self, sites: usize) -> [Vec<f32>; 2] {
        self.moments(&vec![0.0; self.sum.len()], sites)
    }

    /// The Gram matrix of unshifted sites: the mean of all products, divided by the channels.
    pub(crate) fn gram(&self, sites: usize) -> Vec<f64> {
        let values = (self.sum.len() * sites) as f64;
        self.products.iter().map(|p| p / values).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the shift is, it leaves nothing in mean and covariance.
    #[test]
    fn a_shift_leaves_no_trace() {
        let sites = [[1.5f32, -2.0], [0.25, 3.0], [4.0, 0.5]];
        let of = |shift: [f32; 2]| {
            let mut sums = Sums::new(2);
            for site in &sites {
                let d = [site[0] - shift[0], site[1] - shift[1]];
                sums.add(&d, &[d[0] * d[0], d[0] * d[1], d[1] * d[0], d[1] * d[1]]);
            }
            sums.moments(&shift, sites.len())
        };
        let [mean, covariance] = of([0.0, 0.0]);
        assert_eq!(mean, [5.75f32 / 3.0, 0.5]);
        assert_eq!(of([1.0, -3.0])[0], mean);
        let other = &of([1.0, -3.0])[1];
        assert!(covariance.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-6), "{covariance:?} {other:?}");
    }
}
