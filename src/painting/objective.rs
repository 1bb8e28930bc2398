//! The loss, recorded from settings: what is measured on the pictures, and what an iteration does.

use crate::Result;
use crate::architecture::Tap;
use crate::engine::gpu::Gpu;
use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::tape::Slot;
use crate::engine::tape::{Shape, Tape, Tensor, Var};
use crate::network::vgg::Vgg;
use crate::ops::adam::{Adam, Rule, Schedule, adam};
use crate::ops::affine::Affine;
use crate::ops::gram::gram;
use crate::ops::log::{Log, log};
use crate::ops::mse::mse;
use crate::ops::tv::tv;
use crate::painting::settings::Settings;
use crate::picture::Picture;

/// The optimised variable is the picture normalised by ImageNet's statistics, whatever the network's own
/// input convention is. Step size and total variation are measured in these units.
pub(crate) const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
pub(crate) const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// From this number of pixels on, memory is saved: weights are transformed in every pass, and the map of
/// conv1_1 is computed again. For smaller pictures both would save little and take time: see
/// `docs/design/kernels.md`.
pub(crate) const SPARE_FROM: usize = 1 << 18;

/// Features of the photograph and Gram matrices of the painting, on the device.
pub(crate) struct Targets {
    pub(crate) content: Vec<wgpu::Buffer>,
    pub(crate) style: Vec<wgpu::Buffer>,
}

/// One iteration on a tape.
pub(crate) struct Recorded<'a> {
    pub(crate) tape: Tape<'a>,
    /// The picture as the network reads it, and its gradient.
    pub(crate) picture: Var,
    /// The picture that the optimiser moves.
    pub(crate) exact: Tensor,
    pub(crate) real: Real,
    /// The optimiser's moments and counters.
    pub(crate) adam: Adam,
    /// The losses of the last iterations.
    pub(crate) log: Log,
}

/// The loss, recorded from settings.
pub(crate) struct Recipe<'a> {
    pub(crate) gpu: &'a Gpu,
    pub(crate) vgg: &'a Vgg,
    pub(crate) settings: &'a Settings,
}

impl<'a> Recipe<'a> {
    /// From the optimised variable to the network's input.
    fn line(&self) -> Affine {
        Affine::denormalize(IMAGENET_MEAN, IMAGENET_STD).then(self.vgg.input())
    }

    /// Makes a tape store maps and transformed weights as the settings say.
    fn in_precision(&self, mut tape: Tape<'a>) -> Tape<'a> {
        tape.set_map_precision(self.settings.precision);
        tape.set_weight_precision(self.settings.precision);
        tape
    }

    /// The Gram matrix, in the variant for this device.
    pub(crate) fn gram(&self, tape: &mut Tape, x: Var) -> Var {
        gram(tape, x, self.vgg.tuning().gram(self.gpu, x.shape.channels))
    }

    /// Records a picture's features at `taps`, each passed through `look`. The tensors are in the order of
    /// `taps`.
    pub(crate) fn record_look(
        &self,
        shape: Shape,
        taps: &[Tap],
        look: impl Fn(&mut Tape, Var) -> Var,
    ) -> (Tape<'a>, Var, Vec<Tensor>) {
        let mut tape = self.in_precision(Tape::forward_only(self.gpu));
        let leaf = tape.leaf("picture", shape);
        let mut seen = vec![leaf.value; taps.len()];
        let options = self.settings.network_options();
        self.vgg.record(&mut tape, leaf, &self.line(), options, taps, |tape, tap, x| {
            tape.op(format!("{tap}.measured"));
            let y = look(tape, x);
            tape.keep(y.value);
            seen[taps.iter().position(|t| *t == tap).expect("a tap that was asked for")] = y.value;
        });
        (tape, leaf, seen)
    }

    /// The values of a picture's features at `taps`, each passed through `look`, in the order of `taps`.
    pub(crate) fn measure(
        &self,
        picture: &Picture,
        taps: &[Tap],
        look: impl Fn(&mut Tape, Var) -> Var,
    ) -> Result<Vec<Vec<f32>>> {
        if taps.is_empty() {
            return Ok(Vec::new());
        }
        let (tape, leaf, seen) = self.record_look(Shape::new(3, picture.height, picture.width), taps, look);
        let plan = tape.finish()?;
        plan.write(self.gpu, leaf.value, &Real::F32.encode(&normalize(picture)));
        plan.run(self.gpu);
        seen.into_iter().map(|tensor| plan.read(self.gpu, tensor)).collect()
    }

    /// Records an iteration on a picture of `shape`, and a log of the losses of `history` iterations. Without
    /// targets the tape is only for measuring its memory.
    pub(crate) fn record(&self, shape: Shape, targets: Option<&Targets>, history: usize) -> Recorded<'a> {
        let settings = self.settings;
        let (contents, styles) = (&settings.content_layers, &settings.style_layers);
        let slots = settings.losses();
        let mut tape = self.in_precision(Tape::new(self.gpu));
        tape.spend_memory(shape.pixels() < SPARE_FROM);
        tape.scale_gradients(settings.gradient_scale(shape.pixels()));
        let picture = tape.leaf("picture", shape);
        picture.grad.into_iter().for_each(|grad| tape.keep(grad));
        // With maps in half precision, float64 would gain nothing.
        let real = if settings.precision == Precision::Half { Real::F32 } else { Real::of(self.gpu) };
        let exact = tape.state("exact", real.len(shape.len()));
        let losses = tape.state("losses", slots);
        // Recorded first, so it adds its gradient last, when that of the network has arrived.
        tape.op("tv");
        let weight = tape.knob(settings.tv_weight);
        tv(&mut tape, picture, exact, real, weight, Slot { losses, index: slots - 1 });
        let target = |tape: &mut Tape, buffer: Option<&wgpu::Buffer>, shape: Shape| match buffer {
            Some(buffer) => tape.given("target", buffer),
            None => tape.state("target", shape.len()),
        };
        let (line, options) = (self.line(), settings.network_options());
        self.vgg.record(&mut tape, picture, &line, options, &settings.taps(), |tape, tap, x| {
            if let Some(index) = contents.iter().position(|t| *t == tap) {
                tape.op(format!("{tap}.content"));
                let target = target(tape, targets.map(|t| &t.content[index]), x.shape);
                let weight = tape.knob(settings.content_weight);
                mse(tape, x, target, weight, Slot { losses, index });
            }
            if let Some(index) = styles.iter().position(|t| *t == tap) {
                tape.op(format!("{tap}.gram"));
                let g = self.gram(tape, x);
                tape.op(format!("{tap}.style"));
                let target = target(tape, targets.map(|t| &t.style[index]), g.shape);
                let weight = tape.knob(settings.style_weight_at(index));
                mse(tape, g, target, weight, Slot { losses, index: contents.len() + index });
            }
        });
        tape.op("log");
        let kept = Log::new(&mut tape, slots, history);
        log(&mut tape, kept, losses, slots, history);
        tape.op("adam");
        let schedule =
            Schedule::decaying(&mut tape, settings.learning_rate, settings.decay, settings.decay_every);
        let adam = adam(&mut tape, picture, exact, real, Rule::PAPER, schedule);
        Recorded { tape, picture, exact, real, adam, log: kept }
    }
}

/// The optimised variable of a picture: planes of 0..1 become `height x 3 x width`, normalised.
pub(crate) fn normalize(picture: &Picture) -> Vec<f64> {
    let line = Affine::normalize(IMAGENET_MEAN, IMAGENET_STD);
    let (width, plane) = (picture.width, picture.width * picture.height);
    let mut values = Vec::with_capacity(3 * plane);
    for y in 0..picture.height {
        for c in 0..3 {
            let row = &picture.rgb[c * plane + y * width..][..width];
            values.extend(row.iter().map(|v| line.apply(c, f64::from(*v))));
        }
    }
    values
}

/// The inverse of [`normalize`], clamped to 0..1.
pub(crate) fn denormalize(shape: Shape, values: &[f64]) -> Picture {
    let line = Affine::denormalize(IMAGENET_MEAN, IMAGENET_STD);
    let (width, plane) = (shape.width, shape.pixels());
    let mut rgb = vec![0.0; 3 * plane];
    for (i, row) in values.chunks_exact(width).enumerate() {
        let (y, c) = (i / 3, i % 3);
        let out = &mut rgb[c * plane + y * width..][..width];
        out.iter_mut().zip(row).for_each(|(o, v)| *o = line.apply(c, *v).clamp(0.0, 1.0) as f32);
    }
    Picture::new(width, shape.height, rgb)
}
