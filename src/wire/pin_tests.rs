use proptest::prelude::*;

use super::*;

const CID: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
const PEER: &str = "12D3KooW9tJMax94Lrqw7Y5Qw36viGQAS2gTEPQ5Wg1vTk7xPfQs";
const CID_FIELD: &str = "0a24015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn hello() -> Pin {
    Pin {
        name: "x".into(),
        timestamp: Some(UnixMillis::from_seconds(1_700_000_000)),
        ..Pin::recursive(CID.parse().unwrap())
    }
}

fn everywhere() -> (Pin, Vec<u8>) {
    let bytes = hex::decode(format!("{CID_FIELD}100120013207080110011a01783880e2cfaa06")).unwrap();
    (hello(), bytes)
}

fn replicated() -> (Pin, Vec<u8>) {
    let pin = Pin {
        allocations: vec![PEER.parse().unwrap()],
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..hello().replicated(Replication::Between { min: 2, max: 3 })
    };
    let bytes = format!(
        "{CID_FIELD}10011a260024080112200102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\
         2001320f080410061a017852060a016b1201763880e2cfaa06"
    );
    (pin, hex::decode(bytes).unwrap())
}

#[test]
fn gos_bytes_are_written_and_read() {
    for (pin, bytes) in [everywhere(), replicated()] {
        assert_eq!(hex::encode(encode(&pin)), hex::encode(&bytes));
        assert_eq!(decode(&bytes), Ok(pin));
    }
    assert_eq!((everywhere().1.len(), replicated().1.len()), (57, 105));
}

/// Written by Go 1.1.6: a direct `CIDv0`, one with origins and metadata, one that replaces another, one with a shard size.
const RECORDED: [&str; 4] = [
    "0a22122059948439065f29619ef41280cbb932be52c56d99c5966b65e0111239f098bbef10013208080110011a0276303887e683d806",
    "0a240155122011ef9540ee1b69e2160cc6f3ed8f5b5f9e9660d623befb16b78d8629f9a19b6810012001324d080110011a046f7269674a31\
     047f000001060fa1a50326002408011220a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f864127ff9383455a4f052060a01611201\
     3252060a017a1201313892f483d806",
    "0a2401551220f66e881216ac3ab7360d5f3a899fe2b78e8eede67684151668ad6dc4caee684110012001322f080110011a037570643a2401\
     551220e3e9a75f2958f04d450f2beacfc23b8ceab52f35ca23f8a4b7ac5417b53e82bd38f0f383d806",
    "0a2212203afceee961ccbefe7eb6e309803b5b8ac95f25f62974c121657b6a1a36d8969610011a2600240801122017cb79fb2b4120f2b1ec\
     65e4198d6e08b28e813feb01e4a400839b85e18080ce2001320908021002208080803238f1e683d806",
];

/// The pins of Go, and one that ours writes.
pub fn recordings() -> Vec<Vec<u8>> {
    let recorded = RECORDED.iter().map(|hex| hex::decode(hex).unwrap());
    recorded.chain([everywhere().1, replicated().1]).collect()
}

#[test]
fn recorded_pins_read_and_write_back() {
    for hex in RECORDED {
        let bytes = hex::decode(hex).unwrap();
        assert_eq!(hex::encode(encode(&decode(&bytes).unwrap())), hex);
    }
}

#[test]
fn an_expiring_pin_of_go_says_what_its_user_asked_for() {
    let bytes = "0a24015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982410011a2600240801122017cb79fb\
                 2b4120f2b1ec65e4198d6e08b28e813feb01e4a400839b85e18080ce1a26002408011220a09aa5f47a6759802ff955f8dc2d2a14\
                 a5c99d23be97f864127ff9383455a4f020013214080210041a086578706972696e674087ac8ed8063887e683d806";
    let pin = decode(&hex::decode(bytes).unwrap()).unwrap();
    assert_eq!((pin.name.as_str(), pin.replication), ("expiring", Replication::Between { min: 1, max: 2 }));
    assert_eq!(pin.expire_at, Some(UnixMillis::from_seconds(1_795_397_127)));
    let peers: Vec<_> = pin.allocations.iter().map(ToString::to_string).collect();
    assert_eq!(
        peers,
        [
            "12D3KooWBRFW3HkJCLKSWb4yG6iWRBpgNjbM4FFvNsL5T5JKTqrd",
            "12D3KooWLdJAwPtyQ5RFnr9wGXsQzpf3P2SeqFbYkqbfVehLu4Ns"
        ]
    );
}

#[test]
fn a_record_without_its_cid_is_the_rest() {
    let (pin, bytes) = everywhere();
    assert_eq!(encode_without_cid(&pin), bytes[38..]);
    assert_eq!(decode_with_cid(pin.cid, &bytes[38..]), Ok(pin));
}

#[test]
fn a_direct_pin_has_no_depth_field() {
    let direct = Pin { max_depth: MaxDepth::Direct, ..everywhere().0 };
    let bytes = hex::decode(format!("{CID_FIELD}10013207080110011a01783880e2cfaa06")).unwrap();
    assert_eq!(encode(&direct), bytes);
    assert_eq!(decode(&bytes), Ok(direct));
}

#[test]
fn the_deprecated_map_is_read_below_the_sorted_one() {
    // Options { 6: {"a": "old", "b": "kept"}, 10: [{"a", "new"}] }
    let options = "32230801100132080a01611203 6f6c64 32090a016212046b657074 52080a01611203 6e6577".replace(' ', "");
    let bytes = hex::decode(format!("{CID_FIELD}10012001{options}")).unwrap();
    let pin = decode(&bytes).unwrap();
    assert_eq!(pin.metadata, [("a".into(), "new".into()), ("b".into(), "kept".into())].into());
    let again = encode(&pin);
    assert_eq!(decode(&again), Ok(pin));
    assert!(OptionsRow::decode(&again[44..]).unwrap().metadata.is_empty(), "the old map is never written");
}

#[test]
fn unknown_fields_are_passed_over() {
    let (pin, mut bytes) = everywhere();
    // Field 99, and options once more with its reserved field 5: protobuf merges the two.
    bytes.extend(hex::decode("9a06027878").unwrap());
    bytes.extend(hex::decode("32032a0161").unwrap());
    assert_eq!(decode(&bytes), Ok(pin));
}

#[test]
fn one_bad_field_refuses_the_pin() {
    let with = |field: &str| decode(&hex::decode(format!("{CID_FIELD}{field}")).unwrap());
    assert_eq!(with("1a026161"), Err(PinError::Allocation));
    assert_eq!(with("2a026161"), Err(PinError::Cid("reference")));
    assert_eq!(with("32043a026161"), Err(PinError::Cid("pin update")));
    assert_eq!(with("32044a02ffff"), Err(PinError::Origin));
    assert!(matches!(with("1a26"), Err(PinError::Protobuf(_))));
    assert_eq!(decode(&[]), Err(PinError::Cid("CID")));
}

#[test]
fn gos_zero_time_and_unknown_kinds_are_read() {
    let zero = (-62_135_596_800_i64).cast_unsigned();
    let bytes = PinRow { kind: 77, timestamp: zero, ..row(&hello()) }.encode_to_vec();
    let pin = decode_with_cid(hello().cid, &bytes).unwrap();
    assert_eq!((pin.kind, pin.timestamp), (PinType::Bad, None));
}

#[test]
fn a_time_that_milliseconds_cannot_count_is_none() {
    let read = |timestamp| {
        let bytes = PinRow { timestamp, ..row(&hello()) }.encode_to_vec();
        decode_with_cid(hello().cid, &bytes).unwrap().timestamp
    };
    let last = u64::try_from(i64::MAX / 1000).unwrap();
    assert_eq!(read(last).map(UnixMillis::seconds), Some(i64::MAX / 1000));
    assert_eq!((read(last + 1), read(u64::MAX)), (None, None));
}

#[test]
fn any_negative_factor_means_everywhere() {
    assert_eq!(replication(-1, 3), Replication::Everywhere);
    assert_eq!(replication(2, -1), Replication::Everywhere);
    assert_eq!(replication(0, 0), Replication::Between { min: 1, max: 1 });
}

/// The same peer for the same number.
pub fn peer(n: u8) -> PeerId {
    PeerId::from_bytes(&[&[0, 36, 8, 1, 18, 32][..], &[n; 32]].concat()).unwrap()
}

/// Any pin of one CID, on peers that [`peer`] names.
pub fn pins() -> impl Strategy<Value = Pin> {
    let replication = prop_oneof![
        Just(Replication::Everywhere),
        (1..9u32, 0..9u32).prop_map(|(min, more)| Replication::Between { min, max: min + more })
    ];
    let depth = prop_oneof![Just(MaxDepth::Recursive), Just(MaxDepth::Direct), (1..9).prop_map(MaxDepth::Levels)];
    let time = || proptest::option::of((1..1i64 << 40).prop_map(UnixMillis::from_seconds));
    let maps = proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..4);
    let holders = proptest::collection::vec((0..8_u8).prop_map(peer), 0..5);
    (replication, depth, time(), time(), maps, ".{0,20}", 0..5usize, any::<[bool; 4]>(), holders).prop_map(
        |(replication, max_depth, expire_at, timestamp, metadata, name, kind, has, allocations)| Pin {
            kind: PinType::ALL[kind],
            name,
            shard_size: u64::from(has[0]) << 40,
            max_depth,
            expire_at,
            timestamp,
            metadata,
            pin_update: has[1].then(|| CID.parse().unwrap()),
            reference: has[2].then(|| CID.parse().unwrap()),
            origins: has[3].then(|| format!("/ip4/1.2.3.4/tcp/4001/p2p/{PEER}").parse().unwrap()).into_iter().collect(),
            allocations,
            ..hello().replicated(replication)
        },
    )
}

proptest! {
    #[test]
    fn a_pin_reads_back(pin in pins()) {
        prop_assert_eq!(decode(&encode(&pin)), Ok(pin.clone()));
        prop_assert_eq!(decode_with_cid(pin.cid, &encode_without_cid(&pin)), Ok(pin));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = decode_with_cid(hello().cid, &bytes);
    }

    #[test]
    fn a_changed_byte_never_panics(pin in pins(), at: usize, byte: u8) {
        let mut bytes = encode(&pin);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&bytes);
    }
}
