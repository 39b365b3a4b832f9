//! What a Parquet footer declares of its schema, looked at before the reader of footers builds trees of it: that one trusts how many
//! children an element says to have, and follows them as deep as they go.

/// Elements within each other at most.
const DEPTH_MAX: usize = 32;
/// Structures within each other that are passed over.
const SKIP_DEPTH_MAX: u8 = 16;

/// Types of Thrift's compact protocol.
const STOP: u8 = 0;
const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// The number of the schema among the fields of a footer, and of the count of children among those of an element.
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;

/// Whether the elements of the schema can be a tree that is not too deep.
pub(super) fn is_sound(footer: &[u8]) -> bool {
    Scan(footer).footer().unwrap_or(false)
}

/// The bytes that are left.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn footer(&mut self) -> Option<bool> {
        let mut id = 0;
        loop {
            match self.field(&mut id)? {
                // The crate says what is wrong with a footer without a schema.
                STOP => return Some(true),
                LIST if id == SCHEMA => return self.schema(),
                kind => self.skip(kind, SKIP_DEPTH_MAX)?,
            }
        }
    }

    fn schema(&mut self) -> Option<bool> {
        let (kind, count) = self.list()?;
        if kind != STRUCT || count > self.0.len() as u64 {
            return Some(false);
        }
        // Of each element that is open, the children still to come.
        let mut open: Vec<u64> = Vec::new();
        for left in (0..count).rev() {
            let children = self.element()?;
            if let Some(parent) = open.last_mut() {
                *parent -= 1;
            }
            if children > left || open.len() > DEPTH_MAX {
                return Some(false);
            }
            if children > 0 {
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
        }
        Some(open.is_empty())
    }

    /// The children of one element.
    fn element(&mut self) -> Option<u64> {
        let (mut id, mut children) = (0, 0);
        loop {
            match self.field(&mut id)? {
                STOP => return Some(children),
                I32 if id == CHILDREN => children = u64::try_from(self.signed()?).ok()?,
                kind => self.skip(kind, SKIP_DEPTH_MAX)?,
            }
        }
    }

    /// The type of the next field, whose number becomes `id`.
    fn field(&mut self, id: &mut i64) -> Option<u8> {
        let head = self.byte()?;
        let kind = head & 15;
        if kind != STOP {
            *id = if head >> 4 == 0 { self.signed()? } else { id.checked_add(i64::from(head >> 4))? };
        }
        Some(kind)
    }

    /// The type and the count of a list's items.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        Some((head & 15, count))
    }

    fn skip(&mut self, kind: u8, depth: u8) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        match kind {
            1 | 2 => {}
            3 => self.pass(1)?,
            4..=6 => drop(self.number()?),
            7 => self.pass(8)?,
            8 => {
                let bytes = self.number()?;
                self.pass(bytes)?;
            }
            9 | 10 => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    self.item(kind, deeper)?;
                }
            }
            11 => {
                let count = self.number()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.item(kinds >> 4, deeper)?;
                    self.item(kinds & 15, deeper)?;
                }
            }
            STRUCT => {
                let mut id = 0;
                while let kind @ 1.. = self.field(&mut id)? {
                    self.skip(kind, deeper)?;
                }
            }
            13 => self.pass(16)?,
            _ => return None,
        }
        Some(())
    }

    /// An item of a list; a truth has a byte there.
    fn item(&mut self, kind: u8, depth: u8) -> Option<()> {
        if kind <= 2 { self.pass(1) } else { self.skip(kind, depth) }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer whose elements have these children.
    fn footer(children: &[u8]) -> Vec<u8> {
        // Version 1, then the list of elements: each with a name, and children where it has some.
        let mut bytes = vec![0x15, 2, 0x19, 0xf0 | STRUCT, children.len() as u8];
        for count in children {
            bytes.extend([0x48, 1, b'a']);
            if *count > 0 {
                bytes.extend([0x15, 2 * count]);
            }
            bytes.push(STOP);
        }
        bytes.push(STOP);
        bytes
    }

    #[test]
    fn children_must_be_there_and_not_too_deep() {
        assert!(is_sound(&footer(&[2, 0, 0])));
        assert!(is_sound(&footer(&[2, 1, 0, 0])));
        assert!(!is_sound(&footer(&[3, 0, 0])));
        assert!(!is_sound(&footer(&[2, 60, 0, 0])));
        let deep = [&[1; 60][..], &[0]].concat();
        assert!(!is_sound(&footer(&deep)));
        let whole = footer(&[2, 0, 0]);
        // The last byte ends the footer, which is not looked at.
        assert!((3..whole.len() - 1).all(|cut| !is_sound(&whole[..cut])));
    }
}
