//! Whether an account that is in becomes root: it is root, or by sudo, doas or su.

use super::able::Able;
use super::{Host, doas, su, sudo};
use bartizan_enforce::accounts::{Account, Password, Standing};

impl Host {
    pub(super) fn becomes_root(&self, account: &Account) -> Able {
        if account.uid == 0 {
            return Able::Yes;
        }
        let ways: [fn(&Self, &Account) -> Able; 3] = [sudo::able, doas::able, su::able];
        let mut best = Able::No;
        for way in ways {
            best = best.or(way(self, account));
            if best == Able::Yes {
                break;
            }
        }
        best
    }
}

/// Whether a password that is asked for can be given. Where none fits, a rule that asks for one is perhaps a way all the
/// same: PAM may take something else.
pub(super) fn can_answer(standing: Standing, whose: &str, program: &str) -> Able {
    match standing.password {
        Password::Usable => Able::Yes,
        Password::Empty => Able::unclear(format!("{program} asks for {whose} password, which is empty")),
        Password::None => Able::unclear(format!("{program} asks for {whose} password, and no password fits")),
    }
}
