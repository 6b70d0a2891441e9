//! What is the same for all nodes of a ring.

use crate::circle::Circle;

/// How many points a node has, how long they are, and how many there may be in all. Programs that
/// should agree on owners need the same settings, except for `points_max`.
///
/// ```
/// use althing_ring::{PointBits, RapidHash, Ring, Settings};
///
/// let settings = Settings::default().points_per_weight(40).point_bits(PointBits::ThirtyTwo);
/// let ring = Ring::with(settings, RapidHash, ["a", "b"])?;
/// assert_eq!(ring.points().len(), 80);
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// Points for each unit of weight: the virtual nodes. More of them share more evenly, with a
    /// standard deviation of about `1 / sqrt(points)` of a node's share, and take ten bytes each.
    /// At least 1.
    pub points_per_weight: u32,
    /// How much of a hash counts.
    pub point_bits: PointBits,
    /// The most points the ring may have in all, so that a weight cannot take all the memory. Never
    /// more than [`Circle::POINTS_MAX`].
    #[cfg_attr(feature = "serde", serde(skip, default = "points_max"))]
    pub points_max: usize,
}

/// How many bits of a hash say where it lies.
///
/// ```
/// use althing_ring::{Placement, PointBits, RapidHash, Ring, Settings};
///
/// let settings = Settings::default().point_bits(PointBits::ThirtyTwo);
/// let ring = Ring::with(settings, RapidHash, ["a", "b"])?;
/// for (point, id) in ring.points() {
///     assert_eq!(ring.owner_of(point | 0xffff_ffff), Some(id));
/// }
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PointBits {
    /// The upper 32: what a hash such as CRC-32 has.
    ThirtyTwo,
    /// All that a [`Circle`] keeps of a hash of 64 bits: the upper 44. A million points then have a
    /// chance of one in thirty that any two of them are at one place, which the order of ids
    /// settles.
    #[default]
    SixtyFour,
}

impl PointBits {
    /// The bits that count.
    #[inline]
    pub(crate) fn mask(self) -> u64 {
        match self {
            Self::ThirtyTwo => !0 << 32,
            Self::SixtyFour => crate::word::POINT_MASK,
        }
    }
}

impl Default for Settings {
    /// 160 points for each unit of weight, of 64 bits, and no more than 16,777,216 in all, which is
    /// about 180 MB.
    fn default() -> Self {
        Self { points_per_weight: 160, point_bits: PointBits::default(), points_max: points_max() }
    }
}

fn points_max() -> usize {
    1 << 24
}

impl Settings {
    /// The same, with this many points for each unit of weight.
    ///
    /// ```
    /// use althing_ring::{RapidHash, Ring, RingError, Settings};
    ///
    /// let settings = |points| Settings::default().points_per_weight(points);
    /// assert_eq!(Ring::with(settings(1_000), RapidHash, ["a", "b"])?.points().len(), 2_000);
    /// let refused = Err(RingError::NoPointsPerWeight);
    /// assert_eq!(Ring::with(settings(0), RapidHash, ["a", "b"]), refused);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn points_per_weight(self, points_per_weight: u32) -> Self {
        Self { points_per_weight, ..self }
    }

    /// The same, with points of this length.
    ///
    /// ```
    /// use althing_ring::{PointBits, RapidHash, Ring, Settings};
    ///
    /// let settings = Settings::default().point_bits(PointBits::ThirtyTwo);
    /// let ring = Ring::with(settings, RapidHash, ["a", "b"])?;
    /// assert!(ring.points().all(|(point, _)| point << 32 == 0));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn point_bits(self, point_bits: PointBits) -> Self {
        Self { point_bits, ..self }
    }

    /// The same, with this many points in all at most.
    ///
    /// ```
    /// use althing_ring::{RapidHash, Ring, RingError, Settings};
    ///
    /// let ring = Ring::with(Settings::default().points_max(319), RapidHash, ["a", "b"]);
    /// assert_eq!(ring, Err(RingError::TooManyPoints { needed: 320, max: 319 }));
    /// ```
    #[must_use]
    pub fn points_max(self, points_max: usize) -> Self {
        Self { points_max: points_max.min(Circle::POINTS_MAX), ..self }
    }
}
