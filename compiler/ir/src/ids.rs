//! Typed indexes into the tables of this crate.

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The id of a position. Tables are bounded far below 2³² by the input limits.
            pub fn at(position: usize) -> Self {
                Self(u32::try_from(position).unwrap_or(u32::MAX))
            }

            /// The position.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

id! {
    /// A policy object.
    PolicyId;
    /// One entry of a policy's section, in normal form.
    RuleId;
    /// An interned selector.
    SelectorId;
    /// An interned peer.
    PeerId;
    /// A set of labels that the datapath tells apart; 0 is an unknown peer.
    IdentityId;
    /// A pod (or the host) that policies can apply to.
    EndpointId;
    /// A node.
    NodeId;
}
