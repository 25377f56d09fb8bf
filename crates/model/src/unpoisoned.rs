//! What is done about a lock whose holder panicked, in one place: it is taken all the same.

use std::sync::PoisonError;

/// Takes what a lock guards although a thread panicked while it held it. No lock of ours guards something that would be dangerous
/// half-changed: the worst is one lost entry of a list or a count, and a guard that stops for that is worth less than one that goes on.
pub trait Unpoisoned {
    /// What the lock gives, or the wait on a condition.
    type Held;

    /// That, poisoned or not.
    fn unpoisoned(self) -> Self::Held;
}

impl<T> Unpoisoned for Result<T, PoisonError<T>> {
    type Held = T;

    fn unpoisoned(self) -> T {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_panic_of_one_holder_stops_nobody_else() {
        let lock = Mutex::new(7);
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _held = lock.lock().unpoisoned();
                panic!("as a fault of ours would");
            });
            holder.join().is_err()
        });
        assert!(panicked && lock.is_poisoned());
        assert_eq!(*lock.lock().unpoisoned(), 7);
    }
}
