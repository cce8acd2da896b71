use super::*;
use crate::assemble::testing::{push_all, told};

/// What libvpx begins a keyframe of 854x480 with.
const KEY: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x35, 0x50, 0x1d, 0xf6, 0x08];
const INTER: [u8; 3] = [0x86, 0x00, 0x40];

const B: u8 = 0x08;
const E: u8 = 0x04;
const P: u8 = 0x40;
const L: u8 = 0x20;

fn payload(descriptor: &[u8], frame: &[u8]) -> Vec<u8> {
    [descriptor, frame].concat()
}

#[test]
fn packets_make_frames() {
    let mut assembler = Vp9Assembler::default();
    let out = push_all(
        &mut assembler,
        &[
            (0, false, &payload(&[B], &KEY[..4])),
            (0, false, &payload(&[0], &KEY[4..6])),
            (0, true, &payload(&[E], &KEY[6..])),
            (3_000, false, &payload(&[P | B | E], &INTER)),
            (6_000, true, &payload(&[P | B | E], &INTER)),
        ],
    );
    assert_eq!(told(&out), [Some((0, true, &KEY[..])), Some((3_000, false, &INTER)), Some((6_000, false, &INTER))]);
    let Assembled::Unit(unit) = &out[0] else { panic!("broken") };
    let config = unit.config.as_ref().unwrap();
    // 854 * 480 * 30 = 12.3 million samples a second: level 3.
    assert_eq!((config.rfc6381().as_str(), config.dimensions()), ("vp09.00.30.08", Some((854, 480))));
}

#[test]
fn spatial_layers_become_a_superframe() {
    // Two layers of 427x240 and 854x480, told by a scalability structure with sizes: N_S = 1, Y.
    let structure = [L | B | E | 0x02, 0x00, 0x00, 0x30, 0x01, 0xab, 0x00, 0xf0, 0x03, 0x56, 0x01, 0xe0];
    let out = push_all(
        &mut Vp9Assembler::default(),
        &[(0, false, &payload(&structure, &KEY)), (0, true, &payload(&[L | B | E, 0x02, 0x00], &INTER))],
    );
    // Two frames, sizes in four bytes: marker 110 11 001.
    let index = [0xd9, 10, 0, 0, 0, 3, 0, 0, 0, 0xd9];
    assert_eq!(told(&out), [Some((0, true, &[&KEY[..], &INTER, &index].concat()[..]))]);
}

#[test]
fn a_picture_without_its_beginning_is_broken() {
    let key = payload(&[E], &KEY);
    let upper = payload(&[L | B | E, 0x02, 0x00], &KEY);
    let out = push_all(&mut Vp9Assembler::default(), &[(0, true, &key), (1, true, &upper)]);
    assert_eq!(told(&out), [None, None]);
}

#[test]
fn a_picture_without_its_end_is_broken() {
    let mut assembler = Vp9Assembler::default();
    let (start, whole) = (payload(&[B], &KEY), payload(&[B | E], &KEY));
    let mut out = push_all(&mut assembler, &[(0, false, &start), (1, true, &whole), (2, false, &start)]);
    assembler.flush(&mut out);
    assert_eq!(told(&out), [None, Some((1, true, &KEY[..])), None]);
    push_all(&mut assembler, &[(3, false, &start)]);
    assembler.interrupt();
    assert_eq!(told(&push_all(&mut assembler, &[(3, true, &payload(&[E], &KEY))])), [None]);
}

#[test]
fn an_intra_only_picture_is_no_keyframe() {
    // Not inter-predicted by the descriptor, yet frame_type says otherwise.
    let out = push_all(&mut Vp9Assembler::default(), &[(0, true, &payload(&[B | E], &INTER))]);
    assert_eq!(told(&out), [Some((0, false, &INTER[..]))]);
}

#[test]
fn no_more_than_eight_layers_are_taken() {
    let layer = payload(&[L | B | E, 0x00, 0x00], &KEY);
    let mut packets = vec![(0, false, &layer[..]); 9];
    packets.push((1, true, &layer));
    assert_eq!(told(&push_all(&mut Vp9Assembler::default(), &packets)), [None, Some((1, true, &KEY[..]))]);
}
