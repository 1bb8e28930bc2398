// Where the gates of 32 channels, from `first` on, of a pixel are.
fn gate_word(row: u32, first: u32, column: u32) -> u32 {
    return (row * ((params.c_out + 31u) / 32u) + first / 32u) * params.w + column;
}
