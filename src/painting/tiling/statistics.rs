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
    pub(crate) fn moments(&self, shift: &[f32], sites: f64) -> [Vec<f32>; 2] {
        let (c, n) = (self.sum.len(), sites);
        let off: Vec<f64> = self.sum.iter().map(|s| s / n).collect();
        let mean = off.iter().zip(shift).map(|(off, shift)| (f64::from(*shift) + off) as f32).collect();
        let covariance = self.products.iter().enumerate();
        let covariance = covariance.map(|(i, p)| (p / n - off[i / c] * off[i % c]) as f32).collect();
        [mean, covariance]
    }

    /// The same, where only the products are those of shifted sites.
    pub(crate) fn moments_of_weighed(mut self, shift: &[f32], sites: f64) -> [Vec<f32>; 2] {
        self.sum.iter_mut().zip(shift).for_each(|(sum, shift)| *sum -= sites * f64::from(*shift));
        self.moments(shift, sites)
    }

    /// [`Self::moments`] of unshifted sites.
    pub(crate) fn raw_moments(&self, sites: usize) -> [Vec<f32>; 2] {
        self.moments(&vec![0.0; self.sum.len()], sites as f64)
    }

    /// The Gram matrix of unshifted sites: the mean of all products, divided by the channels.
    pub(crate) fn gram(&self, sites: f64) -> Vec<f64> {
        let values = self.sum.len() as f64 * sites;
        self.products.iter().map(|p| p / values).collect()
    }
}

/// The statistics of a style term, of the whole picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statistic {
    /// A Gram matrix.
    Gram(Vec<f64>),
    /// Mean of each channel and covariance of the channels.
    Moments([Vec<f32>; 2]),
}

impl Statistic {
    /// The values, as checkpoints have them.
    pub(crate) fn words(&self) -> Vec<f32> {
        match self {
            Self::Gram(values) => values.iter().map(|v| *v as f32).collect(),
            Self::Moments(moments) => moments.concat(),
        }
    }

    /// The same, as it comes back from a checkpoint.
    pub(crate) fn rounded(self) -> Self {
        match self {
            Self::Gram(values) => Self::Gram(values.into_iter().map(|v| f64::from(v as f32)).collect()),
            moments @ Self::Moments(_) => moments,
        }
    }

    /// The same with other values, of which some of `words` are taken; `None` if there are too few.
    pub(crate) fn read(&self, words: &mut &[f32]) -> Option<Self> {
        let mut take = |len: usize| {
            let (own, rest) = words.split_at_checked(len)?;
            *words = rest;
            Some(own.to_vec())
        };
        Some(match self {
            Self::Gram(values) => Self::Gram(take(values.len())?.into_iter().map(f64::from).collect()),
            Self::Moments([mean, covariance]) => Self::Moments([take(mean.len())?, take(covariance.len())?]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_come_back_from_their_words() {
        let all = [Statistic::Gram(vec![0.5, 2.0, 2.0, 0.25]), Statistic::Moments([vec![1.0], vec![3.0]])];
        let words: Vec<f32> = all.iter().flat_map(Statistic::words).collect();
        let mut rest = words.as_slice();
        let read: Vec<_> = all.iter().map(|statistic| statistic.read(&mut rest).unwrap()).collect();
        assert_eq!((read.as_slice(), rest), (all.as_slice(), &[][..]));
        assert_eq!(all[0].read(&mut &words[..3]), None);
    }

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
            sums.moments(&shift, sites.len() as f64)
        };
        let [mean, covariance] = of([0.0, 0.0]);
        assert_eq!(mean, [5.75f32 / 3.0, 0.5]);
        assert_eq!(of([1.0, -3.0])[0], mean);
        let other = &of([1.0, -3.0])[1];
        assert!(covariance.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-6), "{covariance:?} {other:?}");
        // Of a region, the sums of a channel are not shifted.
        let mut sums = Sums::new(2);
        for site in &sites {
            let d = [site[0] - 1.0, site[1] + 3.0];
            sums.add(site, &[d[0] * d[0], d[0] * d[1], d[1] * d[0], d[1] * d[1]]);
        }
        assert_eq!(sums.moments_of_weighed(&[1.0, -3.0], 3.0), of([1.0, -3.0]));
    }
}
