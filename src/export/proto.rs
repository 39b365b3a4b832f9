//! Protocol buffers, as far as a model needs them: fields are written in the order of the calls, so the same calls give the same bytes.
//! Called in the order of the fields' numbers, they are the bytes that a library writes which reads them: a digest outlives that.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire: u64) {
        self.varint(u64::from(field) << 3 | wire);
    }

    /// A whole number.
    pub(super) fn int(&mut self, field: u32, value: i64) {
        self.tag(field, 0);
        self.varint(value.cast_unsigned());
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Text.
    pub(super) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message in this one.
    pub(super) fn message(&mut self, field: u32, value: &Message) {
        self.bytes(field, &value.0);
    }

    /// Whole numbers, one after the other, as proto2 writes them: not packed.
    pub(super) fn ints(&mut self, field: u32, values: impl Iterator<Item = i64>) {
        values.for_each(|value| self.int(field, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_encoding_says() {
        // The examples of the encoding's documentation: 150, "testing", a message of 150, [1, 2, 3]; and -1 in ten bytes.
        let mut message = Message::default();
        message.int(1, 150);
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let inner = std::mem::take(&mut message);
        message.text(2, "testing");
        assert_eq!(message.0, [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
        message = Message::default();
        message.message(3, &inner);
        assert_eq!(message.0, [0x1a, 3, 0x08, 0x96, 0x01]);
        message = Message::default();
        message.ints(6, [1, 2, 3].into_iter());
        assert_eq!(message.0, [0x30, 1, 0x30, 2, 0x30, 3]);
        message = Message::default();
        message.int(1, -1);
        assert_eq!(message.0, [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }
}
