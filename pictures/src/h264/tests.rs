use std::sync::Arc;

use bytes::Bytes;
use onair_media::CodecConfig;
use openh264::encoder::Encoder;
use openh264::formats::YUVBuffer;
use proptest::prelude::*;

use super::*;
use crate::Keyframe;

/// Encodes a picture, dark on its left and bright on its right, with the encoder of the same library.
fn keyframe(width: usize, height: usize) -> Keyframe {
    let luma = (0..width * height).map(|at| if at % width < width / 2 { 40 } else { 200 });
    let yuv: Vec<u8> = luma.chain(std::iter::repeat_n(128, width * height / 2)).collect();
    let stream = Encoder::new().unwrap().encode(&YUVBuffer::from_vec(yuv, width, height)).unwrap().to_vec();
    let nals: Vec<&[u8]> =
        openh264::nal_units(&stream).map(|nal| &nal[nal.iter().position(|&b| b == 1).unwrap() + 1..]).collect();
    let of_type = |kind: u8| nals.iter().filter(move |nal| nal[0] & 0x1f == kind);
    let parameters = |kind| Bytes::copy_from_slice(of_type(kind).next().unwrap());
    let config = CodecConfig::H264 {
        sps: parameters(SEQUENCE_PARAMETERS),
        pps: parameters(PICTURE_PARAMETERS),
        width: width as u32,
        height: height as u32,
    };
    let sample = of_type(IDR_SLICE).flat_map(|nal| [&(nal.len() as u32).to_be_bytes(), *nal].concat());
    Keyframe { config: Arc::new(config), data: sample.collect() }
}

#[test]
fn a_keyframe_becomes_the_picture_that_was_encoded() {
    for (width, height) in [(320, 180), (98, 50)] {
        let picture = keyframe(width, height).decode().unwrap();
        assert_eq!((picture.width(), picture.height()), (width, height));
        let row = &picture.y[height / 2 * width..];
        assert!(row[width / 4].abs_diff(40) < 8 && row[width * 3 / 4].abs_diff(200) < 8, "{width} by {height}");
    }
}

#[test]
fn what_is_no_keyframe_is_an_error() {
    let good = keyframe(64, 48);
    let with = |data: &[u8]| Keyframe { data: Bytes::copy_from_slice(data), ..good.clone() }.decode();
    assert_eq!(with(&[]), Err(PictureError::Malformed("not the slices of one IDR picture")));
    assert_eq!(with(&[0, 0, 0, 9, 0x65]), Err(CUT_OFF));
    assert_eq!(with(&[0, 0]), Err(CUT_OFF));
    // Not an IDR slice.
    assert!(with(&[0, 0, 0, 2, 0x41, 1]).is_err());
    // Another picture's parameters, smuggled behind a start code.
    let smuggled = PictureError::Malformed("a start code within a NAL unit");
    assert_eq!(with(&[0, 0, 0, 6, 0x65, 0, 0, 1, 0x67, 1]), Err(smuggled));
    assert!(with(&good.data[..good.data.len() / 2]).is_err());
}

#[test]
fn a_picture_that_is_too_large_is_not_decoded() {
    let CodecConfig::H264 { sps, pps, .. } = keyframe(64, 48).config.as_ref().clone() else { unreachable!() };
    let config = CodecConfig::H264 { sps, pps, width: 4097, height: 16 };
    let large = Keyframe { config: Arc::new(config), data: Bytes::new() };
    assert_eq!(large.decode(), Err(PictureError::Size(4097, 16)));
}

#[test]
fn a_codec_without_decoder_is_named() {
    let opus = CodecConfig::Vp9 {
        profile: 0,
        level: 31,
        bit_depth: 8,
        chroma_subsampling: 1,
        full_range: false,
        width: 64,
        height: 48,
    };
    let error = Keyframe { config: Arc::new(opus), data: Bytes::new() }.decode().unwrap_err();
    assert_eq!(error.to_string(), "no decoder for vp09.00.31.08");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damaged ones are an error or a picture, which one is the decoder's to say.
    #[test]
    fn a_damaged_keyframe_does_no_harm(damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut damaged = keyframe(96, 64);
        let mut data = damaged.data.to_vec();
        damages.iter().for_each(|(at, value)| *at.get_mut(&mut data) = *value);
        damaged.data = data.into();
        if let Ok(picture) = damaged.decode() {
            prop_assert_eq!(picture.y.len(), picture.width * picture.height);
        }
    }

    #[test]
    fn any_bytes_do_no_harm(mut sps: Vec<u8>, mut pps: Vec<u8>, slice: Vec<u8>) {
        sps.insert(0, 0x67);
        pps.insert(0, 0x68);
        let mut data = (slice.len() as u32 + 1).to_be_bytes().to_vec();
        data.push(0x65);
        data.extend(slice);
        let _decoded = decode(&sps, &pps, &data);
    }
}
