//! What lies where in a header: its fields, what no field names, and the lists of options or records, cut into rows of 32 bits.

use std::ops::Range;

use super::Placed;

/// Bits in a row.
pub(super) const ROW: u32 = 32;
/// Bits that are drawn row by row; what is longer becomes one open box.
const LONGEST: u32 = 4 * ROW;
/// The most fields that are drawn: no table has as many outside lists.
const FIELDS: usize = 256;

/// What a stretch of the header is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A field: its index.
    Field(usize),
    /// Options or records: indices of the fields in them.
    List(Vec<usize>),
    /// Bits that no field names.
    Unnamed,
}

/// A stretch of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) what: What,
    /// In bits from the start of the header.
    pub(super) bits: Range<u32>,
}

/// A part of an item in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) item: usize,
    /// Columns of the row.
    pub(super) bits: Range<u32>,
    /// Title and value stand in this part.
    pub(super) labelled: bool,
}

/// One row of the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its first byte.
    pub(super) byte: u32,
    pub(super) cells: Vec<Cell>,
    /// It stands for more bytes than it has room for, or for fewer.
    pub(super) open: bool,
}

/// Cuts the header's `end` bits into items. Where fields overlap, the shorter ones win, as flags do over the number that they
/// make up together, unless they are less than half of the longer one, as the two flags in a hardware address are.
pub(super) fn items(fields: &[Placed], end: u32) -> Vec<Item> {
    let inside = |placed: &Placed| !placed.bits.is_empty() && placed.bits.end <= end;
    let mut alone: Vec<usize> = (0..fields.len())
        .filter(|&index| !fields[index].field.many && inside(&fields[index]))
        .take(FIELDS)
        .collect();
    alone.sort_by_key(|&index| fields[index].bits.len());
    let mut taken: Vec<usize> = Vec::new();
    for index in alone {
        let bits = &fields[index].bits;
        let first = taken.partition_point(|&other| fields[other].bits.end <= bits.start);
        let after = taken.partition_point(|&other| fields[other].bits.start < bits.end);
        let within = &taken[first..after];
        let covered: usize = within.iter().map(|&other| fields[other].bits.len()).sum();
        let inside = |&other: &usize| {
            let other = &fields[other].bits;
            bits.start <= other.start && other.end <= bits.end
        };
        if within.iter().all(inside) && covered * 2 < bits.len() {
            taken.splice(first..after, [index]);
        }
    }
    let mut listed: Vec<usize> = (0..fields.len())
        .filter(|&index| fields[index].field.many && inside(&fields[index]))
        .collect();
    listed.sort_by_key(|&index| fields[index].bits.start);
    let mut items = Vec::new();
    let mut at = 0;
    let gap = |items: &mut Vec<Item>, bits: Range<u32>| {
        if bits.is_empty() {
            return;
        }
        let place = |bit| listed.partition_point(|&index| fields[index].bits.start < bit);
        let within = &listed[place(bits.start)..place(bits.end)];
        let (Some(&first), Some(last)) = (
            within.first(),
            within.iter().map(|&index| fields[index].bits.end).max(),
        ) else {
            return items.push(Item {
                what: What::Unnamed,
                bits,
            });
        };
        // Whole rows belong to the list, its padding with them.
        let start = (fields[first].bits.start / ROW * ROW).max(bits.start);
        let end = last.div_ceil(ROW).saturating_mul(ROW).min(bits.end);
        let what = match within {
            [one] if fields[*one].bits == (start..end) => What::Field(*one),
            within => What::List(within.to_vec()),
        };
        let parts = [
            (What::Unnamed, bits.start..start),
            (what, start..end),
            (What::Unnamed, end..bits.end),
        ];
        let parts = parts.into_iter().filter(|(_, bits)| !bits.is_empty());
        items.extend(parts.map(|(what, bits)| Item { what, bits }));
    };
    for index in taken {
        let bits = fields[index].bits.clone();
        gap(&mut items, at..bits.start);
        at = bits.end;
        let what = What::Field(index);
        items.push(Item { what, bits });
    }
    gap(&mut items, at..end);
    items
}

/// Lays items out in rows.
pub(super) fn rows(items: &[Item]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let is_list = matches!(item.what, What::List(_));
        let is_last = index + 1 == items.len();
        let mut at = item.bits.start;
        // Row and cell of each part.
        let mut parts: Vec<(usize, usize)> = Vec::new();
        while at < item.bits.end {
            let column = at % ROW;
            let left = item.bits.end - at;
            let open = column == 0 && (left > LONGEST || is_list && (left >= ROW || is_last));
            let length = match open {
                true if is_last => left,
                true => left / ROW * ROW,
                false => left.min(ROW - column),
            };
            if column == 0 {
                rows.push(Row {
                    byte: at / 8,
                    cells: Vec::new(),
                    open,
                });
            }
            let Some(row) = rows.len().checked_sub(1) else {
                break;
            };
            let end = if open { ROW } else { column + length };
            parts.push((row, rows[row].cells.len()));
            rows[row].cells.push(Cell {
                item: index,
                bits: column..end,
                labelled: false,
            });
            at += length;
        }
        label(&mut rows, &parts);
    }
    rows
}

/// Picks the part that title and value stand in: the widest, of several such the middle one.
fn label(rows: &mut [Row], parts: &[(usize, usize)]) {
    let width = |&&(row, cell): &&(usize, usize)| rows[row].cells[cell].bits.len();
    let Some(widest) = parts.iter().map(|part| width(&part)).max() else {
        return;
    };
    let wide: Vec<_> = parts.iter().filter(|part| width(part) == widest).collect();
    let &(row, cell) = wide[(wide.len() - 1) / 2];
    rows[row].cells[cell].labelled = true;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Field, Kind};

    static ONE: Field = Field::walked("test.one", "One", Kind::Uint, "");
    static MANY: Field = Field::walked("test.many", "Many", Kind::Uint, "").many();

    fn placed(field: &'static Field, bits: Range<u32>) -> Placed {
        Placed {
            field,
            bits,
            value: String::new(),
            number: None,
        }
    }

    #[test]
    fn short_fields_win_and_gaps_have_no_name() {
        let fields = [
            placed(&ONE, 0..16),
            placed(&ONE, 4..5),
            placed(&ONE, 5..12),
            placed(&ONE, 16..32),
        ];
        let found = items(&fields, 32);
        let what: Vec<_> = found
            .iter()
            .map(|item| (item.what.clone(), item.bits.clone()))
            .collect();
        assert_eq!(
            what,
            [
                (What::Unnamed, 0..4),
                (What::Field(1), 4..5),
                (What::Field(2), 5..12),
                (What::Unnamed, 12..16),
                (What::Field(3), 16..32),
            ]
        );
        let address = [placed(&ONE, 0..48), placed(&ONE, 6..7), placed(&ONE, 7..8)];
        assert_eq!(items(&address, 48).len(), 1);
    }

    #[test]
    fn a_list_is_one_open_row_and_long_fields_are_too() {
        let fields = [
            placed(&ONE, 0..32),
            placed(&MANY, 32..40),
            placed(&MANY, 104..120),
        ];
        let list = items(&fields, 120);
        assert_eq!(list.len(), 2);
        let drawn = rows(&list);
        assert_eq!(drawn.len(), 2);
        assert!(drawn[1].open && drawn[1].cells[0].labelled);
        // A list of one is a field like others, and what is left of its row has no name.
        let group = [placed(&MANY, 32..64), placed(&ONE, 68..96)];
        let what: Vec<_> = items(&group, 96)
            .into_iter()
            .map(|item| item.what)
            .collect();
        assert_eq!(
            what,
            [What::Unnamed, What::Field(0), What::Unnamed, What::Field(1)]
        );
        let long = rows(&items(&[placed(&ONE, 0..1000)], 1000));
        assert_eq!((long.len(), long[0].open), (1, true));
    }

    #[test]
    fn an_address_over_row_ends_is_labelled_once() {
        let drawn = rows(&items(&[placed(&ONE, 0..48), placed(&ONE, 48..80)], 80));
        let cells: Vec<_> = drawn.iter().flat_map(|row| &row.cells).collect();
        assert_eq!(drawn.len(), 3);
        let labels: Vec<_> = cells.iter().map(|cell| cell.labelled).collect();
        assert_eq!(labels, [true, false, true, false]);
        let v6 = rows(&items(&[placed(&ONE, 0..128)], 128));
        assert!(v6[1].cells[0].labelled && !v6[0].cells[0].labelled);
    }
}
