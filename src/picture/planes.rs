//! The values of a picture, which copies of it share until one of them is changed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Red, green and blue plane of a picture. A clone takes no memory until it is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes(Arc<Vec<f32>>);

impl From<Vec<f32>> for Planes {
    fn from(values: Vec<f32>) -> Self {
        Self(Arc::new(values))
    }
}

impl From<Planes> for Vec<f32> {
    fn from(planes: Planes) -> Self {
        Arc::unwrap_or_clone(planes.0)
    }
}

impl PartialEq<Vec<f32>> for Planes {
    fn eq(&self, values: &Vec<f32>) -> bool {
        **self == *values
    }
}

impl<const N: usize> PartialEq<[f32; N]> for Planes {
    fn eq(&self, values: &[f32; N]) -> bool {
        **self == *values
    }
}

impl Deref for Planes {
    type Target = Vec<f32>;

    fn deref(&self) -> &Vec<f32> {
        &self.0
    }
}

impl DerefMut for Planes {
    fn deref_mut(&mut self) -> &mut Vec<f32> {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_shared_until_one_is_changed() {
        let first = Planes::from(vec![1.0, 2.0]);
        let mut second = first.clone();
        assert!(std::ptr::eq(first.as_ptr(), second.as_ptr()));
        second[0] = 3.0;
        assert_eq!((first.as_slice(), second.as_slice()), ([1.0, 2.0].as_slice(), [3.0, 2.0].as_slice()));
    }
}
