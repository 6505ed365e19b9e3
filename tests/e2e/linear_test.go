package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The tests in this file record what concurrent clients of one key see while the server is killed and started again, and
// let porcupine look for an order of all operations that explains it: each takes effect at one moment between its call
// and its return, whatever server answered.
//
// An operation whose reply never came may have happened, at any moment until the next server was up, or not at all.

// A registerOp is the input of an operation on one key; a read's result is the output.
type registerOp struct {
	key     string
	write   bool
	value   string // written; empty: deleted
	unknown bool   // the reply never came
}

// registerModel is a register that may be empty, which is the value "".
var registerModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(registerOp).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{""} },
	Step: func(was, input, output any) []any {
		op := input.(registerOp)
		switch {
		case op.write && op.unknown:
			return []any{was, op.value}
		case op.write:
			return []any{op.value}
		case output == was:
			return []any{was}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %v", input, output) },
}).ToModel()

// A recorder collects a history.
type recorder struct {
	began   time.Time
	killing atomic.Bool // from now on errors are the kill's

	mu      sync.Mutex // guards the fields below
	history []porcupine.Operation
	problem error // the first error that was not the kill's
}

func (r *recorder) now() int64 { return int64(time.Since(r.began)) }

func (r *recorder) add(op porcupine.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, op)
}

// unanswered adds an operation without a reply. A read of that kind tells nothing.
func (r *recorder) unanswered(op registerOp, client int, call int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.killing.Load() && r.problem == nil {
		r.problem = fmt.Errorf("a client was stopped by something else than the kill: %w", err)
	}
	if op.write {
		op.unknown = true
		r.history = append(r.history, porcupine.Operation{ClientId: client, Input: op, Call: call, Return: -1})
	}
}

// settle ends the operations without a reply: after this moment nothing of them can happen any more.
func (r *recorder) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for i := range r.history {
		if r.history[i].Return < 0 {
			r.history[i].Return = now
		}
	}
}

const (
	linearClients = 6
	linearKeys    = 4
	linearKills   = 4
	linearRun     = 150 * time.Millisecond
	linearOps     = 250 // of a client between two kills; more would make the search long, not better
	linearLimit   = 30 * time.Second
)

// client does random operations on few keys until the server is gone, and records them.
func (r *recorder) client(ctx context.Context, s speaker, number int, rng *rand.Rand) {
	for i := range linearOps {
		op := registerOp{key: fmt.Sprintf("k%d", rng.IntN(linearKeys))}
		call := r.now()
		var output any
		var err error
		switch n := rng.IntN(10); {
		case n < 5:
			var value string
			value, _, err = s.get(ctx, op.key)
			output = value
		case n < 9:
			op.write, op.value = true, fmt.Sprintf("c%d.%d.%d", number, call, i)
			err = s.set(ctx, op.key, op.value, time.Time{})
		default:
			op.write = true
			err = s.del(ctx, op.key)
		}
		end := r.now()
		if err != nil {
			r.unanswered(op, number, call, err)
			return
		}
		r.add(porcupine.Operation{ClientId: number, Input: op, Call: call, Output: output, Return: end})
	}
}

// record runs clients against servers that are killed, and returns the history.
func record(t *testing.T, mixed bool, args ...string) []porcupine.Operation {
	t.Helper()
	rng := randomness(t)
	r := &recorder{began: time.Now()}
	client := 0
	for kill := range linearKills + 1 {
		p := start(t, args...)
		r.settle()
		r.killing.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for n := range linearClients {
			s, err := connect(p.addr, n, mixed)
			if err != nil {
				t.Fatal(err)
			}
			client++ // porcupine wants a client's operations one after the other
			number, mine := client, rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
			wg.Go(func() {
				r.client(ctx, s, number, mine)
				if err := s.close(); err != nil {
					t.Errorf("closing a client: %v", err)
				}
			})
		}
		if kill < linearKills {
			moment := time.NewTimer(linearRun/3 + time.Duration(rng.Int64N(int64(linearRun))))
			<-moment.C
			r.killing.Store(true)
			p.kill(t)
		}
		wg.Wait()
		cancel()
	}
	r.settle()
	if r.problem != nil {
		t.Error(r.problem)
	}
	return r.history
}

// TestLinearizableAcrossKills: histories over several kills are linearizable, with all clients at the same level and with
// clients and requests at different ones.
func TestLinearizableAcrossKills(t *testing.T) {
	for i, level := range []string{"always", "everysec", "never", "always"} {
		mixed := i == 3
		t.Run(fmt.Sprintf("%s, mixed %v", level, mixed), func(t *testing.T) {
			history := record(t, mixed, "--dir", filepath.Join(t.TempDir(), "data"), "--sync", level)
			if got := porcupine.CheckOperationsTimeout(registerModel, history, linearLimit); got != porcupine.Ok {
				t.Errorf("a history of %d operations over %d kills: porcupine says %s", len(history), linearKills, got)
			}
			t.Logf("%d operations", len(history))
		})
	}
}

// TestPorcupineFindsLosses: without a data folder a kill loses what was acknowledged, and porcupine has to say so.
func TestPorcupineFindsLosses(t *testing.T) {
	history := record(t, false, "--dir", "off")
	if got := porcupine.CheckOperationsTimeout(registerModel, history, linearLimit); got != porcupine.Illegal {
		t.Errorf("a history of %d operations over %d kills without a folder: porcupine says %s, want %s", len(history),
			linearKills, got, porcupine.Illegal)
	}
}

// TestRegisterModel: an operation without a reply explains both outcomes, and nothing else is excused.
func TestRegisterModel(t *testing.T) {
	set := func(value string, call, end int64, unknown bool) porcupine.Operation {
		return porcupine.Operation{Input: registerOp{key: "k", write: true, value: value, unknown: unknown}, Call: call, Return: end}
	}
	get := func(value string, call, end int64) porcupine.Operation {
		return porcupine.Operation{Input: registerOp{key: "k"}, Output: value, Call: call, Return: end}
	}
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		legal   bool
	}{
		{"a read of what was written", []porcupine.Operation{set("a", 0, 1, false), get("a", 2, 3)}, true},
		{"a write that is gone", []porcupine.Operation{set("a", 0, 1, false), get("", 2, 3)}, false},
		{"a write without a reply that is there", []porcupine.Operation{set("a", 0, 9, true), get("a", 2, 3)}, true},
		{"a write without a reply that is not", []porcupine.Operation{set("a", 0, 9, true), get("", 10, 11)}, true},
		{"one that was seen and is gone", []porcupine.Operation{set("a", 0, 9, true), get("a", 2, 3), get("", 10, 11)}, false},
	} {
		for i := range c.history {
			c.history[i].ClientId = i
		}
		if got := porcupine.CheckOperations(registerModel, c.history); got != c.legal {
			t.Errorf("%s: linearizable is %v, want %v", c.name, got, c.legal)
		}
	}
}
