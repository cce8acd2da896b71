use proptest::prelude::*;

use super::*;

fn striped(width: usize, height: usize) -> Picture {
    let mut picture = Picture::black(width, height);
    picture.y.iter_mut().enumerate().for_each(|(at, y)| *y = if at % width < width / 2 { 40 } else { 200 });
    picture
}

#[test]
fn a_smaller_picture_shows_the_same() {
    let small = striped(640, 360).fitted(160, 90);
    assert_eq!((small.width(), small.height()), (160, 90));
    assert_eq!(small, striped(160, 90));
    assert_eq!(striped(64, 36).fitted(160, 90), striped(64, 36), "it is never made larger");
}

#[test]
fn each_pixel_is_the_mean_of_those_it_stands_for() {
    let mut picture = Picture::black(4, 2);
    picture.y = vec![10, 20, 30, 40, 50, 60, 70, 80];
    assert_eq!(picture.fitted(2, 2).y, [35, 55]);
}

#[test]
fn black_is_dark_and_anything_else_is_not() {
    assert!(Picture::black(64, 36).is_dark());
    assert!(!striped(64, 36).is_dark());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_size_fits_and_becomes_a_file(width in 1..300_usize, height in 1..300_usize, w in 1..200_usize, h in 1..200_usize) {
        let fitted = striped(width, height).fitted(w, h);
        prop_assert!(fitted.width <= w.max(1) && fitted.height <= h.max(1));
        prop_assert_eq!(fitted.y.len(), fitted.width * fitted.height);
        prop_assert_eq!(fitted.u.len(), fitted.width.div_ceil(2) * fitted.height.div_ceil(2));
        prop_assert!(fitted.to_jpeg().unwrap().starts_with(&[0xff, 0xd8]));
        let mut sheet = Picture::black(w, h);
        sheet.paste(&fitted, width, height);
        prop_assert_eq!(sheet.y.len(), w * h);
    }
}
