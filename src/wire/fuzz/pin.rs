use crate::fuzz::Target;
use crate::model::Pin;
use crate::wire::glance::tests::agree;
use crate::wire::pin::tests::recordings;
use crate::wire::pin::{decode, decode_with_cid, encode, encode_without_cid};

fn shape(pin: &Pin) -> String {
    let has = (pin.reference.is_some(), pin.pin_update.is_some(), pin.expire_at.is_some(), pin.timestamp.is_some());
    format!("{:?} {has:?} {} {}", pin.kind, pin.origins.is_empty(), pin.allocations.is_empty())
}

#[test]
fn fuzz_pin() {
    let cid = decode(&recordings()[0]).unwrap().cid;
    Target::new("pin").seeds(recordings()).run(|bytes| {
        agree(bytes);
        if let Ok(pin) = decode_with_cid(cid, bytes) {
            assert_eq!(decode_with_cid(cid, &encode_without_cid(&pin)), Ok(pin), "a record is read as it was written");
        }
        let pin = decode(bytes).map_err(|e| e.to_string())?;
        assert_eq!(decode(&encode(&pin)), Ok(pin.clone()), "a pin is read as it was written");
        Ok(shape(&pin))
    });
}
