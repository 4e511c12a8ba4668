//! (test) Fuzz targets: what other programs' bytes are read as is written and read again as the same.
mod gorpc;
mod metric;
mod msgpack;
mod pin;

/// The bytes of every recording in a file of `tests/vectors/`.
fn recorded(vectors: &str) -> Vec<Vec<u8>> {
    let lines = vectors.lines().take_while(|line| !line.starts_with("---")).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| hex::decode(line.rsplit_once(' ')?.1).ok()).filter(|bytes| !bytes.is_empty()).collect()
}
