//! The whole chain in float64: picture, network, total loss. Put together from the references of the ops.

use crate::architecture::{Edge, Network, NetworkOptions, Tap};
use crate::cases::{sum, widen};
use crate::engine::tape::Shape;
use crate::network::weights::Weights;
use crate::ops::affine::Affine;
use crate::ops::tv::Differences;
use crate::ops::{conv3x3, gram, pool};
use crate::painting::settings::Settings;
use crate::painting::variable::Variable;
use crate::picture::Picture;

/// The loss of a picture as [`Session`](crate::painting::session::Session) minimises it, in float64, for
/// networks and pictures that are small enough for it.
pub struct Chain<'a> {
    network: &'a Network,
    settings: &'a Settings,
    /// From the optimised variable to the network's input.
    line: Affine,
    /// Weights and biases of each convolution.
    layers: Vec<(Vec<f64>, Vec<f64>)>,
    shape: Shape,
    content: Vec<Vec<f64>>,
    style: Vec<Vec<f64>>,
}

impl<'a> Chain<'a> {
    /// The loss from the features of a content and the Gram matrices of a style.
    pub fn new(
        network: &'a Network,
        weights: &'a Weights,
        settings: &'a Settings,
        content: &Picture,
        style: &Picture,
    ) -> Self {
        let shape = |picture: &Picture| Shape::new(3, picture.height, picture.width);
        let Weights { layers, input_mean, input_std } = weights;
        let input = Affine::normalize(input_mean.map(f64::from), input_std.map(f64::from));
        let mut chain = Self {
            network,
            settings,
            line: Variable::of(settings.recipe).to_rgb().then(input),
            layers: layers.iter().map(|l| (widen(&l.weight), widen(&l.bias))).collect(),
            shape: shape(content),
            content: Vec::new(),
            style: Vec::new(),
        };
        let seen = chain.look(
            shape(content),
            &Variable::of(settings.recipe).encode(content),
            &settings.content_layers,
        );
        chain.content = seen.into_iter().map(|(_, x)| x).collect();
        let seen =
            chain.look(shape(style), &Variable::of(settings.recipe).encode(style), &settings.style_layers);
        chain.style = seen.into_iter().map(|(shape, x)| gram::reference(shape, &x)).collect();
        chain
    }

    /// The total loss of the optimised variable, `height x 3 x width`.
    pub fn total(&self, variable: &[f64]) -> f64 {
        let seen = self.look(self.shape, variable, &self.settings.taps());
        let (content, style) = seen.split_at(self.content.len());
        let error = |x: &[f64], target: &[f64]| {
            sum(x.iter().zip(target).map(|(x, t)| (x - t) * (x - t))) / x.len() as f64
        };
        let content = content.iter().zip(&self.content).map(|((_, x), target)| error(x, target));
        let grams = style.iter().map(|(shape, x)| gram::reference(*shape, x));
        let style = grams.zip(&self.style).enumerate();
        let style = style.map(|(i, (g, target))| self.settings.style_weight_at(i) * error(&g, target));
        self.settings.content_weight * content.sum::<f64>()
            + style.sum::<f64>()
            + Differences::Absolute.reference(self.shape, self.settings.tv_weight, variable)
    }

    /// The features of a picture at `taps`, in their order.
    fn look(&self, shape: Shape, variable: &[f64], taps: &[Tap]) -> Vec<(Shape, Vec<f64>)> {
        let channel = |i: usize| i / shape.width % 3;
        let mut x: Vec<f64> =
            variable.iter().enumerate().map(|(i, v)| self.line.apply(channel(i), *v)).collect();
        let (mut shape, mut found) = (shape, vec![None; taps.len()]);
        let mut layers = self.layers.iter();
        let NetworkOptions { pooling, edge } = self.settings.network_options();
        'blocks: for (b, block) in self.network.blocks.iter().enumerate() {
            if b > 0 {
                x = pool::reference(shape, pooling, &x);
                shape = Shape::new(shape.channels, shape.height / 2, shape.width / 2);
            }
            for i in 1..=block.convolutions {
                let Some((weights, bias)) = layers.next() else { break 'blocks };
                let edge = if (b, i) == (0, 1) { edge } else { Edge::Zeros };
                x = conv3x3::cases::reference(shape, edge, false, &x, weights, bias);
                shape.channels = bias.len();
                let rectified = x.iter().map(|v| v.max(0.0)).collect();
                for (kind, values) in [("conv", &x), ("relu", &rectified)] {
                    let name = format!("{kind}{}_{i}", b + 1);
                    for at in (0..taps.len()).filter(|at| taps[*at].to_string() == name) {
                        found[at] = Some((shape, values.clone()));
                    }
                }
                if found.iter().all(Option::is_some) {
                    break 'blocks;
                }
                x = rectified;
            }
        }
        found.into_iter().map(|seen| seen.expect("the network has every layer that is looked at")).collect()
    }
}
