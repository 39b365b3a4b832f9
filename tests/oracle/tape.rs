//! `tests/data/tape.py`, whose state is a checksum of all that it is given (docs/OWN-MODELS.md has the frames).

use serde_json::Value;

use super::{derive, int, order::Visit, rows::Record};

pub(super) struct Tape<'a> {
    settings: &'a Value,
    seed: [u8; 32],
    rows: u64,
    state: Option<u32>,
}

impl<'a> Tape<'a> {
    pub(super) fn new(settings: &'a Value, seed: [u8; 32]) -> Tape<'a> {
        Tape { settings, seed, rows: 0, state: None }
    }

    pub(super) fn step(&mut self, r: u32, steps: u32, prefix: &[&[Record]], visits: &[Visit]) {
        let before = self.state.unwrap_or_else(|| crc(0, &derive("sisa 1 worker initial state", &[&self.seed])));
        let mut begin = [r.to_le_bytes(), steps.to_le_bytes()].concat();
        begin.extend((visits.len() as u64).to_le_bytes());
        begin.extend(derive("sisa 1 worker step", &[&self.seed, &r.to_le_bytes()]));
        begin.extend(before.to_le_bytes());
        let mut sum = crc(0, &begin);
        for batch in visits.chunks(int(&self.settings["batch"]) as usize) {
            let rows: Vec<&Record> = batch.iter().map(|visit| &prefix[visit.slice][visit.row]).collect();
            let mut bytes = [(rows.len() as u32).to_le_bytes(), batch[0].progress.to_le_bytes()].concat();
            rows.iter().for_each(|row| row.numbers.iter().for_each(|x| bytes.extend(x.to_le_bytes())));
            rows.iter().for_each(|row| row.categories.iter().for_each(|x| bytes.extend(x.to_le_bytes())));
            rows.iter().for_each(|row| bytes.extend(row.label.to_le_bytes()));
            rows.iter().for_each(|row| bytes.extend(&row.bytes));
            sum = crc(sum, &bytes);
        }
        (self.state, self.rows) = (Some(sum), prefix.iter().map(|rows| rows.len() as u64).sum());
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.rows.to_le_bytes().to_vec();
        bytes.extend(self.seed);
        bytes.push(u8::from(self.state.is_some()));
        self.state.iter().for_each(|state| bytes.extend(state.to_le_bytes()));
        bytes
    }
}

/// The checksum of zlib, of what follows on bytes with the checksum `sum`.
fn crc(sum: u32, bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!sum, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}
