package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// A ledger is what clients know about some keys that one writer changes together: every state that a write of it can have
// made, in the order of the writes, and the newest of them that somebody was told of. After a crash the keys may be in that
// state or in a later one, never in an earlier one.
//
// Values are never used twice, so a value tells which write made it. Deadlines tell states of one value apart.
type ledger struct {
	keys []string

	mu     sync.Mutex // guards the fields below
	states []state    // [0] was there after the last restart, [i] is what the i-th write since then makes
	floor  int        // index of the newest state that was acknowledged or seen
}

// A state of all keys of a ledger: a value with a deadline or none, or absent.
type state struct {
	value    string
	present  bool
	deadline time.Time
	expired  time.Time // when somebody was told first that the value is gone, because its time has come; zero: nobody was
}

// deadlineSlack is by how much a deadline that is read back may differ from the one that was set, and clocks may differ.
const deadlineSlack = 2 * time.Second

func newLedger(keys ...string) *ledger { return &ledger{keys: keys, states: []state{{}}} }

func (s state) String() string {
	switch {
	case !s.present:
		return "nothing"
	case s.deadline.IsZero():
		return fmt.Sprintf("%.40q", s.value)
	default:
		return fmt.Sprintf("%.40q until %v", s.value, s.deadline.Format(time.StampMilli))
	}
}

// shows says whether a reader may find got in a key of state s, who has asked at one time and was answered at another.
func (s state) shows(got state, asked, now time.Time) bool {
	if !got.present {
		return !s.present || !s.deadline.IsZero() && now.After(s.deadline.Add(-deadlineSlack))
	}
	if !s.present || s.value != got.value || !s.expired.IsZero() && !s.expired.After(asked) {
		return false
	}
	return s.deadline.IsZero() || now.Before(s.deadline.Add(deadlineSlack))
}

// restores says whether got, read with its deadline after a restart, is the state s.
func (s state) restores(got state, now time.Time) bool {
	if !s.shows(got, now, now) || !got.present {
		return s.shows(got, now, now)
	}
	if s.deadline.IsZero() || got.deadline.IsZero() {
		return s.deadline.IsZero() == got.deadline.IsZero()
	}
	return s.deadline.Sub(got.deadline).Abs() < deadlineSlack
}

// newest is the state that the next write will replace. Only the writer calls it.
func (l *ledger) newest() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[len(l.states)-1]
}

// begin notes a write before it is sent, and returns its number.
func (l *ledger) begin(s state) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states, s)
	return len(l.states) - 1
}

// acknowledged notes that write i was acknowledged.
func (l *ledger) acknowledged(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor = max(l.floor, i)
}

// known returns the floor, for a read that begins.
func (l *ledger) known() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floor
}

// saw notes what a read of a key has shown that began at a time when the floor was as given.
func (l *ledger) saw(key string, got state, asked time.Time, floor int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for i := floor; i < len(l.states); i++ {
		if !l.states[i].shows(got, asked, now) {
			continue
		}
		if l.states[i].present && !got.present && l.states[i].expired.IsZero() {
			l.states[i].expired = now
		}
		l.floor = max(l.floor, i)
		return nil
	}
	return fmt.Errorf("key %q was read as %v while it held %v or a later value", key, got, l.states[floor])
}

// restored compares what the keys hold after a restart with what they may hold, and begins anew from there. The
// error says what was lost.
func (l *ledger) restored(got []state) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	all := func(s state) bool {
		return !slices.ContainsFunc(got, func(g state) bool { return !s.restores(g, now) })
	}
	// The newest first: it makes no difference which of several equal states it was.
	for i := len(l.states) - 1; i >= l.floor; i-- {
		if all(l.states[i]) {
			l.states, l.floor = []state{got[0]}, 0
			return nil
		}
	}
	was := l.states[l.floor]
	older := slices.IndexFunc(l.states[:l.floor], all)
	l.states, l.floor = []state{got[0]}, 0
	if older >= 0 {
		return fmt.Errorf("keys %q: %v was acknowledged or seen and is lost; %v is back", l.keys, was, got)
	}
	return fmt.Errorf("keys %q hold %v, which is no state that a write made from %v on", l.keys, got, was)
}

// A counter is what clients know about a key that any number of writers increment by one.
type counter struct {
	key string

	mu    sync.Mutex // guards the fields below
	base  int64      // value after the last restart
	sent  int64      // increments since then
	acked int64      // of these, acknowledged
	seen  int64      // largest value that a reply has shown
}

func (c *counter) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
}

func (c *counter) acknowledged(value int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked++
	c.seen = max(c.seen, value)
}

func (c *counter) restored(value int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	least, most := max(c.base+c.acked, c.seen), c.base+c.sent
	c.base, c.sent, c.acked, c.seen = value, 0, 0, value
	if value < least || value > most {
		return fmt.Errorf("counter %q is %d; %d increments were acknowledged and seen, %d were sent", c.key, value, least, most)
	}
	return nil
}

// The checker itself has to find what it is there for.
func TestLedger(t *testing.T) {
	a, b, gone := state{value: "a", present: true}, state{value: "b", present: true}, state{}
	soon := state{value: "s", present: true, deadline: time.Now().Add(time.Second)}
	late := state{value: "a", present: true, deadline: time.Now().Add(time.Hour)}
	for _, c := range []struct {
		name  string
		write []state // of which all but the last are acknowledged
		seen  []state
		found []state
		lost  bool
	}{
		{"an acknowledged value is there", []state{a, b}, nil, []state{a}, false},
		{"one that was not acknowledged may be there", []state{a, b}, nil, []state{b}, false},
		{"an acknowledged value is lost", []state{a, b}, nil, []state{gone}, true},
		{"an acknowledged delete is lost", []state{a, gone, b}, nil, []state{a}, true},
		{"a value was seen and is lost", []state{a, b}, []state{b}, []state{a}, true},
		{"half of a batch", []state{a, b}, nil, []state{a, b}, true},
		{"a value that nobody wrote", []state{a, b}, nil, []state{{value: "x", present: true}}, true},
		{"an acknowledged deadline is lost", []state{a, late, b}, nil, []state{a}, true},
		{"an acknowledged deadline is there", []state{a, late, b}, nil, []state{late}, false},
		{"an expired value is gone", []state{soon, soon}, nil, []state{gone}, false},
		{"an expired value has come back", []state{soon, b}, []state{gone}, []state{soon}, true},
	} {
		l := newLedger("k")
		for i, s := range c.write {
			n := l.begin(s)
			if i < len(c.write)-1 {
				l.acknowledged(n)
			}
		}
		for _, s := range c.seen {
			if err := l.saw("k", s, time.Now(), l.known()); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if err := l.restored(c.found); (err != nil) != c.lost {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestLedgerFindsStaleReads(t *testing.T) {
	l := newLedger("k")
	l.acknowledged(l.begin(state{value: "a", present: true}))
	l.acknowledged(l.begin(state{value: "b", present: true}))
	if err := l.saw("k", state{value: "a", present: true}, time.Now(), l.known()); err == nil {
		t.Error("a read of a value that had been replaced before was accepted")
	}
}

func TestCounter(t *testing.T) {
	for _, c := range []struct {
		value int64
		lost  bool
	}{{11, true}, {12, false}, {13, false}, {14, true}} {
		n := counter{key: "n", base: 10}
		for i := range 3 {
			n.begin()
			if i < 2 {
				n.acknowledged(11 + int64(i))
			}
		}
		if err := n.restored(c.value); (err != nil) != c.lost {
			t.Errorf("restored(%d) = %v", c.value, err)
		}
	}
}
