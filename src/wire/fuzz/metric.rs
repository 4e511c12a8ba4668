use super::msgpack::shaped;
use super::recorded;
use crate::fuzz::Target;
use crate::wire::metric::{METRIC_MAX, decode, encode};

const METRICS: &str = include_str!("../../../tests/vectors/metrics.txt");

#[test]
fn fuzz_metric() {
    let payloads = recorded(METRICS).into_iter().filter(|bytes| decode(bytes).is_ok());
    let target = Target::new("metric").seeds(payloads).shaped(shaped).up_to(METRIC_MAX + 9);
    target.tokens(["n", "p", "v", "e", "d", "w", "o", "t", "\x09/msgpack\n"]).run(|bytes| {
        let metric = decode(bytes).map_err(|e| e.to_string())?;
        assert_eq!(decode(&encode(&metric)), Ok(metric.clone()), "a metric survives the wire");
        let signs = [metric.expire_nanos, metric.weight, metric.received_nanos].map(|n| n.signum() == 1);
        Ok(format!("{} {} {:?}", metric.valid, metric.partitionable, signs))
    });
}
