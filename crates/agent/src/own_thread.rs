//! A thread for one piece of work that must not wait for another; where the kernel gives none, the work is not lost.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use tokio::sync::oneshot;

use bartizan_model::Unpoisoned as _;

/// Runs `body` with the value on a thread of its own; the value comes back when the kernel gives none.
pub(crate) fn lend<T: Send + 'static>(builder: Builder, value: T, body: impl FnOnce(T) + Send + 'static) -> Result<(), (io::Error, T)> {
    let lent = Arc::new(Mutex::new(Some(value)));
    let its = Arc::clone(&lent);
    let begun = builder.spawn(move || {
        let value = its.lock().unpoisoned().take();
        if let Some(value) = value {
            body(value);
        }
    });
    let Err(error) = begun else { return Ok(()) };
    let value = lent.lock().unpoisoned().take();
    value.map_or(Ok(()), |value| Err((error, value)))
}

/// Does the work beside the runtime's threads, which may all be busy with what others asked; on one of them only where the
/// kernel gives no other. `None` when it panicked.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    match lend(Builder::new().name("urgent".to_owned()), work, move |work| drop(answer.send(work()))) {
        Ok(()) => answered.await.ok(),
        Err((_, work)) => tokio::task::spawn_blocking(work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_lent_to_a_thread_that_the_kernel_does_not_give_comes_back() {
        let (tell, told) = channel();
        let other = tell.clone();
        assert!(lend(Builder::new(), 7, move |value| tell.send(value).unwrap()).is_ok());
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(7));
        // No address space is so large.
        let refused = lend(Builder::new().stack_size(1 << 60), 8, move |value| other.send(value).unwrap());
        assert_eq!(refused.unwrap_err().1, 8);
        assert!(told.recv_timeout(Duration::from_secs(20)).is_err(), "and nothing was done with it");
    }

    #[test]
    fn urgent_work_does_not_wait_for_those_who_hold_every_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
        let (free, held) = channel::<()>();
        let slow = runtime.spawn_blocking(move || held.recv());
        let urgent = async { tokio::time::timeout(Duration::from_secs(20), apart(|| 5)).await };
        assert_eq!(runtime.block_on(urgent), Ok(Some(5)));
        drop(free);
        assert!(runtime.block_on(slow).unwrap().is_err());
    }
}
