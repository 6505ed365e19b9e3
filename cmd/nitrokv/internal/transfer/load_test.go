package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/proto"
)

// memory is a Target that keeps what it gets.
type memory struct {
	set func(key string, value []byte) error // called first if it isn't nil, by many goroutines at once

	mu       sync.Mutex // guards the fields below
	values   map[string]string
	underWay int
	most     int // largest underWay
}

func (m *memory) Set(ctx context.Context, key string, value []byte, options ...client.SetOption) error {
	m.mu.Lock()
	m.underWay++
	m.most = max(m.most, m.underWay)
	m.mu.Unlock()
	var err error
	if m.set != nil {
		err = m.set(key, value)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay--
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		if m.values == nil {
			m.values = make(map[string]string)
		}
		m.values[key] = string(value)
	}
	return err
}

// text makes a file of lines.
func text(lines ...string) *Lines {
	return NewLines(strings.NewReader(strings.Join(lines, "\n")), "f", 0, Auto)
}

// refusal is what the client returns when the server answers with a status.
func refusal(s proto.Status) error { return &client.Error{Op: "SET", Status: s} }

var atOnce = Options{Timeout: time.Minute}

// An entry whose time is over is sent, or an older value of its key would stay; it is counted by itself.
func TestLoad(t *testing.T) {
	m := &memory{}
	src := text("a\t1", "b\t2", "", "b\t3", `{"key":"gone","value":"x","expires_at":"2001-01-01T00:00:00Z"}`,
		`{"key":"later","value":"x","expires_at":"9999-01-01T00:00:00Z"}`)
	totals, err := NewLoad(src, m, atOnce).Run(t.Context())
	if want := (Totals{Loaded: 4, Bytes: 12, Expired: 1, Through: 6}); err != nil || totals != want {
		t.Errorf("%+v, %v; want %+v", totals, err, want)
	}
	if want := "map[a:1 b:3 gone:x later:x]"; fmt.Sprint(m.values) != want {
		t.Errorf("%v, want %s", m.values, want)
	}
}

// The values of a key are set in their order, however many writes are under way.
func TestOrderOfOneKey(t *testing.T) {
	const keys, rounds = 50, 200
	var lines []string
	for round := range rounds {
		for key := range keys {
			lines = append(lines, fmt.Sprintf("key%d\t%d", key, round))
		}
	}
	var mu sync.Mutex
	next := make(map[string]int)
	m := &memory{set: func(key string, value []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if fmt.Sprint(next[key]) != string(value) {
			return fmt.Errorf("%s gets %s, and %d is next", key, value, next[key])
		}
		next[key]++
		return nil
	}}
	totals, err := NewLoad(text(lines...), m, atOnce).Run(t.Context())
	if err != nil || totals.Loaded != keys*rounds {
		t.Errorf("%+v, %v", totals, err)
	}
}

// Writes are made side by side: each waits here until there are as many as can be.
func TestManyWritesAtOnce(t *testing.T) {
	const enough = 100
	var begun atomic.Int64
	all := make(chan struct{})
	m := &memory{set: func(string, []byte) error {
		if begun.Add(1) == enough {
			close(all)
		}
		select {
		case <-all:
			return nil
		case <-time.After(time.Minute):
			return fmt.Errorf("only %d writes are under way", begun.Load())
		}
	}}
	var lines []string
	seen := make(map[uint64]bool)
	l := NewLoad(nil, m, atOnce)
	for i := 0; len(lines) < enough; i++ { // keys that share no writer, or they would wait for each other
		key := fmt.Sprint("key", i)
		if w := l.writer(key, writers); !seen[w] {
			seen[w] = true
			lines = append(lines, key+"\tv")
		}
	}
	l.src = text(lines...)
	if totals, err := l.Run(t.Context()); err != nil || totals.Loaded != enough || m.most != enough {
		t.Errorf("%+v, %v, at most %d at once", totals, err, m.most)
	}
}

// A line with something wrong ends the load, and everything before it is there.
func TestBadLineEndsTheLoad(t *testing.T) {
	m := &memory{}
	totals, err := NewLoad(text("a\t1", "b\t2", "bad", "c\t3"), m, atOnce).Run(t.Context())
	var wrong *EntryError
	if !errors.As(err, &wrong) || wrong.Place != "f:3" || !OfEntry(wrong) {
		t.Errorf("error %v", err)
	}
	if want := (Totals{Loaded: 2, Bytes: 4, Through: 2}); totals != want || len(m.values) != 2 {
		t.Errorf("%+v, %v; want %+v", totals, m.values, want)
	}
}

func TestKeepGoing(t *testing.T) {
	m := &memory{set: func(key string, _ []byte) error {
		switch key {
		case "big":
			return refusal(proto.EVALUESIZE)
		case "full":
			return refusal(proto.EMAXMEMORY)
		}
		return nil
	}}
	var mu sync.Mutex
	var places []string
	o := Options{Timeout: time.Minute, KeepGoing: true, Problem: func(err *EntryError) {
		mu.Lock()
		defer mu.Unlock()
		places = append(places, err.Place)
	}}
	totals, err := NewLoad(text("a\t1", "bad", "big\tv", "{", "full\tv", "c\t3"), m, o).Run(t.Context())
	if want := (Totals{Loaded: 2, Bytes: 4, Refused: 4, Through: 6}); err != nil || totals != want {
		t.Errorf("%+v, %v; want %+v", totals, err, want)
	}
	for _, place := range []string{"f:2", "f:3", "f:4", "f:5"} {
		if !strings.Contains(strings.Join(places, " "), place) {
			t.Errorf("%s is not among %q", place, places)
		}
	}
}

// What is wrong with the server ends the load in spite of KeepGoing, and nothing further is sent.
func TestServerFailureEndsTheLoad(t *testing.T) {
	const lines, failing = 100_000, 5000
	for name, failure := range map[string]error{
		"connection":   &client.Error{Op: "SET", Err: client.ErrConnection},
		"read only":    refusal(proto.EREADONLY),
		"log full":     refusal(proto.ELOGFULL),
		"unauthorized": refusal(proto.EAUTHREQUIRED),
		"timeout":      &client.Error{Op: "SET", Err: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			var file []string
			for i := range lines {
				file = append(file, fmt.Sprintf("key%d\tv", i+1))
			}
			m := &memory{set: func(key string, _ []byte) error {
				if key == fmt.Sprint("key", failing) {
					return failure
				}
				return nil
			}}
			o := Options{Timeout: time.Minute, KeepGoing: true, Problem: func(err *EntryError) { t.Errorf("passed over: %v", err) }}
			totals, err := NewLoad(text(file...), m, o).Run(t.Context())
			var wrong *EntryError
			if !errors.As(err, &wrong) || wrong.Place != fmt.Sprint("f:", failing) {
				t.Fatalf("error %v", err)
			}
			if totals.Loaded >= lines-1 || totals.Through >= failing || totals.Refused > 0 {
				t.Errorf("%+v, although line %d has failed", totals, failing)
			}
			for i := range totals.Through {
				if m.values[fmt.Sprint("key", i+1)] == "" {
					t.Fatalf("line %d is missing, and all up to %d are said to be there", i+1, totals.Through)
				}
			}
		})
	}
}

// Of several failures the first line is told, whichever happens first.
func TestFirstFailureIsTold(t *testing.T) {
	var begun sync.WaitGroup // all three writes are under way
	begun.Add(3)
	second := make(chan struct{})
	m := &memory{set: func(key string, _ []byte) error {
		begun.Done()
		begun.Wait()
		switch key {
		case "first":
			<-second
			return refusal(proto.EREADONLY)
		case "second":
			defer close(second)
			return refusal(proto.EREADONLY)
		}
		return nil
	}}
	l := NewLoad(nil, m, atOnce)
	for a, b, c := l.writer("a", writers), l.writer("first", writers), l.writer("second", writers); a == b || b == c || a == c; {
		l = NewLoad(nil, m, atOnce) // another seed
		a, b, c = l.writer("a", writers), l.writer("first", writers), l.writer("second", writers)
	}
	l.src = text("a\t1", "first\tv", "second\tv")
	totals, err := l.Run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "f:2: ") || totals.Through != 1 {
		t.Errorf("%+v, %v; want line 2", totals, err)
	}
}

// An interruption ends the reading; what is under way is answered and counted.
func TestInterruption(t *testing.T) {
	why := errors.New("that is enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	m := &memory{set: func(key string, _ []byte) error {
		if key == "key1000" {
			cancel(why)
		}
		return nil
	}}
	src := &endless{}
	totals, err := NewLoad(src, m, atOnce).Run(ctx)
	if !errors.Is(err, why) || totals.Loaded < 1000 || totals.Loaded != int64(len(m.values)) || totals.Through != totals.Loaded {
		t.Errorf("%+v, %v, and %d values", totals, err, len(m.values))
	}
}

// endless yields entries until its context ends.
type endless struct{ n int64 }

func (s *endless) Place(e *Entry) string         { return fmt.Sprint("entry ", e.Line) }
func (s *endless) Progress() (done, total int64) { return s.n, 0 }

func (s *endless) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for ctx.Err() == nil {
			s.n++
			if !yield(Entry{Key: fmt.Sprint("key", s.n), Line: s.n}, nil) {
				return
			}
		}
	}
}

// list is a Source of entries that are there already.
type list []Entry

func (l list) Place(e *Entry) string         { return e.Key }
func (l list) Progress() (done, total int64) { return 0, 0 }

func (l list) Entries(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range l {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Large values wait for each other rather than fill the memory; one that is larger than all the room goes alone.
func TestLargeValuesAreBounded(t *testing.T) {
	large, huge := make([]byte, roomBytes/4), make([]byte, roomBytes+1)
	var src list
	for i := range 200 {
		src = append(src, Entry{Key: fmt.Sprint("key", i), Value: large})
	}
	src = append(src, Entry{Key: "huge", Value: huge}, Entry{Key: "end"})
	m := &memory{}
	alone := false
	m.set = func(key string, _ []byte) error {
		if key == "huge" {
			m.mu.Lock()
			defer m.mu.Unlock()
			alone = m.underWay == 1
		}
		return nil
	}
	totals, err := NewLoad(src, counting{m}, atOnce).Run(t.Context())
	if err != nil || totals.Loaded != 202 || m.most > 3 || !alone {
		t.Errorf("%+v, %v, %d at once, the huge one alone: %v", totals, err, m.most, alone)
	}
}

// counting is a memory that keeps no values.
type counting struct{ *memory }

func (c counting) Set(ctx context.Context, key string, value []byte, options ...client.SetOption) error {
	return c.memory.Set(ctx, key, nil, options...)
}

// Without a target everything is read and nothing is sent.
func TestDryRun(t *testing.T) {
	totals, err := NewLoad(text("a\t1", "b\t2", `{"key":"gone","value":"x","expires_at":"2001-01-01T00:00:00Z"}`), nil, atOnce).Run(t.Context())
	if want := (Totals{Loaded: 2, Bytes: 4, Expired: 1, Through: 3}); err != nil || totals != want {
		t.Errorf("%+v, %v; want %+v", totals, err, want)
	}
}
