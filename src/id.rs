//! Small distinct ids.
//!
//! Dense ids index vectors inside one snapshot and mean nothing outside it; what outlives a reload
//! is keyed by name.

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// The position in the vector that this id indexes.
            pub fn idx(self) -> usize {
                self.0 as usize
            }
        }

        impl From<usize> for $name {
            /// # Panics
            /// If `i` does not fit: loaders refuse that many items before ids are made.
            fn from(i: usize) -> Self {
                $name(<$int>::try_from(i).expect("loaders bound the number of items"))
            }
        }
    };
}

dense_id!(/** A POP: position in `Policies::pops`. */ PopIdx, u16);
dense_id!(/** A target group: position in `Policies::groups`. */ GroupIdx, u16);
dense_id!(/** A member of one group: position in `Group::members`. */ MemberIdx, u16);
dense_id!(/** A cell: position in `CellMap::cells`. */ CellIdx, u32);
dense_id!(/** A geo rule: position in the list of matches the cell map was compiled with. */ RuleIdx, u32);
dense_id!(/** A zone: position in the zone set. */ ZoneIdx, u32);
