use proptest::prelude::*;

use super::*;
use crate::crdt::automerge::tests::testing;

const V1_RAW: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

fn key(cid: &str) -> Key {
    Key::of(&cid.parse().unwrap())
}

#[test]
fn the_genesis_change_has_its_hash() {
    assert_eq!(testing::genesis().hash().0, GENESIS);
    assert_eq!(testing::genesis().raw_bytes().len(), 16_430);
}

#[test]
fn a_key_says_what_kind_of_cid_it_is() {
    let hello = hex::decode("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824").unwrap();
    let text = BASE64URL_NOPAD.encode(&hello);
    assert_eq!(key(V1_RAW).as_str(), format!("r{text}"));
    assert_eq!(key(V1_RAW).bucket(), 0x2cf);
    let hash = cid::multihash::Multihash::wrap(SHA2_256, &hello).unwrap();
    assert_eq!(Key::of(&Cid::new_v1(DAG_PB, hash)).as_str(), format!("p{text}"));
    assert_eq!(Key::of(&Cid::new_v0(hash).unwrap()).as_str(), format!("q{text}"));
    let cbor = Cid::new_v1(0x71, hash);
    assert_eq!(Key::of(&cbor).as_str(), format!("x{}", BASE64URL_NOPAD.encode(&cbor.to_bytes())));
    assert_eq!(Key::of(&cbor).bucket(), 0x2cf);
}

#[test]
fn a_short_digest_is_padded_with_zeros_in_its_bucket() {
    let identity = |digest: &[u8]| Key::of(&Cid::new_v1(RAW, cid::multihash::Multihash::wrap(0, digest).unwrap()));
    assert_eq!(identity(&[]).bucket(), 0);
    assert_eq!(identity(&[0xab]).bucket(), 0xab0);
    assert_eq!(identity(&[0xab, 0xcd]).bucket(), 0xabc);
    let longest = Cid::new_v1(u64::MAX, cid::multihash::Multihash::wrap(u64::MAX, &[7; 64]).unwrap());
    assert!(Key::of(&longest).as_str().len() <= KEY_MAX);
}

#[test]
fn only_the_one_spelling_of_a_cid_is_a_key() {
    let x = |bytes: &[u8]| format!("x{}", BASE64URL_NOPAD.encode(bytes));
    let raw: Cid = V1_RAW.parse().unwrap();
    let v0 = Cid::new_v0(*raw.hash()).unwrap();
    assert_eq!(Key::parse(&x(&raw.to_bytes())), None, "has the short spelling r");
    assert_eq!(Key::parse(&x(&v0.to_bytes())), None, "has the short spelling q");
    let cbor = Cid::new_v1(0x71, *raw.hash());
    assert!(Key::parse(&x(&cbor.to_bytes())).is_some());
    assert_eq!(Key::parse(&x(&[&cbor.to_bytes()[..], &[0]].concat())), None, "a byte more");
    let long_codec = [&[1, 0xf1, 0][..], &raw.hash().to_bytes()].concat();
    assert_eq!(Key::parse(&x(&long_codec)), None, "a codec that is not in its shortest form");
    let text = key(V1_RAW).as_str().to_owned();
    for wrong in ["", "x", "r", "é", "rAA", &text[1..], &text[..43], &format!("{text}="), &text.replace('r', "s")] {
        assert_eq!(Key::parse(wrong), None, "{wrong:?}");
    }
    let (rest, last) = text.split_at(text.len() - 1);
    let loose = format!("{rest}{}", char::from(last.as_bytes()[0] + 1));
    assert_eq!(Key::parse(&loose), None, "bits beyond the digest");
}

proptest! {
    #[test]
    fn a_key_reads_back_as_its_cid(version: bool, codec: u64, code: u64, digest in proptest::collection::vec(any::<u8>(), 0..=64)) {
        let hash = cid::multihash::Multihash::wrap(code, &digest).unwrap();
        let v0 = Cid::new_v0(*testing::cid(u32::from(version)).hash()).unwrap();
        let cid = if version { Cid::new_v1(codec, hash) } else { v0 };
        let key = Key::of(&cid);
        prop_assert_eq!(key.cid(), cid);
        prop_assert_eq!(Key::parse(key.as_str()), Some(key.clone()));
        prop_assert!(u32::from(key.bucket()) < BUCKETS);
    }

    #[test]
    fn two_texts_are_never_one_cid(bytes: Vec<u8>, kind in "[rpqxa]") {
        if let Some(key) = Key::parse(&format!("{kind}{}", BASE64URL_NOPAD.encode(&bytes))) {
            prop_assert_eq!(Key::of(&key.cid()), key);
        }
    }
}

#[test]
fn a_record_is_the_pin_without_its_cid() {
    let pin = Pin { name: "a".into(), ..Pin::recursive(V1_RAW.parse().unwrap()) };
    let bytes = record(&pin);
    assert_eq!(super::pin(&key(V1_RAW), &bytes), Ok(pin));
    assert!(super::pin(&key(V1_RAW), &[0xff]).is_err());
}
