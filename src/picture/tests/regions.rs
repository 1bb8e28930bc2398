//! Tests of regions and their masks.

use super::*;

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 160, 60];
const BLUE: [u8; 3] = [0, 0, 255];

/// A picture of the size `size` that has the colours that `colour` gives for its columns and rows.
fn drawn(size: (usize, usize), colour: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
    let at = |i: usize| colour(i % size.0, i / size.0);
    let plane = |p: usize| (0..size.0 * size.1).map(move |i| f32::from(at(i)[p]) / 255.0);
    Picture::new(size.0, size.1, (0..3).flat_map(plane).collect())
}

/// Red on the left, and green from column `edge` on.
fn halves(size: (usize, usize), edge: usize) -> Picture {
    drawn(size, |x, _| if x < edge { RED } else { GREEN })
}

fn region_picture<'a>(name: &'a str, picture: &'a Picture) -> RegionPicture<'a> {
    RegionPicture { path: Path::new(name), picture, beside: (picture.width, picture.height) }
}

fn regions(content: &Picture, styles: &[&Picture]) -> Result<Regions> {
    let names = ["a.png", "b.png"];
    let styles: Vec<_> = names.iter().zip(styles).map(|(name, p)| region_picture(name, p)).collect();
    Regions::new(region_picture("photo.png", content), &styles)
}

#[track_caller]
fn assert_refused(found: Result<Regions>, start: &str) {
    let text = found.expect_err("these are no good regions").to_string();
    assert_sentence(&text, start);
}

fn colours(regions: &Regions) -> Vec<String> {
    regions.colours().iter().map(ToString::to_string).collect()
}

/// The weights of a mask, row by row.
fn weights(mask: &Mask) -> Vec<&[f32]> {
    mask.weights.chunks_exact(mask.width).collect()
}

#[test]
fn masks_are_means_of_two_by_two() {
    // Odd sizes: pooling leaves the last row and column out.
    let (content, style) = (halves((13, 9), 5), halves((12, 8), 8));
    let found = regions(&content, &[&style]).unwrap();
    assert_eq!(colours(&found), ["#00a03c", "#ff0000"]);
    let masks = found.masks((13, 9), &[(12, 8)], &[("relu1_1", 0), ("relu2_1", 1), ("relu3_1", 2)]);
    let note = |whose: &str, colour: &str, layer: &str| {
        format!(
            "the {whose}'s region {colour} is too small for {layer} at 13 x 9 pixels, so it gets no style there"
        )
    };
    let notes = ["#00a03c", "#ff0000"].map(|colour| note("photograph", colour, "relu3_1"));
    assert_eq!(masks.notes, notes);
    let [first, second, third] = &masks.layers[..] else { panic!("{masks:?}") };
    assert_eq!((&*first.layer, first.regions.len()), ("relu1_1", 2));
    let [green, red] = &first.regions[..] else { panic!("{first:?}") };
    assert_eq!((green.content.width, green.content.height, green.content.sites()), (13, 9, 72.0));
    assert_eq!(weights(&red.content)[8], [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let [green, red] = &second.regions[..] else { panic!("{second:?}") };
    assert_eq!(weights(&red.content), [[1.0, 1.0, 0.5, 0.0, 0.0, 0.0]; 4]);
    assert_eq!(weights(&green.content), [[0.0, 0.0, 0.5, 1.0, 1.0, 1.0]; 4]);
    assert_eq!(weights(green.styles[0].as_ref().unwrap()), [[0.0, 0.0, 0.0, 0.0, 1.0, 1.0]; 4]);
    assert!(third.regions.is_empty(), "{third:?}");

    let masks = found.masks((13, 9), &[(6, 4)], &[("relu2_1", 1)]);
    assert_eq!(masks.notes, [note("painting", "#00a03c", "relu2_1")]);
    let left: Vec<_> = masks.layers[0].regions.iter().map(|region| region.colour.to_string()).collect();
    assert_eq!(left, ["#ff0000"]);
}

/// Each pixel of another size has the label of the pixel its middle lies in.
#[test]
fn labels_are_not_blended() {
    let content = drawn((12, 12), |x, _| [RED, GREEN, BLUE][x / 4]);
    let found = regions(&content, &[&content]).unwrap();
    let masks = found.masks((8, 6), &[(30, 3)], &[("relu1_1", 0)]);
    for region in &masks.layers[0].regions {
        let styled = region.styles[0].as_ref().unwrap();
        assert!(region.content.weights.iter().chain(&styled.weights).all(|v| *v == 0.0 || *v == 1.0));
        assert_eq!(styled.sites(), 30.0);
    }
    let row = |colour: [u8; 3]| {
        let region = masks.layers[0].regions.iter().find(|r| r.colour == RegionColour(colour)).unwrap();
        weights(&region.content)[5].to_vec()
    };
    // Middles at 0.75, 2.25, 3.75, 5.25 and so on of 12 columns.
    assert_eq!(row(RED), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(row(GREEN), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(row(BLUE), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
}

/// A slanted edge through a JPEG of low quality, with chroma of half the size, leaves colours of all kinds.
#[test]
fn jpeg_makes_no_regions_of_its_own() {
    let shape = |x: usize, y: usize| if 2 * x + y < 150 { RED } else { [BLUE, GREEN][usize::from(y > 60)] };
    let clean = drawn((160, 120), shape);
    let samples: Vec<_> = (0..160 * 120).flat_map(|i| shape(i % 160, i / 160)).collect();
    for quality in [30, 75, 95] {
        let mut file = Cursor::new(Vec::new());
        let encoder = JpegEncoder::new_with_quality(&mut file, quality);
        encoder.write_image(&samples, 160, 120, ExtendedColorType::Rgb8).unwrap();
        let noisy = Picture::from_bytes("noisy.jpg", file.get_ref()).unwrap();
        let found = regions(&clean, &[&noisy]).unwrap();
        assert_eq!(colours(&found).len(), 3, "quality {quality}: {:?}", colours(&found));
        let masks = found.masks((160, 120), &[(160, 120)], &[("relu1_1", 0)]);
        for region in &masks.layers[0].regions {
            let (drawn, read) = (&region.content.weights, &region.styles[0].as_ref().unwrap().weights);
            let wrong = drawn.iter().zip(read).filter(|(a, b)| a != b).count();
            // Of the two edges' 250 pixels of length, some lie on the wrong side.
            assert!(wrong < 500, "quality {quality}, {}: {wrong} pixels", region.colour);
        }
    }
}

/// Lines between regions, as drawing programs smooth them, are no regions.
#[test]
fn blends_belong_to_the_nearest() {
    let soft = drawn((40, 40), |x, _| match x {
        0..20 => RED,
        20 => [170, 53, 20],
        21 => [85, 106, 40],
        _ => GREEN,
    });
    let found = regions(&soft, &[&halves((40, 40), 20)]).unwrap();
    let masks = found.masks((40, 40), &[(40, 40)], &[("relu1_1", 0)]);
    let sites: Vec<_> =
        masks.layers[0].regions.iter().map(|r| (r.colour.to_string(), r.content.sites())).collect();
    assert_eq!(sites, [("#ff0000".into(), 840.0), ("#00a03c".into(), 760.0)]);
}

#[test]
fn every_region_needs_a_partner() {
    let two = halves((20, 20), 10);
    let three = drawn((20, 20), |x, y| {
        if y > 14 {
            BLUE
        } else if x < 10 {
            RED
        } else {
            GREEN
        }
    });
    let one = drawn((20, 20), |_, _| RED);
    assert_refused(regions(&three, &[&two]), "the region #0000ff of photo.png has no partner in a.png; ");
    assert_refused(
        regions(&three, &[&one]),
        "the regions #00a03c, #0000ff of photo.png have no partner in a.png; ",
    );
    assert_refused(
        regions(&two, &[&two, &three]),
        "the region #0000ff of b.png has no partner in photo.png; ",
    );
    // One painting of several is enough.
    let other = drawn((20, 20), |_, _| GREEN);
    let found = regions(&two, &[&one, &other]).unwrap();
    let masks = found.masks((20, 20), &[(20, 20), (16, 16)], &[("relu1_1", 0)]);
    let of = |colour| {
        let region = masks.layers[0].regions.iter().find(|r| r.colour == RegionColour(colour)).unwrap();
        region.styles.iter().map(|mask| mask.as_ref().map(Mask::sites)).collect::<Vec<_>>()
    };
    assert_eq!((of(RED), of(GREEN)), (vec![Some(400.0), None], vec![None, Some(256.0)]));
}

#[test]
fn what_shows_no_regions_is_refused() {
    let good = halves((20, 20), 10);
    let start = "cannot use picture photo.png: ";
    let noise = Picture::noise(60, 60, 1);
    assert_refused(regions(&noise, &[&good]), &format!("{start}it has no flat colours"));
    let gradient = drawn((240, 20), |x, _| [x as u8, 255 - x as u8, 0]);
    assert!(regions(&gradient, &[&gradient]).is_ok(), "broad steps of a gradient are regions, if odd ones");
    let many = drawn((64, 64), |x, y| [(x / 12 * 50) as u8, (y / 12 * 50) as u8, 0]);
    assert_refused(regions(&many, &[&good]), &format!("{start}it has 36 regions, and the most is 16; "));
    let mut clear = good.clone();
    clear.alpha = Some(vec![0.5; 400]);
    assert_refused(regions(&clear, &[&good]), &format!("{start}as a picture of regions it must be opaque; "));
    let other = RegionPicture { beside: (30, 20), ..region_picture("photo.png", &good) };
    assert_refused(
        Regions::new(other, &[region_picture("a.png", &good)]),
        &format!(
            "{start}it has 20 x 20 pixels, but the picture that it divides into regions has another shape, 30 x 20; "
        ),
    );
    // A smaller copy, with its height rounded.
    let small = halves((100, 67), 50);
    let copy = RegionPicture { beside: (4000, 2667), ..region_picture("photo.png", &small) };
    assert!(Regions::new(copy, &[region_picture("a.png", &good)]).is_ok());
}
