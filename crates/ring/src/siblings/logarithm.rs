//! The natural logarithm, the same to the last bit on every machine: the standard library's may
//! differ between platforms, and is not there without an operating system.

/// The logarithm of a positive, normal number, to about 15 digits.
pub(super) fn ln(number: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ONE: u64 = 1023 << 52;
    debug_assert!(number.is_normal() && number > 0.0);
    // number = mantissa * 2^exponent, the mantissa between the square roots of 1/2 and of 2.
    let bits = number.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & MANTISSA | ONE);
    if mantissa > core::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln((1 + s) / (1 - s)) = 2 (s + s^3/3 + s^5/5 + ..), and s is below 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for odd in (0..11).rev().map(|term| f64::from(2 * term + 1)) {
        sum = sum * square + 1.0 / odd;
    }
    f64::from(exponent) * core::f64::consts::LN_2 + 2.0 * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm() {
        for number in [1e-300, 1e-16, 0.1, 0.5, 0.707, 0.708, 0.999_999_999, 1.0, 1.5, 2.0, 1e300] {
            let (ours, theirs) = (ln(number), f64::ln(number));
            let error = (ours - theirs).abs();
            assert!(error <= theirs.abs() * 1e-15, "ln({number}) = {ours}, not {theirs}");
        }
    }

    #[test]
    fn just_below_one_it_keeps_its_digits() {
        let least = 0.5 / (1_u64 << 53) as f64;
        let closest = 1.0 - 2.0 * least;
        assert!((ln(closest) / -(2.0 * least) - 1.0).abs() < 1e-9);
    }
}
