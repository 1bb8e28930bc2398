use super::Mutant;

pub const MUTANTS: &[Mutant] = &[
    // The halo of a band, mistaken for the band.
    ("f64", "tv", "params.top + id.y", "id.y"),
    ("f32", "tv", "params.top * row + k", "k"),
    // A sign, a factor.
    ("f32", "tv", "below += sign(here - x[i + row])", "below -= sign(here - x[i + row])"),
    ("f64", "tv", "beside += sign(here - x[i - 1u])", "beside -= sign(here - x[i - 1u])"),
];
