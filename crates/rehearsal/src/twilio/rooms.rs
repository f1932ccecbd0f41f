//! Conference rooms: who is in which, and when one is over. Nothing of their TwiML is known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Words that somebody has not listened to yet; more are lost.
const WORDS: usize = 64;

/// Every room in which somebody is, by name. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Rooms(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    rooms: HashMap<String, Room>,
    /// No two members have the same id, not even in different rooms.
    last_id: u64,
}

#[derive(Debug)]
struct Room {
    state: watch::Sender<RoomState>,
    has_started: bool,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    id: u64,
    words: mpsc::Sender<String>,
    dismissed: CancellationToken,
}

/// What everybody in a room knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomState {
    /// Whoever is there hears music.
    Waiting,
    Talking,
    /// Somebody left with whom it ends.
    Over,
}

/// What happened to somebody in a room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Changed(RoomState),
    /// Somebody else said this.
    Words(String),
    /// Somebody else ended this one's part.
    Dismissed,
}

/// A place in a room. Dropping it leaves the room.
#[derive(Debug)]
pub(super) struct Seat {
    rooms: Rooms,
    room: String,
    id: u64,
    ends_on_exit: bool,
    state: watch::Receiver<RoomState>,
    words: mpsc::Receiver<String>,
    dismissed: CancellationToken,
}

impl Rooms {
    /// Enters a room, which is there from now on.
    pub(super) fn enter(&self, room: &str, starts_on_enter: bool, ends_on_exit: bool) -> Seat {
        let mut open = self.lock();
        open.last_id += 1;
        let id = open.last_id;
        let open = open.rooms.entry(room.to_owned()).or_insert_with(Room::new);
        let (words_in, words) = mpsc::channel(WORDS);
        let dismissed = CancellationToken::new();
        open.has_started |= starts_on_enter;
        open.members.push(Member { id, words: words_in, dismissed: dismissed.clone() });
        open.settle();
        let state = open.state.subscribe();
        Seat { rooms: self.clone(), room: room.to_owned(), id, ends_on_exit, state, words, dismissed }
    }

    fn leave(&self, room: &str, id: u64, ends: bool) {
        let rooms = &mut self.lock().rooms;
        let Some(open) = rooms.get_mut(room) else { return };
        let before = open.members.len();
        open.members.retain(|member| member.id != id);
        if before == open.members.len() {
            return;
        }
        if ends {
            open.state.send_replace(RoomState::Over);
        } else {
            open.settle();
        }
        // A room that is over is not entered again: the next of its name is another one.
        if ends || open.members.is_empty() {
            rooms.remove(room);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn new() -> Self {
        Self { state: watch::Sender::new(RoomState::Waiting), has_started: false, members: Vec::new() }
    }

    fn settle(&mut self) {
        let is_talk = self.has_started && self.members.len() > 1;
        let state = if is_talk { RoomState::Talking } else { RoomState::Waiting };
        self.state.send_if_modified(|known| std::mem::replace(known, state) != state);
    }
}

impl Seat {
    pub(super) fn state(&mut self) -> RoomState {
        *self.state.borrow_and_update()
    }

    /// Waits for the next thing; nothing is lost when this is dropped while it waits.
    pub(super) async fn next(&mut self) -> Happening {
        tokio::select! {
            biased;
            Some(words) = self.words.recv() => Happening::Words(words),
            () = self.dismissed.cancelled() => Happening::Dismissed,
            changed = self.state.changed() => match changed {
                Ok(()) => Happening::Changed(self.state()),
                // The room is gone, and with it whoever could change it.
                Err(_) => Happening::Changed(RoomState::Over),
            },
        }
    }

    /// Says something that the others hear, unless they have not listened for long.
    pub(super) fn say(&self, words: &str) {
        self.with_others(|member| {
            let _ = member.words.try_send(words.to_owned());
        });
    }

    /// The others hang up.
    pub(super) fn dismiss_others(&self) {
        self.with_others(|member| member.dismissed.cancel());
    }

    fn with_others(&self, act: impl Fn(&Member)) {
        if let Some(room) = self.rooms.lock().rooms.get(&self.room)
            && room.members.iter().any(|member| member.id == self.id)
        {
            room.members.iter().filter(|member| member.id != self.id).for_each(act);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rooms.leave(&self.room, self.id, self.ends_on_exit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_in_a_room_talk_and_one_alone_waits() {
        let rooms = Rooms::default();
        let mut caller = rooms.enter("a", true, false);
        assert_eq!(caller.state(), RoomState::Waiting);
        let agent = rooms.enter("a", true, false);
        assert_eq!(caller.next().await, Happening::Changed(RoomState::Talking));
        agent.say("Hello?");
        assert_eq!(caller.next().await, Happening::Words("Hello?".to_owned()));
        drop(agent);
        assert_eq!(caller.next().await, Happening::Changed(RoomState::Waiting));
    }

    #[tokio::test]
    async fn a_room_ends_with_the_one_who_ends_it() {
        let rooms = Rooms::default();
        let mut caller = rooms.enter("a", true, false);
        let agent = rooms.enter("a", true, true);
        let mut elsewhere = rooms.enter("b", true, false);
        drop(agent);
        assert_eq!(caller.next().await, Happening::Changed(RoomState::Over));
        assert_eq!(elsewhere.state(), RoomState::Waiting);
        let mut later = rooms.enter("a", true, false);
        drop(caller);
        assert_eq!(later.state(), RoomState::Waiting, "who leaves the old room is not missed in the new one");
        assert_eq!(rooms.lock().rooms["a"].members.len(), 1);
    }

    #[tokio::test]
    async fn a_room_waits_for_somebody_who_may_start_it() {
        let rooms = Rooms::default();
        let mut first = rooms.enter("a", false, false);
        let second = rooms.enter("a", false, false);
        assert_eq!(first.state(), RoomState::Waiting);
        let _third = rooms.enter("a", true, false);
        assert_eq!(first.state(), RoomState::Talking);
        second.dismiss_others();
        assert_eq!(first.next().await, Happening::Dismissed);
    }
}
