//! One block by netlink: a transaction with one element, its own bytes read back and judged, acknowledged by the kernel.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bartizan_enforce::nft::{Element, Member, Nft, Piece, Set, Table as Shape};
use bartizan_model::Direction;

use crate::figures::{Table, median};
use crate::namespace::alone;

const BLOCKS: u32 = 1000;

/// The elements of so many blocks, from 10.0.0.0 on.
pub fn elements(count: u32) -> Vec<Element> {
    let addr = |n: u32| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n));
    (0..count).map(|n| Element { member: Member::Block(addr(n), Direction::In), lasts: Duration::from_secs(600) }).collect()
}

pub fn measure(table: &mut Table) {
    let mut took = alone(|| {
        let nft = Nft::open().unwrap();
        nft.change(Shape::Make([Piece::BlockIn4].into_iter().collect()), &[], &[], &|_| Ok(())).unwrap();
        let one = |element: Element| {
            let began = Instant::now();
            nft.change(Shape::Keep, &[], &[element], &|_| Ok(())).unwrap();
            began.elapsed().as_secs_f64() * 1e6
        };
        let took = elements(BLOCKS).into_iter().map(one).collect::<Vec<f64>>();
        assert_eq!(nft.list(Set::BlockIn4).unwrap().len(), BLOCKS as usize);
        took
    });
    table.row(&format!("one block by netlink, median of {BLOCKS}"), format!("{:.0} us", median(took.clone())), "<= 100 us");
    took.sort_by(f64::total_cmp);
    table.row("  99 of 100", format!("{:.0} us", took[took.len() * 99 / 100]), "");
}
