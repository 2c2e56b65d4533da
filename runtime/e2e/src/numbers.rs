//! Numbers that look random and are the same every time.

/// A source of numbers (xorshift64*).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Numbers from a seed; 0 is taken for 1.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// The next 48 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below a limit that the type can hold; 0 otherwise.
    pub fn below<T: TryFrom<u64> + Default>(&mut self, limit: u64) -> T {
        T::try_from(self.draw() % limit.max(1)).unwrap_or_default()
    }

    /// Whether something happens that happens once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below::<u64>(times) == 0
    }

    /// One of several; the slice must not be empty.
    pub fn choose<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        among
            .get(self.below::<usize>(among.len() as u64))
            .unwrap_or_else(|| unreachable!("nothing to choose from"))
    }
}
