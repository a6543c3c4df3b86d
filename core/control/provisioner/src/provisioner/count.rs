//! How many resources OpenTofu is done with.

use super::Event;
use crate::tofu::{ResourceState, TofuEvent};

/// Counts resources while OpenTofu works on them.
pub(super) struct Count<'a> {
    done: usize,
    total: usize,
    sink: &'a mut dyn FnMut(Event),
}

impl<'a> Count<'a> {
    pub(super) fn new(total: usize, sink: &'a mut dyn FnMut(Event)) -> Self {
        Self {
            done: 0,
            total,
            sink,
        }
    }

    pub(super) fn tell(&mut self, event: TofuEvent) {
        let is_done = matches!(
            &event,
            TofuEvent::Resource { state: ResourceState::Done, action, .. } if action != "read"
        );
        (self.sink)(Event::Tofu(event));
        if is_done {
            self.done += 1;
            (self.sink)(Event::Resources {
                done: self.done,
                total: self.total.max(self.done),
            });
        }
    }
}
