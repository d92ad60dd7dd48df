//! Delivery of events.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::thread;

use super::stage::{self, caller, ok};
use super::{explore, time};
use crate::config::options::LogLevel;
use crate::events::EventQueue;
use crate::process::Callback;
use crate::{Event, EventFn, EventKind};

/// Counts how often it was dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Heard {
    messages: Mutex<Vec<String>>,
    drops: Arc<AtomicUsize>,
}

impl Heard {
    /// A callback that records events and checks that calls do not overlap.
    fn callback(self: &Arc<Self>) -> EventFn {
        let (heard, dropped) = (self.clone(), Dropped(self.drops.clone()));
        let busy = AtomicBool::new(false);
        EventFn::from(move |event: &Event| {
            let _kept = &dropped;
            assert!(!busy.swap(true, Ordering::SeqCst), "two events at a time");
            thread::yield_now();
            heard.messages.lock().unwrap().push(event.message.clone());
            busy.store(false, Ordering::SeqCst);
        })
    }

    fn of(&self, queue: char) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        messages.iter().filter(|message| message.starts_with(queue)).cloned().collect()
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }
}

fn tell(queue: &Arc<EventQueue>, message: String) {
    queue.tell(|| Event::new(EventKind::Warning, message));
}

#[test]
fn every_event_is_delivered_once_and_in_order() {
    explore(|| {
        let heard = Arc::new(Heard::default());
        let queue = EventQueue::new("", Some(Callback::new(heard.callback())), LogLevel::Off);
        let other = queue.clone();
        let tells = thread::spawn(move || (0..3).for_each(|n| tell(&other, format!("a{n}"))));
        (0..3).for_each(|n| tell(&queue, format!("b{n}")));
        tells.join().unwrap();
        drop(queue);
        // Shorter than an idle dispatcher stays: a later delivery would mean a lost wake-up.
        time::sleep(Duration::from_secs(9));
        assert_eq!(heard.of('a'), ["a0", "a1", "a2"]);
        assert_eq!(heard.of('b'), ["b0", "b1", "b2"]);
        time::sleep(Duration::from_secs(60));
        assert_eq!(heard.drops(), 1);
    });
}

#[test]
fn one_dispatcher_delivers_the_events_of_two_clients() {
    explore(|| {
        let heard = Arc::new(Heard::default());
        let queues = [(); 2]
            .map(|()| EventQueue::new("", Some(Callback::new(heard.callback())), LogLevel::Off));
        let other = queues[1].clone();
        let tells = thread::spawn(move || tell(&other, "b0".to_owned()));
        tell(&queues[0], "a0".to_owned());
        tells.join().unwrap();
        time::sleep(Duration::from_secs(9));
        assert_eq!(heard.of('a'), ["a0"]);
        assert_eq!(heard.of('b'), ["b0"]);
        drop(queues);
        time::sleep(Duration::from_secs(60));
        assert_eq!(heard.drops(), 2);
    });
}

/// The dispatcher ends after ten seconds without an event, at the moment when one comes.
#[test]
fn an_event_that_comes_while_the_dispatcher_ends_is_delivered() {
    explore(|| {
        let heard = Arc::new(Heard::default());
        let queue = EventQueue::new("", Some(Callback::new(heard.callback())), LogLevel::Off);
        tell(&queue, "a0".to_owned());
        for n in 1..3 {
            time::sleep(Duration::from_secs(10));
            tell(&queue, format!("a{n}"));
        }
        time::sleep(Duration::from_secs(9));
        assert_eq!(heard.of('a'), ["a0", "a1", "a2"]);
        drop(queue);
        time::sleep(Duration::from_secs(60));
        assert_eq!(heard.drops(), 1);
    });
}

#[test]
fn a_client_drops_its_callback_once() {
    explore(|| {
        let heard = Arc::new(Heard::default());
        let mut config = stage::config();
        config.on_event(heard.callback());
        let (client, endpoint) = stage::client_of(&config, |_, _| stage::token("one"));
        drop(config);
        let waits = caller(&client);
        assert_eq!(waits.join().unwrap(), ok("one"));
        stage::end(client, &endpoint);
        let told = ["requesting a token", "received a token; its lifetime is 1200 s"];
        assert_eq!(heard.of('r'), told);
        assert_eq!(heard.drops(), 1);
    });
}
