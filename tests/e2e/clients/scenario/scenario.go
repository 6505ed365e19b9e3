// Package scenario is what the Go programs of tests/e2e/clients have in common: how they are called, how they check, and how
// they report. ../README.md is their contract.
package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// Limit is for what takes milliseconds; reaching it means that something hangs.
	Limit = time.Minute
	// Clients is how many work at once.
	Clients = 8
)

// A Run is one scenario being played: what it needs to know, and what it has found.
type Run struct {
	Addr     string
	Protocol int    // 2 or 3
	Prefix   string // of every key
	Password string // empty: none

	mu       sync.Mutex // guards problems
	problems []error
}

// Key is a key that no other program uses.
func (r *Run) Key(format string, args ...any) string { return r.Prefix + fmt.Sprintf(format, args...) }

// Name is the name of the program's connections.
func (r *Run) Name() string { return strings.TrimSuffix(r.Prefix, ":") }

// Fail notes what has gone wrong. The scenario goes on; its first problem is what is reported.
func (r *Run) Fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

// Equal checks a call that must succeed and return want.
func Equal[V comparable](r *Run, what string, got V, err error, want V) {
	if err != nil {
		r.Fail("%s: %w", what, err)
	} else if got != want {
		r.Fail("%s: got %.60q, want %.60q", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

// Between checks a call that must succeed and return something from least to most.
func Between(r *Run, what string, got time.Duration, err error, least, most time.Duration) {
	if err != nil {
		r.Fail("%s: %w", what, err)
	} else if got < least || got > most {
		r.Fail("%s: got %v, want %v to %v", what, got, least, most)
	}
}

// Refused checks a call that must fail with an error that says text.
func (r *Run) Refused(what string, err error, text string) {
	if err == nil || !strings.Contains(err.Error(), text) {
		r.Fail("%s: got error %v, want %q", what, err, text)
	}
}

// Missing checks a call that must find nothing; that is the client's error for it.
func (r *Run) Missing(what string, err error, missing func(error) bool) {
	if err == nil || !missing(err) {
		r.Fail("%s: got error %v, want that there is nothing", what, err)
	}
}

// Until waits until a condition holds.
func (r *Run) Until(what string, holds func() bool) {
	deadline := time.NewTimer(Limit)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			r.Fail("%v are over, and it isn't so that %s", Limit, what)
			return
		case <-again.C:
		}
	}
}

// Together runs f(0) … f(Clients-1) at once.
func Together(f func(number int)) {
	var wg sync.WaitGroup
	for number := range Clients {
		wg.Go(func() { f(number) })
	}
	wg.Wait()
}

// Restarted waits until the server has been killed and started again.
func (r *Run) Restarted() {
	fmt.Println("waiting restart")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
		r.Fail("waiting for the restart: %w", err)
	}
}

// AllBytes is every byte value.
func AllBytes() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// Window is how long the rate limiter counts.
const Window = 10 * time.Minute

// A Catalogue is items in a slow database, cached in front of it under their keys.
type Catalogue struct {
	Items []string
	Keys  []string
	Loads int // from the database
}

// Catalogue makes one of twenty items.
func (r *Run) Catalogue() *Catalogue {
	k := &Catalogue{}
	for i := range 20 {
		k.Items = append(k.Items, fmt.Sprint("item ", i))
		k.Keys = append(k.Keys, r.Key("item:%d", i))
	}
	return k
}

// Lifetime of an item in the cache differs from item to item, so that not all expire at once.
func (k *Catalogue) Lifetime(i int) time.Duration {
	return 10*time.Minute + time.Duration(i*7919%60_000)*time.Millisecond
}

const (
	Bulk  = 10_000 // keys that are set, and as many again by MSETs
	Batch = 500
)

// BulkPair is key and value of number i; every byte value ends some key, and is in every value.
func (r *Run) BulkPair(i int) (key, value string) {
	return r.Key("bulk:%05d%s", i, string([]byte{byte(i)})), strconv.Itoa(i) + "\r\n" + AllBytes()
}

// Main plays the scenarios that the command line names, and returns the exit status.
func Main(scenarios map[string]func(*Run)) int {
	if len(os.Args) < 5 {
		fmt.Fprintf(os.Stderr, "usage: %s HOST:PORT 2|3 PREFIX SCENARIO...\n", os.Args[0])
		return 2
	}
	protocol, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintf(os.Stderr, "the protocol is %q; it must be 2 or 3\n", os.Args[2])
		return 2
	}
	status := 0
	for _, name := range os.Args[4:] {
		r := &Run{Addr: os.Args[1], Protocol: protocol, Prefix: os.Args[3], Password: os.Getenv("CLIENT_PASSWORD")}
		if play := scenarios[name]; play != nil {
			play(r)
		} else {
			r.Fail("this program has no such scenario")
		}
		if !r.report(name) {
			status = 1
		}
	}
	return status
}

// report prints the line for a scenario.
func (r *Run) report(name string) (ok bool) {
	if len(r.problems) == 0 {
		fmt.Println("ok", name)
		return true
	}
	first := strings.Join(strings.Fields(r.problems[0].Error()), " ")
	fmt.Printf("failed %s: %s (and %d more problems)\n", name, first, len(r.problems)-1)
	return false
}
