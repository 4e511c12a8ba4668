//! Values -> bytes, as Go's peers write them.
use crate::model::UnixMillis;

/// Appends values.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends nil.
    pub fn nil(&mut self) {
        self.bytes.push(0xc0);
    }

    /// Appends a truth value.
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(if value { 0xc3 } else { 0xc2 });
    }

    /// Appends a number of a signed Go type: positive ones are written as signed, too.
    pub fn int(&mut self, n: i64) {
        if let Ok(n) = i8::try_from(n) {
            if n < -32 {
                self.bytes.push(0xd0);
            }
            self.bytes.extend(n.to_be_bytes());
        } else if let Ok(n) = i16::try_from(n) {
            self.bytes.push(0xd1);
            self.bytes.extend(n.to_be_bytes());
        } else if let Ok(n) = i32::try_from(n) {
            self.bytes.push(0xd2);
            self.bytes.extend(n.to_be_bytes());
        } else {
            self.bytes.push(0xd3);
            self.bytes.extend(n.to_be_bytes());
        }
    }

    /// Appends a number of an unsigned Go type.
    pub fn uint(&mut self, n: u64) {
        if let Ok(n) = u8::try_from(n) {
            if n > 127 {
                self.bytes.push(0xcc);
            }
            self.bytes.push(n);
        } else if let Ok(n) = u16::try_from(n) {
            self.bytes.push(0xcd);
            self.bytes.extend(n.to_be_bytes());
        } else if let Ok(n) = u32::try_from(n) {
            self.bytes.push(0xce);
            self.bytes.extend(n.to_be_bytes());
        } else {
            self.bytes.push(0xcf);
            self.bytes.extend(n.to_be_bytes());
        }
    }

    /// Appends bytes.
    pub fn raw(&mut self, raw: &[u8]) {
        match u8::try_from(raw.len()) {
            Ok(len) if len < 32 => self.bytes.push(0xa0 | len),
            _ => self.sized(raw.len(), 0xda),
        }
        self.bytes.extend_from_slice(raw);
    }

    /// Appends a text.
    pub fn text(&mut self, text: &str) {
        self.raw(text.as_bytes());
    }

    /// Begins an array of `len` values.
    pub fn array(&mut self, len: usize) {
        match u8::try_from(len) {
            Ok(len) if len < 16 => self.bytes.push(0x90 | len),
            _ => self.sized(len, 0xdc),
        }
    }

    /// Begins a map of `len` pairs.
    pub fn map(&mut self, len: usize) {
        match u8::try_from(len) {
            Ok(len) if len < 16 => self.bytes.push(0x80 | len),
            _ => self.sized(len, 0xde),
        }
    }

    /// Appends Go's binary form of a moment.
    pub fn time(&mut self, moment: UnixMillis) {
        let seconds = moment.seconds();
        let nanos = u32::try_from(moment.0.rem_euclid(1000) * 1_000_000).unwrap_or_default();
        match (u32::try_from(seconds), u64::try_from(seconds)) {
            (Ok(short), _) if nanos == 0 => self.raw(&short.to_be_bytes()),
            (_, Ok(long)) if long < 1 << 34 => self.raw(&((u64::from(nanos) << 34) | long).to_be_bytes()),
            _ => {
                let mut raw = nanos.to_be_bytes().to_vec();
                raw.extend(seconds.to_be_bytes());
                self.raw(&raw);
            }
        }
    }

    /// A length past the short form: `first` and 2 bytes, or the next first byte and 4.
    fn sized(&mut self, len: usize, first: u8) {
        if let Ok(len) = u16::try_from(len) {
            self.bytes.push(first);
            self.bytes.extend(len.to_be_bytes());
        } else {
            self.bytes.push(first + 1);
            self.bytes.extend(u32::try_from(len).expect("no value has 4 GiB").to_be_bytes());
        }
    }
}

/// The pairs of a struct; the ones that are not set are not written.
#[derive(Debug, Default)]
pub struct Fields {
    count: usize,
    body: Writer,
}

impl Fields {
    /// Appends a field; `write` writes its value.
    pub fn field(&mut self, key: &str, write: impl FnOnce(&mut Writer)) {
        self.count += 1;
        self.body.text(key);
        write(&mut self.body);
    }

    /// Appends a text, unless it is empty.
    pub fn text(&mut self, key: &str, text: &str) {
        self.raw(key, text.as_bytes());
    }

    /// Appends bytes, unless there are none.
    pub fn raw(&mut self, key: &str, raw: &[u8]) {
        if !raw.is_empty() {
            self.field(key, |w| w.raw(raw));
        }
    }

    /// Appends an array of raws, unless it is empty.
    pub fn raws(&mut self, key: &str, raws: &[Vec<u8>]) {
        if !raws.is_empty() {
            self.field(key, |w| {
                w.array(raws.len());
                for raw in raws {
                    w.raw(raw);
                }
            });
        }
    }

    /// Appends a number of a signed type, unless it is 0.
    pub fn int(&mut self, key: &str, n: i64) {
        if n != 0 {
            self.field(key, |w| w.int(n));
        }
    }

    /// Appends a truth value, unless it is false.
    pub fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.field(key, |w| w.bool(true));
        }
    }

    /// Appends a moment, unless there is none.
    pub fn time(&mut self, key: &str, moment: Option<UnixMillis>) {
        if let Some(moment) = moment {
            self.field(key, |w| w.time(moment));
        }
    }

    /// Writes the struct.
    pub fn finish(self, writer: &mut Writer) {
        writer.map(self.count);
        writer.bytes.extend(self.body.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::default();
        write(&mut writer);
        hex::encode(writer.into_bytes())
    }

    #[test]
    fn numbers_have_the_widths_that_go_writes() {
        let ints = [0, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2_147_483_647, 2_147_483_648];
        let all = hex_of(|w| {
            w.array(ints.len());
            for n in ints {
                w.int(n);
            }
        });
        assert_eq!(all, "9b007fd10080d100ffd10100d17fffd200008000d20000ffffd200010000d27fffffffd30000000080000000");
        let ints = [-1, -32, -33, -128, -129, -40000];
        let all = hex_of(|w| ints.into_iter().for_each(|n| w.int(n)));
        assert_eq!(all, "ffe0d0dfd080d1ff7fd2ffff63c0");
        let uints = [0, 127, 128, 255, 256, 65535, 65536, 4_294_967_295, 4_294_967_296];
        let all = hex_of(|w| uints.into_iter().for_each(|n| w.uint(n)));
        assert_eq!(all, "007fcc80ccffcd0100cdffffce00010000ceffffffffcf0000000100000000");
    }

    #[test]
    fn moments_have_the_three_forms_of_go() {
        assert_eq!(hex_of(|w| w.time(UnixMillis::from_seconds(1_700_000_000))), "a46553f100");
        assert_eq!(hex_of(|w| w.time(UnixMillis(0))), "a400000000");
        assert_eq!(hex_of(|w| w.time(UnixMillis(-1000))), "ac00000000ffffffffffffffff");
        assert_eq!(hex_of(|w| w.time(UnixMillis(1_700_000_000_500))), "a8773594006553f100");
    }
}
