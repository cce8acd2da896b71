//! What holds whatever is damaged.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Repair;
use super::tests::{Format, Kept};
use crate::verify::Remedy;

/// Changes, shortens, lengthens, removes or replaces one object.
#[derive(Debug, Clone)]
struct Damage {
    object: prop::sample::Index,
    place: prop::sample::Index,
    how: u8,
    value: u8,
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<u8>());
    vec(damage.prop_map(|(object, place, how, value)| Damage { object, place, how, value }), 1..5)
}

fn inflict(kept: &Kept, damage: &Damage) {
    let objects = kept.everything();
    let (name, bytes) = &objects[damage.object.index(objects.len())];
    let (name, place) = (name.as_str(), damage.place.index(bytes.len().max(1)));
    match damage.how % 6 {
        0 => kept.change(name, |bytes| bytes.truncate(place)),
        1 => kept.remove(name),
        2 => kept.put(name, objects[place % objects.len()].1.clone()),
        3 => kept.change(name, |bytes| bytes.extend_from_within(..place)),
        _ => kept.change(name, |bytes| {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= damage.value;
            }
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// A repair leaves nothing that it could have mended, and once what is lost is written down nothing is wrong.
    #[test]
    fn a_repair_leaves_nothing_to_mend(damages in damages(), format in prop_oneof![Just(Format::One), Just(Format::Two)]) {
        let kept = Kept::new(format);
        damages.iter().for_each(|damage| inflict(&kept, damage));
        let looked = kept.look();
        let mended = match kept.try_verify(Repair::Ended) {
            Ok(report) => report,
            // Two bits turn `complete` into nothing else, but a byte may.
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(looked.findings.len(), mended.findings.len(), "{}\nbut\n{}", looked, mended);
        if mended.segments == 0 {
            return Ok(());
        }
        prop_assert!(mended.findings.iter().all(|finding| finding.remedy != Remedy::Mendable), "{}", mended);
        let before = kept.everything();
        let again = kept.try_verify(Repair::Ended).unwrap();
        prop_assert!(again.findings.is_empty(), "{}\nafter\n{}", again, mended);
        prop_assert_eq!(kept.everything(), before);
    }
}
