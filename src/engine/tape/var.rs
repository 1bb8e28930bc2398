//! What ops pass to each other: tensors, and feature maps with their gradients.

use std::ops::Range;

use crate::engine::precision::Precision;
use crate::engine::real::Real;
use crate::engine::shape::Shape;

/// A named array of values on the device, of 32 bits each or of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor(pub(crate) usize);

/// Where an op writes its loss: one value of the array of all losses.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The array of all losses.
    pub losses: Tensor,
    /// Which of them.
    pub index: usize,
}

/// What a dispatch sees of a tensor: all of it, or a range of its values.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) tensor: Tensor,
    pub(crate) range: Option<Range<usize>>,
}

impl From<Tensor> for View {
    fn from(tensor: Tensor) -> Self {
        Self { tensor, range: None }
    }
}

/// A feature map and, where the loss is to be differentiated by it, its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Var {
    /// Size of value and gradient.
    pub shape: Shape,
    /// How both are stored.
    pub precision: Precision,
    /// The values.
    pub value: Tensor,
    /// The gradient of the total loss with respect to the values.
    pub grad: Option<Tensor>,
}

impl Var {
    /// The values of some rows.
    pub fn rows(&self, rows: Range<usize>) -> View {
        View { tensor: self.value, range: Some(self.shape.rows(rows)) }
    }

    /// As [`Self::rows`], of a tensor that holds as many values as this map, but in the precision `real`.
    pub(crate) fn rows_of(&self, tensor: Tensor, real: Real, rows: Range<usize>) -> View {
        View { tensor, range: Some(self.shape_in(real).rows(rows)) }
    }

    /// The rows that a band of rows reads of it: see [`Shape::halo`].
    pub(crate) fn halo(&self, rows: &Range<usize>) -> Range<usize> {
        self.shape.halo(rows, self.precision)
    }

    /// The shape of as many 32-bit values as these values take in the precision `real`.
    pub(crate) fn shape_in(&self, real: Real) -> Shape {
        Shape { channels: real.len(self.shape.channels), ..self.shape }
    }
}
