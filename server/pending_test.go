package server

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// fakeLog is a log whose progress the test decides.
type fakeLog struct {
	mu               sync.Mutex
	written, durable uint64
	failed           bool
	asked            []uint64 // every Notify
	waiting          map[uint64][]engine.Waiter
	try              func(lsn uint64) bool // TryCommit; nil: somebody is syncing
}

func (l *fakeLog) LogState() engine.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed {
		return engine.LogFailed
	}
	return engine.LogOK
}

func (l *fakeLog) Written() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

func (l *fakeLog) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

func (l *fakeLog) TryCommit(lsn uint64) bool { return l.try != nil && l.try(lsn) }

func (l *fakeLog) Notify(lsn uint64, w engine.Waiter) {
	l.mu.Lock()
	l.asked = append(l.asked, lsn)
	now := l.failed || lsn <= l.durable
	if !now {
		if l.waiting == nil {
			l.waiting = map[uint64][]engine.Waiter{}
		}
		l.waiting[lsn] = append(l.waiting[lsn], w)
	}
	l.mu.Unlock()
	if now {
		w.Durable()
	}
}

// reach makes everything up to lsn durable, or the log fail.
func (l *fakeLog) reach(lsn uint64, fail bool) {
	l.mu.Lock()
	l.durable, l.written = max(l.durable, lsn), max(l.written, lsn)
	l.failed = l.failed || fail
	var due []engine.Waiter
	for at, ws := range l.waiting {
		if at <= l.durable || l.failed {
			due = append(due, ws...)
			delete(l.waiting, at)
		}
	}
	l.mu.Unlock()
	for _, w := range due {
		w.Durable()
	}
}

// fakeSocket takes what the test allows.
type fakeSocket struct {
	mu   sync.Mutex
	got  bytes.Buffer
	room int           // bytes that tryWrite takes yet; negative: any number
	slow chan struct{} // writeAll waits for it, if it is not nil
	fail error
	cuts atomic.Int32

	charged atomic.Int64
}

func (s *fakeSocket) tryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	s.got.Write(p[:n])
	return n, nil
}

func (s *fakeSocket) writeAll(p []byte) error {
	if s.slow != nil {
		<-s.slow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got.Write(p)
	return s.fail
}

func (s *fakeSocket) cut() { s.cuts.Add(1) }

func (s *fakeSocket) charge(delta int64) { s.charged.Add(delta) }

func (s *fakeSocket) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

func newQueue(binary bool) (*pending, *fakeLog, *fakeSocket) {
	log, sock := &fakeLog{}, &fakeSocket{room: -1}
	delays := &replyDelays{elapsed: func() time.Duration { return 0 }}
	return newPending(log, sock, binary, delays), log, sock
}

func (p *pending) addAll(list ...any) {
	for i := 0; i < len(list); i += 2 {
		switch g := list[i+1].(type) {
		case int:
			p.add([]byte(list[i].(string)), gated{lsn: uint64(g)})
		case gated:
			p.add([]byte(list[i].(string)), g)
		}
	}
}

// TestQueueOrder adds replies with their gates, then lets the log reach LSN after LSN.
func TestQueueOrder(t *testing.T) {
	for name, c := range map[string]struct {
		binary bool
		add    []any
		reach  []uint64
		sent   []string // after each
	}{
		"text waits":             {false, []any{"a", 5}, []uint64{4, 5}, []string{"", "a"}},
		"text keeps the order":   {false, []any{"a", 5, "b", 3, "c", 0}, []uint64{3, 5}, []string{"", "abc"}},
		"text goes out in parts": {false, []any{"a", 1, "b", 0, "c", 3, "d", 0}, []uint64{1, 2, 3}, []string{"ab", "ab", "abcd"}},
		"binary overtakes":       {true, []any{"a", 5, "b", 3, "c", 4}, []uint64{3, 4, 5}, []string{"b", "bc", "bca"}},
		"binary skips nothing":   {true, []any{"a", 1, "b", 2, "c", 1}, []uint64{1, 2}, []string{"ac", "acb"}},
		"a part comes last":      {true, []any{"a", 5, "b", gated{lsn: 3, kind: gatedPart}}, []uint64{3, 5}, []string{"", "ab"}},
		"an empty one counts":    {true, []any{"", 5, "b", 6}, []uint64{5, 6}, []string{"", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, log, sock := newQueue(c.binary)
			p.addAll(c.add...)
			p.ask()
			if got := sock.text(); got != "" {
				t.Fatalf("%q went out at once", got)
			}
			for i, lsn := range c.reach {
				log.reach(lsn, false)
				p.Durable() // any call may come at any time
				if got := sock.text(); got != c.sent[i] {
					t.Errorf("at LSN %d %q is sent, want %q", lsn, got, c.sent[i])
				}
			}
			if p.waiting() || p.bytes() != 0 {
				t.Error("something still waits")
			}
		})
	}
}

// TestRunBehindNothing: bytes that need not wait are queued because something waits; if that goes out in the same moment,
// nobody else will send them.
func TestRunBehindNothing(t *testing.T) {
	p, log, sock := newQueue(false)
	p.addRun([]byte("a"))
	if sock.text() != "a" || p.waiting() {
		t.Errorf("%q is sent, want a", sock.text())
	}
	p.addAll("b", 1)
	p.addRun([]byte("c"))
	if sock.text() != "a" {
		t.Errorf("%q is sent, want a", sock.text())
	}
	p.ask()
	log.reach(1, false)
	if sock.text() != "abc" {
		t.Errorf("%q is sent, want abc", sock.text())
	}
}

// TestQueueAsks: for every gate somebody must be told, and not more often than needed.
func TestQueueAsks(t *testing.T) {
	for name, c := range map[string]struct {
		written uint64
		gates   []int
		want    string
	}{
		"one":                          {0, []int{7}, "[7]"},
		"all unwritten":                {4, []int{5, 6, 7}, "[7]"},
		"all written":                  {9, []int{7, 5}, "[7]"},
		"on both sides of the written": {5, []int{7, 4, 6}, "[4 7]"},
		"none":                         {0, nil, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			p, log, _ := newQueue(false)
			log.written = c.written
			for _, g := range c.gates {
				p.addAll("x", g)
			}
			p.ask()
			p.ask()
			if got := fmt.Sprint(log.asked); got != c.want {
				t.Errorf("asked for %s, want %s", got, c.want)
			}
		})
	}
}

// TestQueueCommitsItself: a RESP connection does the work when nobody is at it, a binary one never does.
func TestQueueCommitsItself(t *testing.T) {
	for _, binary := range []bool{false, true} {
		p, log, sock := newQueue(binary)
		log.try = func(lsn uint64) bool { log.reach(lsn, false); return true }
		p.addAll("a", 5)
		p.commit()
		if sent := sock.text() == "a"; sent == binary || len(log.asked) != 0 != binary {
			t.Errorf("binary %v: sent %q, asked %v", binary, sock.text(), log.asked)
		}
	}
	// TryCommit may know of a failure before LogState tells: the reply must not be forgotten.
	p, log, sock := newQueue(false)
	log.try = func(uint64) bool { return true }
	p.addAll("a", 5)
	p.commit()
	log.reach(0, true)
	if want := "-NOTDURABLE " + notDurableText + "\r\n"; sock.text() != want {
		t.Errorf("sent %q, want %q", sock.text(), want)
	}
}

// TestQueueAfterFailure: durable replies go out, the others become errors of their own.
func TestQueueAfterFailure(t *testing.T) {
	p, log, sock := newQueue(false)
	p.addAll("+OK\r\n", 3, "$1\r\nx\r\n", 0, "+OK\r\n", gated{lsn: 5, kind: gatedWrite},
		":1\r\n", 6, "+PONG\r\n", 0)
	p.ask()
	log.reach(3, true)
	want := "+OK\r\n$1\r\nx\r\n-UNKNOWN " + unknownText + "\r\n-NOTDURABLE " + notDurableText + "\r\n+PONG\r\n"
	if sock.text() != want {
		t.Errorf("sent %q, want %q", sock.text(), want)
	}
	p.addAll("+OK\r\n", gated{lsn: 9, kind: gatedWrite})
	p.ask()
	if rest := strings.TrimPrefix(sock.text(), want); rest != "-UNKNOWN "+unknownText+"\r\n" {
		t.Errorf("a later one: %q", rest)
	}
	if sock.cuts.Load() != 0 {
		t.Error("the connection was cut")
	}
}

func TestBinaryQueueAfterFailure(t *testing.T) {
	p, log, sock := newQueue(true)
	ok := string(proto.AppendReply(nil, proto.Meta{ID: 1}, proto.OK, ""))
	p.addAll(ok, gated{lsn: 5, id: 7, flags: uint8(proto.FlagIntegrity), kind: gatedWrite},
		"", gated{lsn: 6, id: 8, flags: uint8(proto.FlagQuiet), kind: gatedWrite},
		ok, gated{lsn: 6, id: 9}, ok, 4)
	p.ask()
	log.reach(4, true)
	r := proto.NewReader(strings.NewReader(sock.text()), proto.KindReply, proto.Limits{})
	for _, want := range []struct {
		id     uint16
		status proto.Status
		flags  proto.Flags
	}{
		{7, proto.EUNKNOWNOUTCOME, proto.FlagIntegrity}, {8, proto.EUNKNOWNOUTCOME, 0}, {9, proto.ENOTDURABLE, 0}, {1, proto.OK, 0},
	} {
		m, err := r.Next()
		must(t, err)
		if m.ID != want.id || m.Status() != want.status || m.Flags != want.flags {
			t.Errorf("reply to %d: %v, flags %#x, want %+v", m.ID, m.Status(), m.Flags, want)
		}
	}
}

// TestHalfAReplyCannotBeReplaced: what has begun ends with the connection.
func TestHalfAReplyCannotBeReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		kind uint8
		want string
	}{
		"begins":  {gatedPart, "a-NOTDURABLE " + notDurableText + "\r\n"},
		"goes on": {gatedRest, "a"},
	} {
		p, log, sock := newQueue(false)
		p.addAll("a", 1, "b", gated{lsn: 5, kind: c.kind}, "c", 0)
		p.ask()
		log.reach(1, true)
		if sock.text() != c.want || sock.cuts.Load() != 1 || p.drain() {
			t.Errorf("%s: sent %q, cut %d times", name, sock.text(), sock.cuts.Load())
		}
	}
}

// TestFullSocket: what the socket doesn't take at once is pushed, and nothing gets in front of it.
func TestFullSocket(t *testing.T) {
	p, log, sock := newQueue(true)
	sock.room, sock.slow = 3, make(chan struct{})
	p.addAll("abcdef", 1, "gh", 2, "ij", 3)
	p.ask()
	reach := func(lsn uint64) {
		log.reach(lsn, false)
		p.Durable()
	}
	reach(1) // "abc", and push has "def"
	reach(2) // while push works
	held := make(chan bool)
	go func() { held <- p.hold() }()
	if got := sock.text(); got != "abc" {
		t.Errorf("%q was sent, want the three bytes that there was room for", got)
	}
	close(sock.slow)
	if !<-held {
		t.Fatal("the queue is dead")
	}
	if got := sock.text(); got != "abcdefgh" {
		t.Errorf("%q was sent before the connection may write itself", got)
	}
	sock.got.WriteString("(direct)")
	reach(3) // ready, but the connection is writing
	if got := sock.text(); got != "abcdefgh(direct)" {
		t.Errorf("%q: a reply got in between", got)
	}
	sock.room = -1
	p.letGo()
	if !p.drain() || sock.text() != "abcdefgh(direct)ij" {
		t.Errorf("at last %q", sock.text())
	}
}

// TestLostClient: a socket that fails ends the queue, and nobody waits for it any more.
func TestLostClient(t *testing.T) {
	for _, slow := range []bool{false, true} {
		p, log, sock := newQueue(false)
		if slow {
			sock.room, sock.slow = 0, make(chan struct{})
		} else {
			sock.fail = errors.New("reset")
		}
		p.addAll("a", 1, "b", 2)
		p.ask()
		log.reach(1, false)
		p.Durable()
		if slow {
			sock.mu.Lock()
			sock.fail = errors.New("reset")
			sock.mu.Unlock()
			close(sock.slow)
		}
		if p.drain() || p.hold() || sock.cuts.Load() != 1 {
			t.Errorf("slow %v: cut %d times, and the queue goes on", slow, sock.cuts.Load())
		}
		log.reach(2, false)
		p.close()
	}
}

// TestKilledClient: whoever waits for the queue stops waiting.
func TestKilledClient(t *testing.T) {
	p, _, _ := newQueue(false)
	p.addAll("a", 1)
	drained := make(chan bool)
	go func() { drained <- p.drain() }()
	p.abandon()
	if <-drained || p.waiting() {
		t.Error("the queue goes on")
	}
	p.addAll("b", 2)
	if p.waiting() {
		t.Error("a dead queue takes replies")
	}
}

func TestQueueIsBounded(t *testing.T) {
	p, log, sock := newQueue(false)
	for i := range pendingRepliesMax + 1 {
		if p.full() {
			t.Fatalf("full with %d replies", i)
		}
		p.addAll("x", i+1)
	}
	if !p.full() {
		t.Error("not full")
	}
	p.ask()
	log.reach(1, false)
	p.Durable()
	if p.full() {
		t.Error("full with as many replies as are allowed")
	}
	log.reach(1<<20, false)
	p.add(make([]byte, pendingBytesMax), gated{lsn: 1 << 30})
	if p.full() {
		t.Error("full with as many bytes as are allowed")
	}
	p.addRun([]byte("x"))
	if !p.full() {
		t.Error("not full")
	}
	if n := sock.charged.Load(); n < pendingBytesMax-chargeStep || n > pendingBytesMax+chargeStep {
		t.Errorf("%d bytes are counted for %d", n, p.bytes())
	}
	p.ask()
	log.reach(1<<30, false)
	if n := sock.charged.Load(); n != 0 || p.waiting() {
		t.Errorf("%d bytes are counted for an empty queue", n)
	}
}

// TestQueueUnderPressure has all parties at work at once: in RESP every byte must arrive, in order.
func TestQueueUnderPressure(t *testing.T) {
	const n = 20000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	p, log, sock := newQueue(false)
	var appended atomic.Uint64
	stop := make(chan struct{})
	var syncer sync.WaitGroup
	syncer.Go(func() {
		for {
			log.reach(appended.Load(), false)
			sock.mu.Lock()
			sock.room = 100 // now and then there is no room
			sock.mu.Unlock()
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var want strings.Builder
	for i := range n {
		b := fmt.Sprintf("%d,", i)
		want.WriteString(b)
		g := gated{}
		if rnd.IntN(3) > 0 {
			g.lsn = uint64(i + 1)
			appended.Store(g.lsn)
		}
		if g.lsn == 0 && !p.waiting() {
			if !p.hold() {
				t.Fatal("dead")
			}
			must(t, sock.writeAll([]byte(b)))
			p.letGo()
		} else {
			p.add([]byte(b), g)
		}
		if rnd.IntN(4) == 0 {
			p.ask()
		}
		if p.full() && !p.drain() {
			t.Fatal("dead")
		}
	}
	if !p.drain() {
		t.Fatal("dead")
	}
	close(stop)
	syncer.Wait()
	if sock.text() != want.String() {
		t.Error("bytes are lost, doubled or out of order")
	}
}
