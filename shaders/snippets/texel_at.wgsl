// Where texel number i is in a texture that serves as linear memory, in rows of 256 texels.
fn texel_at(i: u32) -> vec2u { return vec2u(i & 255u, i >> 8u); }
