//! Tensors of the Open Inference Protocol: columns of a request, as JSON or as bytes.
//! <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol> and its binary tensor data extension.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::problem::Problem;

/// What the elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp32,
    Fp64,
    Bytes,
}

/// The text of each element; `None` is missing.
pub(super) type Column = Vec<Option<Vec<u8>>>;

/// Elements of a list in JSON, of any nesting.
pub(super) fn of_json(name: &str, data: &RawValue, count: usize) -> Result<Column, Problem> {
    let mut out = Vec::with_capacity(count.min(1 << 16));
    flatten(name, data, count, 0, &mut out)?;
    if out.len() != count {
        return Err(Problem::input(format!("input `{name}` has {} elements, its shape says {count}", out.len())));
    }
    Ok(out)
}

fn flatten(name: &str, data: &RawValue, count: usize, depth: u32, out: &mut Column) -> Result<(), Problem> {
    let wrong = |what: &str| Problem::input(format!("input `{name}`: {what}"));
    let text = data.get();
    match text.bytes().next() {
        Some(b'[') if depth < 4 => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
            return items.into_iter().try_for_each(|item| flatten(name, item, count, depth + 1, out));
        }
        Some(b'[' | b'{') => return Err(wrong("an element is a list or an object")),
        _ if depth == 0 => return Err(wrong("its data is no list")),
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
            out.push(Some(text.into_bytes()));
        }
        Some(b'n') => out.push(None),
        _ => out.push(Some(text.as_bytes().to_vec())),
    }
    if out.len() > count {
        return Err(wrong(&format!("it has more than the {count} elements that its shape says")));
    }
    Ok(())
}

/// Elements as little-endian bytes.
pub(super) fn of_bytes(name: &str, datatype: Datatype, data: &[u8], count: usize) -> Result<Column, Problem> {
    let wrong = || Problem::input(format!("input `{name}`: {} bytes are not {count} elements of its datatype", data.len()));
    macro_rules! numbers {
        ($kind:ty) => {{
            const WIDTH: usize = size_of::<$kind>();
            if data.len() != count.saturating_mul(WIDTH) {
                return Err(wrong());
            }
            let of = |bytes: &[u8]| bytes.try_into().map(<$kind>::from_le_bytes).map(|n| Some(n.to_string().into_bytes()));
            data.chunks_exact(WIDTH).map(of).collect::<Result<_, _>>().map_err(|_| wrong())
        }};
    }
    match datatype {
        Datatype::Bool if data.len() == count => {
            Ok(data.iter().map(|byte| Some(if *byte == 0 { b"false".to_vec() } else { b"true".to_vec() })).collect())
        }
        Datatype::Bool => Err(wrong()),
        Datatype::Uint8 => numbers!(u8),
        Datatype::Uint16 => numbers!(u16),
        Datatype::Uint32 => numbers!(u32),
        Datatype::Uint64 => numbers!(u64),
        Datatype::Int8 => numbers!(i8),
        Datatype::Int16 => numbers!(i16),
        Datatype::Int32 => numbers!(i32),
        Datatype::Int64 => numbers!(i64),
        Datatype::Fp32 => numbers!(f32),
        Datatype::Fp64 => numbers!(f64),
        Datatype::Bytes => {
            let (mut rest, mut out) = (data, Vec::with_capacity(count.min(data.len() / 4)));
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let length = u32::from_le_bytes(*length) as usize;
                let (text, after) = after.split_at_checked(length).ok_or_else(wrong)?;
                out.push(Some(text.to_vec()));
                rest = after;
            }
            if rest.is_empty() && out.len() == count { Ok(out) } else { Err(wrong()) }
        }
    }
}

/// Text elements as bytes: each with its length before it.
pub(super) fn text_bytes<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(column: Column) -> Vec<String> {
        column.into_iter().map(|cell| cell.map_or("-".into(), |text| String::from_utf8(text).unwrap())).collect()
    }

    #[test]
    fn bytes_are_the_same_cells_as_their_digits() {
        let floats: Vec<u8> = [0.1_f32, -0.0, 3e9].iter().flat_map(|f| f.to_le_bytes()).collect();
        assert_eq!(texts(of_bytes("a", Datatype::Fp32, &floats, 3).unwrap()), ["0.1", "-0", "3000000000"]);
        assert_eq!(texts(of_bytes("a", Datatype::Int16, &[0xff, 0xff, 1, 0], 2).unwrap()), ["-1", "1"]);
        assert_eq!(texts(of_bytes("a", Datatype::Bool, &[0, 7], 2).unwrap()), ["false", "true"]);
        let bytes = text_bytes(["x", "", "é"].into_iter());
        assert_eq!(texts(of_bytes("a", Datatype::Bytes, &bytes, 3).unwrap()), ["x", "", "é"]);
    }

    #[test]
    fn every_cut_of_bytes_is_refused() {
        let bytes = text_bytes(["abc", "de"].into_iter());
        for cut in 0..bytes.len() {
            assert!(of_bytes("a", Datatype::Bytes, &bytes[..cut], 2).is_err(), "{cut}");
        }
        assert!(of_bytes("a", Datatype::Bytes, &bytes, 1).is_err() && of_bytes("a", Datatype::Bytes, &bytes, 3).is_err());
        assert!(of_bytes("a", Datatype::Fp64, &[0; 15], 2).is_err() && of_bytes("a", Datatype::Fp64, &[], usize::MAX).is_err());
        assert!(of_bytes("a", Datatype::Bytes, &u32::MAX.to_le_bytes(), 1).is_err());
    }

    #[test]
    fn json_of_any_nesting_is_counted() {
        let of = |text: &str, count| of_json("a", serde_json::from_str::<&RawValue>(text).unwrap(), count).map(texts);
        assert_eq!(of(r#"[[1.50],["x"],[null]]"#, 3).unwrap(), ["1.50", "x", "-"]);
        for wrong in ["[1]", "[1,2,3]", "7", r#"[{"a":1},2]"#, "[[[[[1]]]],2]"] {
            assert!(of(wrong, 2).is_err(), "{wrong}");
        }
    }
}
