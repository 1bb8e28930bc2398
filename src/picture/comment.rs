//! What a program says about a picture that it wrote.

/// A program's name and its text about a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    /// Name and version of the program that wrote the picture.
    pub software: String,
    /// What it says about the picture, in ASCII.
    pub text: String,
}
