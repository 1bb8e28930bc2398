//! A picture of a run as its result: with what the network does not see of the photograph.

use super::choices::Colours;
use crate::picture::{Picture, Size};

/// A session's picture with the transparency and the metadata of `content`, the photograph at the result's size, and
/// with its colours if those are wanted. On the way through smaller sizes the transparency is scaled.
pub fn as_result(mut picture: Picture, content: &Picture, colours: Colours) -> Picture {
    let Picture { width, height, .. } = picture;
    picture.alpha = match (width, height) == (content.width, content.height) {
        true => content.alpha.clone(),
        false => content.resized(Size::Exact { width, height }, true).alpha,
    };
    if colours == Colours::Photo {
        picture.rgb = picture.recoloured(content).rgb;
    }
    picture.exif = content.exif.clone();
    picture
}
