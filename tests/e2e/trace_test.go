package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// The tests in this file make every sync last at least syncTime, so that what waits for a sync and what doesn't can be
// told apart by the clock.
const (
	syncTime = 300 * time.Millisecond
	prompt   = 100 * time.Millisecond // nine of ten replies within this: they don't wait for syncs
	twoSyncs = 5 * syncTime / 2       // a reply within this has waited for two syncs at most
)

var slowSync = fmt.Sprintf("fdatasync:delay_enter=%d", syncTime.Microseconds())

// slow starts a server, lets prepare fill it, and makes its syncs slow.
func slow(t *testing.T, prepare func(c *respConn), args ...string) (*process, *tamper) {
	t.Helper()
	p := start(t, args...)
	if prepare != nil {
		prepare(dialResp(t, p, "always"))
	}
	tr := p.tamper(t, "fdatasync", slowSync)
	t.Cleanup(func() {
		if tr.hits(t) == 0 {
			t.Error("no sync was delayed, so this test has shown nothing")
		}
	})
	return p, tr
}

// TestReplyWaitsForItsSync: no write at level always is acknowledged before a sync that began after it, in neither protocol,
// alone or in a pipeline. Clients that come together share a sync.
func TestReplyWaitsForItsSync(t *testing.T) {
	p, _ := slow(t, nil)
	const clients, rounds = 8, 3
	var wg sync.WaitGroup
	watcher := dialResp(t, p, "")
	before := logSyncs(t, watcher)
	for n := range clients {
		resp, frames := dialResp(t, p, "always"), dialNBP(t, p)
		wg.Go(func() {
			for i := range rounds {
				sent := time.Now()
				err := setBy(resp, frames, fmt.Sprintf("c%d", n), i)
				if took := time.Since(sent); err != nil || took < syncTime {
					t.Errorf("client %d: a write was acknowledged after %v, %v; a sync takes %v", n, took, err, syncTime)
				}
			}
		})
	}
	wg.Wait()
	// Each round waits at most for the sync under way and for its own.
	if syncs, most := logSyncs(t, watcher)-before, 2*rounds+1; syncs < rounds || syncs > most {
		t.Errorf("%d syncs for %d writes of each of %d clients, want %d to %d: they don't share them", syncs, rounds, clients, rounds, most)
	}
}

// logSyncs is how often the log has been synced.
func logSyncs(t *testing.T, c *respConn) int {
	t.Helper()
	n, err := strconv.Atoi(infoOf(t, c, "persistence")["log_syncs"])
	if err != nil {
		t.Fatalf("INFO's log_syncs: %v", err)
	}
	return n
}

// setBy writes by RESP, by RESP in a pipeline, or by frames, and waits for all replies.
func setBy(resp *respConn, frames *nbpConn, key string, way int) error {
	switch way {
	case 0:
		_, err := resp.do("SET", key, "v")
		return err
	case 1:
		batch := appendRequest(appendRequest(nil, "SET", key, "v"), "INCR", key+":n")
		if _, err := resp.Write(batch); err != nil {
			return err
		}
		if _, err := resp.reply(); err != nil {
			return err
		}
		_, err := resp.reply()
		return err
	}
	id, err := frames.set(proto.DurabilityAlways, key, "v")
	if err != nil {
		return err
	}
	status, text, err := frames.reply(id)
	if err == nil && status != proto.OK {
		err = fmt.Errorf("%w: %s", status, text)
	}
	return err
}

// TestDurableReadsDontWait: while writers keep a sync under way all the time, reads of durable keys, hits and misses, are
// answered promptly.
func TestDurableReadsDontWait(t *testing.T) {
	p, _ := slow(t, func(c *respConn) { c.must(t, "SET", "durable", "v") })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 4 {
		c := dialResp(t, p, "always")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.do("SET", fmt.Sprintf("w%d", n), "v"); err != nil {
					t.Errorf("a writer: %v", err)
					return
				}
			}
		})
	}
	resp, frames := dialResp(t, p, "always"), dialNBP(t, p)
	var took []time.Duration
	for began := time.Now(); time.Since(began) < 4*syncTime; {
		sent := time.Now()
		value := resp.must(t, "GET", "durable")
		missing := resp.must(t, "GET", "never written")
		id, err := frames.get(proto.DurabilityAlways, "durable")
		if err != nil {
			t.Fatal(err)
		}
		_, text, err := frames.reply(id)
		if took = append(took, time.Since(sent)); value != "v" || missing != nil || text != "v" || err != nil {
			t.Errorf("three reads got %v, %v, %q, %v", value, missing, text, err)
		}
	}
	close(stop)
	wg.Wait()
	arePrompt(t, "three reads", took)
}

// arePrompt judges how long many requests took. Not each one: on a busy machine a client waits for more than the server.
func arePrompt(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	if p90 := took[len(took)*9/10]; p90 > prompt {
		t.Errorf("%s took %v (median) and %v (nine of ten at most), want %v; a sync takes %v", what, took[len(took)/2], p90,
			prompt, syncTime)
	}
}

// TestGetOvertakesSetOnBinary: on one connection of the binary protocol a read of a durable key is answered before the
// write that was sent first.
func TestGetOvertakesSetOnBinary(t *testing.T) {
	p, _ := slow(t, func(c *respConn) { c.must(t, "SET", "durable", "v") })
	c := dialNBP(t, p)
	sent := time.Now()
	set, err := c.set(proto.DurabilityAlways, "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	get, err := c.get(proto.DurabilityAlways, "durable")
	if err != nil {
		t.Fatal(err)
	}
	status, value, err := c.reply(get)
	if took := time.Since(sent); err != nil || status != proto.OK || value != "v" || took >= syncTime {
		t.Errorf("the read: %v, %q, %v after %v; want it first, before any sync of %v", status, value, err, took, syncTime)
	}
	status, _, err = c.reply(set)
	if took := time.Since(sent); err != nil || status != proto.OK || took < syncTime {
		t.Errorf("the write: %v, %v after %v; want it after its sync", status, err, took)
	}
}

// TestRequestsRunWhileReplyWaits: on one RESP connection the second write takes effect while the reply to the first waits;
// the replies come in order.
func TestRequestsRunWhileReplyWaits(t *testing.T) {
	p, _ := slow(t, nil)
	other, watcher, c := dialResp(t, p, "always"), dialResp(t, p, "never"), dialResp(t, p, "always")
	visible := func(key string) {
		eventually(t, syncTime/2, key+" can be read", func() bool { return watcher.must(t, "GET", key) != nil })
	}
	// A sync is under way that covers none of what follows: a lone client would sync by itself.
	if err := other.send("SET", "other", "v"); err != nil {
		t.Fatal(err)
	}
	visible("other")
	sent := time.Now()
	for _, key := range []string{"first", "second"} {
		if err := c.send("INCR", key); err != nil {
			t.Fatal(err)
		}
		visible(key)
	}
	if waits, err := c.idle(); err != nil || !waits {
		t.Errorf("a reply has come after %v, without a sync: %v", time.Since(sent), err)
	}
	for range 2 {
		if n, err := c.reply(); err != nil || n != int64(1) {
			t.Errorf("INCR was answered with %v, %v", n, err)
		}
	}
	if took := time.Since(sent); took < syncTime {
		t.Errorf("the replies have come after %v; a sync takes %v", took, syncTime)
	}
	if _, err := other.reply(); err != nil {
		t.Error(err)
	}
}

// TestReadAtAlwaysWaitsForWriteAtNever: on an idle server, a read at always of what was written at never asks for a sync and
// is answered within two.
func TestReadAtAlwaysWaitsForWriteAtNever(t *testing.T) {
	p, _ := slow(t, nil)
	writer, reader := dialResp(t, p, "never"), dialResp(t, p, "always")
	sent := time.Now()
	writer.must(t, "SET", "k", "v")
	if took := time.Since(sent); took >= syncTime {
		t.Errorf("the write at never took %v", took)
	}
	if v := reader.must(t, "GET", "k"); v != "v" {
		t.Errorf("the read has got %v", v)
	}
	if took := time.Since(sent); took < syncTime || took > twoSyncs {
		t.Errorf("the read was answered after %v, want one to two syncs of %v", took, syncTime)
	}
}

// TestWhatReadsShow: whatever shows an effect that is not durable waits for it at level always: hits, misses, refused
// conditions, and what counts or lists keys.
func TestWhatReadsShow(t *testing.T) {
	cases := []struct {
		name        string
		write, read []string
	}{
		{"exists", []string{"SET", "a", "1"}, []string{"EXISTS", "a"}},
		{"ttl", []string{"SET", "b", "1", "EX", "100"}, []string{"TTL", "b"}},
		{"refused NX", []string{"SET", "c", "1"}, []string{"SET", "c", "2", "NX"}},
		{"miss after DEL", []string{"DEL", "d"}, []string{"GET", "d"}},
		{"EXISTS after DEL", []string{"DEL", "e"}, []string{"EXISTS", "e"}},
		{"refused XX after DEL", []string{"DEL", "f"}, []string{"SET", "f", "2", "XX"}},
		{"one of MGET", []string{"SET", "g", "1"}, []string{"MGET", "durable", "g"}},
		{"not a number", []string{"SET", "h", "text"}, []string{"INCR", "h"}},
		{"DEL of nothing", []string{"DEL", "i"}, []string{"DEL", "i"}},
		{"SCAN", []string{"SET", "j", "1"}, []string{"SCAN", "0", "COUNT", "100000"}},
		{"DBSIZE", []string{"SET", "k", "1"}, []string{"DBSIZE"}},
		{"miss after a deadline in the past", []string{"PEXPIRE", "l", "-1"}, []string{"GET", "l"}},
	}
	p, _ := slow(t, func(c *respConn) {
		for _, key := range []string{"durable", "d", "e", "f", "i", "l"} {
			c.must(t, "SET", key, "v")
		}
	})
	var wg sync.WaitGroup
	for _, c := range cases {
		writer, reader := dialResp(t, p, "never"), dialResp(t, p, "always")
		wg.Go(func() {
			sent := time.Now()
			if _, err := writer.do(c.write...); err != nil {
				t.Errorf("%s: %q: %v", c.name, c.write, err)
				return
			}
			if took := time.Since(sent); took >= syncTime {
				t.Errorf("%s: the write at never took %v", c.name, took)
			}
			got, err := reader.do(c.read...)
			if took := time.Since(sent); took < syncTime {
				t.Errorf("%s: %q after %q at never was answered with %v, %v after %v, before a sync", c.name, c.read, c.write,
					got, err, took)
			}
		})
	}
	wg.Wait()
}

// TestLowerLevelsDontWait: at everysec and never, writes and reads of what was just written are answered without a sync.
func TestLowerLevelsDontWait(t *testing.T) {
	p, _ := slow(t, nil)
	for _, level := range []string{"everysec", "never"} {
		c := dialResp(t, p, level)
		var took []time.Duration
		for i := range 100 {
			sent := time.Now()
			c.must(t, "SET", "k", fmt.Sprint(i))
			value := c.must(t, "GET", "k")
			if took = append(took, time.Since(sent)); value != fmt.Sprint(i) {
				t.Errorf("%s: a read of what was just written got %v", level, value)
			}
		}
		arePrompt(t, level+": a write and a read", took)
	}
	// So that the delay was met at all: the syncs of the lower levels come later.
	dialResp(t, p, "always").must(t, "SET", "k", "last")
}

// TestEverysecParksWriters: a sync that takes longer than a second stops writers at everysec before more than about a
// second of their writes is unsynced; writers at never go on.
func TestEverysecParksWriters(t *testing.T) {
	p := start(t, "--sync", "everysec")
	const stall, parks = 1500 * time.Millisecond, 400 * time.Millisecond
	tr := p.tamper(t, "fdatasync", fmt.Sprintf("fdatasync:delay_enter=%d", stall.Microseconds()))
	parked, free := dialResp(t, p, "everysec"), dialResp(t, p, "never")
	began := time.Now()
	longest := time.Duration(0)
	for time.Since(began) < 2*stall && longest < parks {
		sent := time.Now()
		parked.must(t, "SET", "e", "v")
		longest = time.Since(sent)
	}
	// A sync begins within 500 ms, and the oldest write is a second old before it ends.
	if at := time.Since(began) - longest; longest < parks || at > stall {
		t.Errorf("while syncs took %v, a writer at everysec was parked for %v, after %v", stall, longest, at)
	}
	sent := time.Now()
	free.must(t, "SET", "n", "v")
	if took := time.Since(sent); took > parks {
		t.Errorf("a writer at never waited %v", took)
	}
	if tr.hits(t) == 0 {
		t.Error("no sync was delayed, so this test has shown nothing")
	}
	tr.detach(t)
}

// TestSyncOnDemand: WAITAOF, SYNC of the binary protocol and Client.Sync return after a sync of what was written at never.
func TestSyncOnDemand(t *testing.T) {
	p, _ := slow(t, nil)
	resp := dialResp(t, p, "never")
	frames := dialNBP(t, p)
	ctx, c := dial(t, p)
	for _, d := range []struct {
		name string
		sync func() error
	}{
		{"WAITAOF", func() error {
			got, err := resp.do("WAITAOF", "1", "0", "0")
			if fmt.Sprint(got) != "[1 0]" {
				return fmt.Errorf("WAITAOF was answered with %v, %w", got, err)
			}
			return err
		}},
		{"SYNC", func() error {
			m := frames.next(proto.DurabilityDefault)
			if _, err := frames.Write(proto.AppendSync(nil, m)); err != nil {
				return err
			}
			status, text, err := frames.reply(m.ID)
			if err == nil && status != proto.OK {
				err = fmt.Errorf("%w: %s", status, text)
			}
			return err
		}},
		{"Client.Sync", func() error { return c.Sync(ctx) }},
	} {
		sent := time.Now()
		resp.must(t, "SET", "k", d.name)
		if took := time.Since(sent); took >= syncTime {
			t.Errorf("%s: the write at never took %v", d.name, took)
		}
		if err := d.sync(); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		if took := time.Since(sent); took < syncTime || took > twoSyncs {
			t.Errorf("%s returned after %v, want one to two syncs of %v", d.name, took, syncTime)
		}
	}
}
