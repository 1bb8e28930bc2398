// Which of the four values of a window, in reading order, is the first of its largest, as a bit; 0 if none is
// positive.
fn first_maximum(v: vec4f) -> u32 {
    var bit = 8u;
    if v.z >= v.w { bit = 4u; }
    if v.y >= max(v.z, v.w) { bit = 2u; }
    if v.x >= max(v.y, max(v.z, v.w)) { bit = 1u; }
    return select(0u, bit, max(max(v.x, v.y), max(v.z, v.w)) > 0.0);
}
