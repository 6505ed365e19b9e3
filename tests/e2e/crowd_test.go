package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	writers     = 6
	readers     = 2
	ledgersEach = 20 // of single keys, per writer
	groupsEach  = 3  // of keys that are written together
	groupKeys   = 5
	counters    = 3
	leastAcked  = 100 // operations before a kill
)

// A crowd is a set of clients and what they know, over any number of servers on one data folder.
type crowd struct {
	owned    [writers][]*ledger
	counters []*counter
	unique   atomic.Int64 // makes values different
	acked    atomic.Int64 // operations
	killing  atomic.Bool  // from now on errors are the kill's

	mu       sync.Mutex // guards problems
	problems []error
}

func newCrowd() *crowd {
	c := &crowd{}
	for w := range c.owned {
		for i := range ledgersEach {
			c.owned[w] = append(c.owned[w], newLedger(fmt.Sprintf("w%d:%d", w, i)))
		}
		for g := range groupsEach {
			var keys []string
			for i := range groupKeys {
				keys = append(keys, fmt.Sprintf("w%d:group%d:%d", w, g, i))
			}
			c.owned[w] = append(c.owned[w], newLedger(keys...))
		}
	}
	for i := range counters {
		c.counters = append(c.counters, &counter{key: fmt.Sprintf("counter:%d", i)})
	}
	return c
}

func (c *crowd) problem(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, err)
}

func (c *crowd) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.problems) > 0
}

// report fails the test with what the clients have found.
func (c *crowd) report(t *testing.T) {
	t.Helper()
	for i, err := range c.problems {
		if i == 10 {
			t.Errorf("and %d more", len(c.problems)-i)
			break
		}
		t.Error(err)
	}
}

// value makes one that was never used before: mostly short, sometimes as long as the log copies, rarely longer.
func (c *crowd) value(rng *rand.Rand) string {
	size := 20 + rng.IntN(180)
	switch rng.IntN(100) {
	case 0:
		size = 70_000
	case 1, 2, 3:
		size = 5_000
	}
	head := fmt.Sprintf("value %d ", c.unique.Add(1))
	return head + strings.Repeat("x", size)
}

// connect makes a speaker of the kind that a client's number says, with levels of its own or with the server's.
func connect(addr string, number int, mixed bool) (speaker, error) {
	if !mixed {
		if number%2 == 0 {
			return speakRedis(addr, ""), nil
		}
		return speakClient(addr, allLevels[0])
	}
	if number%2 == 0 {
		return speakRedis(addr, []string{"always", "everysec", "never"}[number/2%3]), nil
	}
	return speakClient(addr, allLevels...)
}

// work lets all clients work on a server until it is killed: after d, and not before they have done enough.
func (c *crowd) work(t *testing.T, p *process, rng *rand.Rand, mixed bool, d time.Duration) {
	t.Helper()
	c.workUntil(t, p, rng, mixed, d, func() bool { return true })
}

// workUntil is work that goes on until something has happened, too.
func (c *crowd) workUntil(t *testing.T, p *process, rng *rand.Rand, mixed bool, d time.Duration, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.killing.Store(false)
	before := c.acked.Load()
	var speakers [writers + readers]speaker
	for n := range speakers {
		var err error
		if speakers[n], err = connect(p.addr, n, mixed); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for n, s := range speakers {
		mine := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		step := c.read
		if n < writers {
			step = func(ctx context.Context, s speaker, rng *rand.Rand) error { return c.write(ctx, s, rng, c.owned[n]) }
		}
		wg.Go(func() { c.client(ctx, s, mine, step) })
	}
	wg.Go(func() { c.pipeline(p.addr) })
	moment := time.NewTimer(d)
	defer moment.Stop()
	<-moment.C
	eventually(t, callLimit, "enough was acknowledged to lose", func() bool {
		return c.acked.Load() >= before+leastAcked && happened() || c.failed()
	})
	c.killing.Store(true)
	p.kill(t)
	cancel()
	wg.Wait()
}

// client repeats a step until an error ends it, which must be the kill.
func (c *crowd) client(ctx context.Context, s speaker, rng *rand.Rand, step func(context.Context, speaker, *rand.Rand) error) {
	err := error(nil)
	for err == nil {
		err = step(ctx, s, rng)
	}
	if !c.killing.Load() {
		c.problem(fmt.Errorf("a client was stopped by something else than the kill: %w", err))
	}
	if err := s.close(); err != nil {
		c.problem(fmt.Errorf("closing a client: %w", err))
	}
}

// write does one random operation that changes something.
func (c *crowd) write(ctx context.Context, s speaker, rng *rand.Rand, owned []*ledger) error {
	l := owned[rng.IntN(len(owned))]
	if n := rng.IntN(10); n == 0 {
		return c.increment(ctx, s, c.counters[rng.IntN(len(c.counters))])
	}
	i, err := c.change(ctx, s, rng, l)
	if err == nil {
		l.acknowledged(i)
		c.acked.Add(1)
	}
	return err
}

func (c *crowd) increment(ctx context.Context, s speaker, n *counter) error {
	n.begin()
	value, err := s.incr(ctx, n.key)
	if err == nil {
		n.acknowledged(value)
		c.acked.Add(1)
	}
	return err
}

// change writes the keys of one ledger and returns the number of the write.
func (c *crowd) change(ctx context.Context, s speaker, rng *rand.Rand, l *ledger) (int, error) {
	far := time.Now().Add(time.Hour + time.Duration(rng.IntN(1e6))*time.Second)
	was := l.newest()
	switch n := rng.IntN(100); {
	case n < 15:
		i := l.begin(state{})
		return i, s.del(ctx, l.keys...)
	case len(l.keys) > 1:
		next := state{value: c.value(rng), present: true}
		i := l.begin(next)
		return i, s.mset(ctx, l.keys, next.value)
	case n < 30 && was.present && was.deadline.IsZero():
		was.deadline = far
		i := l.begin(was)
		return i, s.expire(ctx, l.keys[0], far)
	default:
		next := state{value: c.value(rng), present: true}
		if n < 45 {
			next.deadline = far
		} else if n < 50 {
			next.deadline = time.Now().Add(time.Duration(1+rng.IntN(300)) * time.Millisecond)
		}
		i := l.begin(next)
		return i, s.set(ctx, l.keys[0], next.value, next.deadline)
	}
}

// read looks at a random key of a random writer.
func (c *crowd) read(ctx context.Context, s speaker, rng *rand.Rand) error {
	owned := c.owned[rng.IntN(writers)]
	l := owned[rng.IntN(len(owned))]
	key, asked, floor := l.keys[rng.IntN(len(l.keys))], time.Now(), l.known()
	value, present, err := s.get(ctx, key)
	if err != nil {
		return err
	}
	if err := l.saw(key, state{value: value, present: present}, asked, floor); err != nil {
		c.problem(err)
	}
	return nil
}

// pipeline increments a counter eight times in each write: replies that wait must keep their order.
func (c *crowd) pipeline(addr string) {
	conn, err := openResp(addr, "")
	for err == nil {
		err = c.pipelineOnce(conn, c.counters[0])
	}
	if !c.killing.Load() {
		c.problem(fmt.Errorf("the pipeline was stopped by something else than the kill: %w", err))
	}
	if conn != nil {
		conn.Close()
	}
}

func (c *crowd) pipelineOnce(conn *respConn, n *counter) error {
	const depth = 8
	var batch []byte
	for range depth {
		n.begin()
		batch = appendRequest(batch, "INCR", n.key)
	}
	if _, err := conn.Write(batch); err != nil {
		return err
	}
	last := int64(0)
	for range depth {
		v, err := conn.reply()
		if err != nil {
			return err
		}
		value, ok := v.(int64)
		if !ok || value <= last {
			return fmt.Errorf("INCR in a pipeline was answered with %v after %d", v, last)
		}
		last = value
		n.acknowledged(value)
		c.acked.Add(1)
	}
	return nil
}

// verify reads every key from a server that was started after a kill.
func (c *crowd) verify(t *testing.T, p *process) {
	t.Helper()
	conn := dialResp(t, p, "")
	for _, owned := range c.owned {
		for _, l := range owned {
			var got []state
			for _, key := range l.keys {
				got = append(got, readState(t, conn, key))
			}
			if err := l.restored(got); err != nil {
				c.problem(err)
			}
		}
	}
	for _, n := range c.counters {
		value := int64(0)
		if text, ok := conn.must(t, "GET", n.key).(string); ok {
			var err error
			if value, err = strconv.ParseInt(text, 10, 64); err != nil {
				c.problem(fmt.Errorf("counter %q: %w", n.key, err))
			}
		}
		if err := n.restored(value); err != nil {
			c.problem(err)
		}
	}
}

// readState reads a value with its deadline.
func readState(t *testing.T, conn *respConn, key string) state {
	t.Helper()
	value, present := conn.must(t, "GET", key).(string)
	left, ok := conn.must(t, "PTTL", key).(int64)
	if !ok {
		t.Fatalf("PTTL %q was not answered with a number", key)
	}
	if !present || left == -2 { // it may expire between the two
		return state{}
	}
	s := state{value: value, present: true}
	if left >= 0 {
		s.deadline = time.Now().Add(time.Duration(left) * time.Millisecond)
	}
	return s
}
