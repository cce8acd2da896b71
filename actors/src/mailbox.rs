//! Starts actors whose mailboxes have their full size before the first message comes.
//!
//! An actor that sets the size when it is started has actix's sixteen messages until its arbiter gets to it, and what a
//! burst brings meanwhile is refused.

use actix::dev::channel::channel;
use actix::prelude::*;

/// An actor that takes media, so that the size of its mailbox matters.
pub(crate) trait Bounded: Actor<Context = Context<Self>> {
    /// How many messages may wait for it.
    const MAILBOX: usize;
}

/// Starts an actor on an arbiter.
pub(crate) fn start_on<A: Bounded>(arbiter: &ArbiterHandle, make: impl FnOnce() -> A + Send + 'static) -> Addr<A> {
    let (sender, receiver) = channel(A::MAILBOX);
    // An arbiter that has ended lets go of the receiver: then the address is a closed one.
    arbiter.spawn_fn(move || {
        actix::spawn(Context::with_receiver(receiver).into_future(make()));
    });
    Addr::new(sender)
}

/// Starts an actor on the arbiter of this thread.
pub(crate) fn start_here<A: Bounded>(actor: A) -> Addr<A> {
    let (sender, receiver) = channel(A::MAILBOX);
    actix::spawn(Context::with_receiver(receiver).into_future(actor));
    Addr::new(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Count;

    #[derive(Message)]
    #[rtype(result = "usize")]
    struct Total;

    #[derive(Default)]
    struct Counter(usize);

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    impl Bounded for Counter {
        const MAILBOX: usize = 100;
    }

    impl Handler<Count> for Counter {
        type Result = ();

        fn handle(&mut self, _: Count, _: &mut Self::Context) {
            self.0 += 1;
        }
    }

    impl Handler<Total> for Counter {
        type Result = usize;

        fn handle(&mut self, _: Total, _: &mut Self::Context) -> usize {
            self.0
        }
    }

    /// Sends as much as fits before the actor has run at all.
    async fn check_burst(counter: Addr<Counter>) {
        // The sender itself has a place besides.
        let taken = (0..2 * Counter::MAILBOX).take_while(|_| counter.try_send(Count).is_ok()).count();
        assert!((Counter::MAILBOX..=Counter::MAILBOX + 1).contains(&taken), "{taken}");
        assert_eq!(counter.send(Total).await.unwrap(), taken);
    }

    #[actix::test]
    async fn a_burst_before_the_first_turn_is_kept_here() {
        check_burst(start_here(Counter::default())).await;
    }

    #[actix::test]
    async fn a_burst_before_the_first_turn_is_kept_elsewhere() {
        check_burst(start_on(&Arbiter::current(), Counter::default)).await;
    }
}
