// The products of four pixels with four channels: a column for each channel.
fn outer(pixels: vec4f, channels: vec4f) -> mat4x4f {
    return mat4x4f(pixels * channels.x, pixels * channels.y, pixels * channels.z, pixels * channels.w);
}
