//! Gram matrix of a feature map.

use crate::kernel;
use crate::tape::{Shape, Tape, Var, View};
use crate::testing::{Case, Input};

/// Rows summed into one partial matrix: bounds the memory of the partial sums while keeping a device busy.
fn shares(shape: Shape) -> usize {
    (256 / shape.channels).clamp(1, 8).min(shape.height)
}

/// `g = x x^T / (c n)` for `x` of `c` channels and `n` pixels; `dx = (dg + dg^T) x / (c n)`.
///
/// The sum over pixels is split into shares of rows, which are added in a fixed order.
pub fn gram(tape: &mut Tape, x: Var) -> Var {
    let Shape { channels: c, width: w, .. } = x.shape;
    let bands = tape.bands(&[x.shape]);
    let scale = 1.0 / x.shape.len() as f64;
    let shares = shares(x.shape);
    let g = tape.output("g", Shape::new(1, c, c), x);
    let partial = tape.scratch("partial", bands.len() * shares * c * c);
    for (index, band) in bands.iter().enumerate() {
        let params = [
            ("c", c.into()),
            ("h", band.len().into()),
            ("w", w.into()),
            ("scale", scale.into()),
            ("shares", shares.into()),
            ("share", (index * shares).into()),
        ];
        tape.forward(kernel!("gram", "forward"))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .bind("partial", partial)
            .grid([c * c, shares, 1]);
        tape.backward(kernel!("gram", "backward"))
            .params(params)
            .bind("x", x.rows(band.clone()))
            .upstream("dg", g)
            .grad_rows("dx", x, band.clone())
            .grid([c * w, band.len(), 1]);
    }
    tape.forward(kernel!("gram_sum", "forward"))
        .params([("n", (c * c).into()), ("shares", (bands.len() * shares).into())])
        .bind("partial", View::from(partial))
        .bind("g", g.value)
        .grid([c * c, 1, 1]);
    g
}

pub(crate) fn reference(shape: Shape, x: &[f64]) -> Vec<f64> {
    let Shape { channels: c, width: w, .. } = shape;
    let mut g = vec![0.0; c * c];
    for row in x.chunks_exact(c * w) {
        for i in 0..c {
            for j in 0..c {
                let products = row[i * w..][..w].iter().zip(&row[j * w..][..w]).map(|(a, b)| a * b);
                g[i * c + j] += products.sum::<f64>() / shape.len() as f64;
            }
        }
    }
    g
}

/// One value, primes, around the kernels' tiles, a style layer's size.
pub fn cases() -> Vec<Case> {
    [(1, 1, 1), (3, 5, 7), (4, 1, 33), (7, 9, 8), (64, 3, 5), (65, 2, 3), (128, 9, 4)]
        .map(|(c, h, w)| {
            let shape = Shape::new(c, h, w);
            Case::new("gram", format!("{shape}"), [Input::vary("x", shape)])
                .record(|tape, inputs| gram(tape, inputs[0].var))
                .reference(move |inputs| reference(shape, &inputs[0]))
        })
        .into()
}
