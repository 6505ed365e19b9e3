package e2e

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The tests in this file end real servers as kill -9 does, in the middle of the work of several clients, and then ask what
// is left. The page cache survives that, so at every level everything that was acknowledged or seen has to be there.

// percent is the share of their full length that random tests run; NK_TEST_PERCENT is what make sets for all of them.
func percent(t *testing.T) int {
	t.Helper()
	text := os.Getenv("NK_TEST_PERCENT")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("NK_TEST_PERCENT is %q; it must be a positive number", text)
	}
	return n
}

// randomness is repeatable as far as the tests can make it so: with NK_SEED from an earlier run.
func randomness(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("NK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("NK_SEED is %q; it must be a number", text)
		}
	}
	t.Logf("NK_SEED=%d makes the same choices", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

const (
	killsAtFull   = 20
	shortestRun   = 60 * time.Millisecond
	longestRun    = 350 * time.Millisecond
	longestReplay = 25 * time.Millisecond // after which a server is killed that is starting
)

// killWhileStarting starts a server and kills it at a random moment of its start.
func killWhileStarting(t *testing.T, rng *rand.Rand, args []string) {
	t.Helper()
	p := launch(t, args...)
	moment := time.NewTimer(time.Duration(rng.Int64N(int64(longestReplay))))
	defer moment.Stop()
	<-moment.C
	p.kill(t)
}

// TestKill: clients of both protocols work at all levels, the server is killed again and again, also while it recovers,
// and what was acknowledged or seen is there after each restart. NK_TEST_PERCENT scales the number of kills.
func TestKill(t *testing.T) {
	rng := randomness(t)
	dir := filepath.Join(t.TempDir(), "data")
	c := newCrowd()
	kills := max(1, killsAtFull*percent(t)/100)
	for i := range kills {
		args := []string{"--dir", dir, "--log-file-size", "1MiB", "--sync", []string{"always", "everysec", "never"}[i%3],
			"--segments", []string{"16", "256"}[i/2%2]}
		for i > 0 && rng.IntN(3) == 0 {
			killWhileStarting(t, rng, args)
		}
		p := start(t, args...)
		c.verify(t, p)
		c.work(t, p, rng, i%2 == 0, shortestRun+time.Duration(rng.Int64N(int64(longestRun-shortestRun))))
		if c.failed() {
			t.Errorf("kill %d of %d:", i+1, kills)
			break
		}
	}
	p := start(t, "--dir", dir)
	c.verify(t, p)
	p.stop(t)
	c.verify(t, start(t, "--dir", dir)) // after a clean stop
	c.report(t)
	t.Logf("%d kills, %d operations acknowledged", kills, c.acked.Load())
}

// TestKillFindsLosses: the same clients do find what a server without a log loses.
func TestKillFindsLosses(t *testing.T) {
	rng := randomness(t)
	c := newCrowd()
	c.work(t, start(t, "--dir", "off"), rng, false, longestRun)
	if err := errors.Join(c.problems...); err != nil {
		t.Fatalf("before the kill: %v", err)
	}
	c.verify(t, start(t, "--dir", "off"))
	lost := 0
	for _, err := range c.problems {
		if strings.Contains(err.Error(), "is lost") || strings.Contains(err.Error(), "counter") {
			lost++
		}
	}
	if lost < writers {
		t.Errorf("a server without a log was killed, and %d losses were found: %v", lost, errors.Join(c.problems...))
	}
}
